"""From features to a table of cells."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from napari_prts.errors import ExpressionError, MissingPixelSizeError, ModelError, NucleiError
from napari_prts.expression import (
    ModelBundle,
    PredictedCells,
    PredictRequest,
    predict,
)
from napari_prts.h5ad import read_h5ad, write_h5ad
from napari_prts.jobs import Progress, run
from napari_prts.slide import Slide
from tests.expression.sections import GENES, MPP, Section, make_section


@pytest.fixture(scope="module")
def predicted(section: Section, bundle: ModelBundle) -> AnnData:
    return run(predict(section.features, section.nuclei, section.slide, bundle))


def test_the_table_says_which_cell_is_where(section: Section, predicted: AnnData) -> None:
    assert predicted.shape == (len(section.nuclei), GENES)
    assert predicted.X.dtype == np.float32
    np.testing.assert_array_equal(predicted.obs["id"], section.nuclei.ids)
    assert list(predicted.obs_names[:2]) == ["5", "8"]
    np.testing.assert_allclose(predicted.obs["area_um2"], 144 * MPP**2, rtol=1e-4)
    np.testing.assert_array_equal(predicted.obs["score"], section.nuclei.scores)
    np.testing.assert_array_equal(predicted.obsm["spatial"], section.nuclei.centroids[:, ::-1])


def test_expression_is_never_negative_and_zero_below_the_threshold(
    section: Section, bundle: ModelBundle
) -> None:
    uncut, cut = (
        run(
            predict(
                section.features,
                section.nuclei,
                section.slide,
                dataclasses.replace(bundle, card={**bundle.card, "threshold": threshold}),
            )
        )
        for threshold in (0.0, 0.5)
    )
    probability = cut.layers["p_expressed"]
    assert uncut.X.min() >= 0
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert (probability < 0.5).any()
    np.testing.assert_array_equal(cut.X, np.where(probability < 0.5, 0, uncut.X))


def test_cells_of_the_training_slide_know_their_part(
    section: Section, bundle: ModelBundle, predicted: AnnData
) -> None:
    counts = predicted.obs["split"].value_counts().to_dict()
    assert {part: n for part, n in counts.items() if n} == bundle.card["training"]["cells"]


def test_cells_of_another_slide_are_new(section: Section, bundle: ModelBundle) -> None:
    other = make_section(cells=30, seed=9)
    table = run(predict(other.features, other.nuclei, other.slide, bundle))
    assert set(table.obs["split"]) == {"new"}
    assert table.uns["prts"]["slide_fingerprint"] == other.slide.fingerprint
    assert table.uns["prts"]["model_slide_fingerprint"] == section.slide.fingerprint


def test_parts_stay_where_they_are_when_the_pixel_size_is_corrected(
    section: Section, bundle: ModelBundle, predicted: AnnData
) -> None:
    table = run(predict(section.features, section.nuclei, section.slide.with_mpp(0.48), bundle))
    np.testing.assert_array_equal(table.obs["split"], predicted.obs["split"])


def test_cells_unlike_the_training_cells_are_far(
    section: Section, bundle: ModelBundle, predicted: AnnData
) -> None:
    validation = predicted.obs["distance"][predicted.obs["split"] == "validation"]
    assert np.mean(validation > 1) == pytest.approx(0.05, abs=0.03)
    strange = dataclasses.replace(section.features, local=section.features.local * 5)
    table = run(predict(strange, section.nuclei, section.slide, bundle))
    assert (table.obs["distance"] > 2).all()


def test_the_table_tells_where_it_comes_from(bundle: ModelBundle, predicted: AnnData) -> None:
    told = predicted.uns["prts"]
    assert told["kind"] == "predicted"
    assert told["trained_on"] == "simulated"
    assert told["simulated"] is True
    assert told["model_hash"] == bundle.hash
    assert told["mpp"] == MPP
    assert told["encoder_key"] == "made-up-1"
    assert told["settings"] == {"tile": 256, "stain": "None"}
    assert set(told["versions"]) == {"napari-prts", "torch", "numpy", "anndata"}


def test_it_survives_its_file(predicted: AnnData, tmp_path: Path) -> None:
    again = read_h5ad(write_h5ad(predicted, tmp_path / "predicted.h5ad"))
    np.testing.assert_array_equal(again.X, predicted.X)
    np.testing.assert_array_equal(again.layers["p_expressed"], predicted.layers["p_expressed"])
    assert list(again.obs["split"]) == list(predicted.obs["split"])
    assert again.uns["prts"]["trained_on"] == "simulated"
    assert bool(again.uns["prts"]["simulated"]) is True
    assert again.uns["prts"]["mpp"] == MPP


def test_batches_can_be_painted_as_they_come(
    section: Section, bundle: ModelBundle, predicted: AnnData
) -> None:
    seen: list[Progress] = []
    job = predict(section.features, section.nuclei, section.slide, bundle, PredictRequest(128))
    whole = run(job, seen.append)
    parts = [p.partial for p in seen if p.partial is not None]
    assert all(isinstance(part, PredictedCells) for part in parts)
    assert [p.done for p in seen] == [0, 128, 256, 384, 500]
    np.testing.assert_array_equal(np.concatenate([p.ids for p in parts]), section.nuclei.ids)
    np.testing.assert_array_equal(np.concatenate([p.expression for p in parts]), whole.X)
    np.testing.assert_allclose(whole.X, predicted.X, rtol=1e-4, atol=1e-5)


def test_some_cells_can_be_predicted_alone(
    section: Section, bundle: ModelBundle, predicted: AnnData
) -> None:
    some = np.array([30, 4, 17])
    table = run(predict(section.features.take(some), section.nuclei, section.slide, bundle))
    np.testing.assert_array_equal(table.obs["id"], section.nuclei.ids[some])
    np.testing.assert_allclose(table.X, predicted.X[some], rtol=1e-4, atol=1e-5)


def test_a_model_for_another_encoder_is_refused(section: Section, bundle: ModelBundle) -> None:
    other = dataclasses.replace(section.features, encoder_key="made-up-2")
    with pytest.raises(ModelError, match="trained with encoder made-up"):
        run(predict(other, section.nuclei, section.slide, bundle))
    wider = dataclasses.replace(section.features, local=np.zeros((500, 99), np.float32))
    with pytest.raises(ModelError, match="8 context and 12 local"):
        run(predict(wider, section.nuclei, section.slide, bundle))


def test_missing_nuclei_and_pixel_size_are_said(section: Section, bundle: ModelBundle) -> None:
    nothing = section.features.take(np.arange(0))
    with pytest.raises(ExpressionError, match="no nuclei"):
        run(predict(nothing, section.nuclei, section.slide, bundle))
    fewer = section.nuclei.remove(section.nuclei.ids[:1])
    with pytest.raises(NucleiError):
        run(predict(section.features, fewer, section.slide, bundle))
    unknown = Slide.from_array(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(MissingPixelSizeError):
        run(predict(section.features, section.nuclei, unknown, bundle))
    with pytest.raises(ExpressionError, match="batch"):
        PredictRequest(batch=0)
