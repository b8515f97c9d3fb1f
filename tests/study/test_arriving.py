"""Cells that arrive while a prediction runs can be looked at before it is done."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from napari_prts.errors import ExpressionError, NucleiError
from napari_prts.expression import (
    ModelBundle,
    PredictedCells,
    PredictRequest,
    TrainRequest,
    predict,
    train,
)
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.study import Study
from napari_prts.study.arriving import ArrivingCells
from tests.expression.sections import Section, make_section

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


@pytest.fixture(scope="module")
def section() -> Section:
    return make_section()


@pytest.fixture(scope="module")
def model(section: Section) -> ModelBundle:
    return trained(section, 1)


def trained(section: Section, epochs: int) -> ModelBundle:
    request = TrainRequest(epochs=epochs, batch=64, device="cpu")
    return run(train(section.features, section.measured, section.nuclei, section.slide, request))


@pytest.fixture(scope="module")
def predicted(section: Section, model: ModelBundle) -> tuple[list[PredictedCells], AnnData]:
    """The batches of a prediction, and its table."""
    batches: list[PredictedCells] = []
    request = PredictRequest(batch=48, device="cpu")
    job = predict(section.features, section.nuclei, section.slide, model, request)
    table = run(job, lambda report: report.partial and batches.append(report.partial))
    return batches, table


@pytest.fixture
def arriving(section: Section, model: ModelBundle) -> ArrivingCells:
    return ArrivingCells(model.genes, model.hash, model.trained_on, section.nuclei)


@pytest.fixture
def study(section: Section, model: ModelBundle) -> Study:
    study = Study(section.slide, autosave=False)
    study.set_nuclei(section.nuclei)
    return study


@pytest.fixture
def heard(study: Study) -> list[str]:
    heard: list[str] = []
    study.arrived.connect(lambda: heard.append("arrived"))
    study.arriving_changed.connect(lambda: heard.append("arriving"))
    study.predicted_changed.connect(lambda: heard.append("predicted"))
    return heard


def test_what_has_arrived_is_what_the_table_will_hold(
    arriving: ArrivingCells, predicted: tuple[list[PredictedCells], AnnData]
) -> None:
    batches, table = predicted
    for batch in batches[:4]:
        arriving.add(batch)
    assert len(arriving) == 4 * 48
    rows = np.searchsorted(table.obs["id"], arriving.ids)
    for gene in arriving.genes[:3]:
        ids, values = arriving.gene(gene)
        np.testing.assert_array_equal(ids, arriving.ids)
        np.testing.assert_allclose(values, table[rows, gene].X.ravel(), rtol=1e-3)
    ids, totals = arriving.total()
    np.testing.assert_allclose(totals, table.X[rows].sum(axis=1), rtol=1e-5)


def test_thousands_of_cells_come_in_any_order(section: Section) -> None:
    rng = np.random.default_rng(0)
    nuclei = Nuclei.from_polygons(rng.uniform(50, 9000, (3000, 1, 2)) + SQUARE)
    arriving = ArrivingCells(("A", "B"), "model", "measured", nuclei)
    wanted = rng.uniform(0, 9, (3000, 2)).astype(np.float32)
    for rows in np.array_split(rng.permutation(3000), 37):
        arriving.add(PredictedCells(nuclei.ids[rows], ("A", "B"), wanted[rows], wanted[rows]))
    order = np.argsort(arriving.positions)
    np.testing.assert_array_equal(arriving.positions[order], np.arange(3000))
    np.testing.assert_allclose(arriving.gene("B")[1][order], wanted[:, 1], rtol=1e-3)


def test_a_cell_that_arrives_again_has_its_new_values(
    arriving: ArrivingCells, predicted: tuple[list[PredictedCells], AnnData]
) -> None:
    batch = predicted[0][0]
    arriving.add(batch)
    twice = PredictedCells(batch.ids[:2], batch.genes, batch.expression[:2] + 5, batch.p_expressed)
    arriving.add(twice)
    assert len(arriving) == len(batch.ids)
    assert arriving.batches == 2
    np.testing.assert_allclose(
        arriving.gene(batch.genes[0])[1][:3], batch.expression[:3, 0] + [5, 5, 0], rtol=1e-3
    )


def test_values_beyond_half_precision_stay_finite(section: Section) -> None:
    arriving = ArrivingCells(("A",), "model", "measured", section.nuclei)
    huge = np.full((1, 1), 1e6, np.float32)
    arriving.add(PredictedCells(section.nuclei.ids[:1], ("A",), huge, huge))
    assert np.isfinite(arriving.gene("A")[1]).all()
    assert arriving.total()[1] == 1e6


def test_cells_that_do_not_belong_here_are_refused(
    arriving: ArrivingCells, predicted: tuple[list[PredictedCells], AnnData]
) -> None:
    batch = predicted[0][0]
    unknown = PredictedCells(batch.ids + 10**6, batch.genes, batch.expression, batch.p_expressed)
    with pytest.raises(NucleiError, match="no nucleus with id"):
        arriving.add(unknown)
    other = PredictedCells(batch.ids, batch.genes[::-1], batch.expression, batch.p_expressed)
    with pytest.raises(ExpressionError, match="another order"):
        arriving.add(other)
    assert len(arriving) == 0
    with pytest.raises(ExpressionError, match="does not predict NOGENE"):
        arriving.gene("NOGENE")


def test_a_study_tells_of_each_batch_and_of_the_end(
    study: Study,
    heard: list[str],
    model: ModelBundle,
    predicted: tuple[list[PredictedCells], AnnData],
) -> None:
    batches, table = predicted
    study.begin_arriving(model, study.nuclei)
    study.take_arrived(batches[0])
    assert study.arriving is not None
    assert study.arriving.trained_on == "simulated"
    assert heard == ["arriving", "arrived"]
    study.set_predicted(table)
    assert study.arriving is None
    assert heard == ["arriving", "arrived", "predicted", "arriving"]
    with pytest.raises(ExpressionError, match="none were expected"):
        study.take_arrived(batches[1])


def test_a_cancelled_prediction_leaves_nothing(
    study: Study, heard: list[str], model: ModelBundle
) -> None:
    study.begin_arriving(model, study.nuclei)
    study.end_arriving()
    study.end_arriving()
    assert study.arriving is None
    assert heard == ["arriving", "arriving"]


def test_other_nuclei_end_it_but_corrections_do_not(study: Study, model: ModelBundle) -> None:
    study.begin_arriving(model, study.nuclei)
    study.edit(removed=[int(study.nuclei.ids[0])])
    assert study.arriving is not None
    study.set_nuclei(Nuclei.from_polygons([SQUARE]))
    assert study.arriving is None


def test_beginning_anew_after_a_correction_keeps_what_had_arrived(
    study: Study, model: ModelBundle, predicted: tuple[list[PredictedCells], AnnData]
) -> None:
    first, second = predicted[0][:2]
    study.begin_arriving(model, study.nuclei)
    study.take_arrived(first)
    gone = int(first.ids[0])
    (new,) = study.edit(removed=[gone], added=[SQUARE])
    study.begin_arriving(model, study.nuclei)
    assert study.arriving is not None
    np.testing.assert_array_equal(study.arriving.ids, first.ids[1:])
    np.testing.assert_allclose(
        study.arriving.gene(first.genes[0])[1], first.expression[1:, 0], rtol=1e-3
    )
    added = PredictedCells(
        np.array([new, first.ids[1]]), first.genes, second.expression[:2], second.p_expressed[:2]
    )
    study.take_arrived(added)
    assert len(study.arriving) == len(first.ids)
    assert study.arriving.ids[-1] == new
    np.testing.assert_allclose(
        study.arriving.total()[1][[0, -1]], second.expression[[1, 0]].sum(axis=1), rtol=1e-5
    )


def test_another_model_begins_with_nothing(
    study: Study,
    section: Section,
    model: ModelBundle,
    predicted: tuple[list[PredictedCells], AnnData],
) -> None:
    study.begin_arriving(model, study.nuclei)
    study.take_arrived(predicted[0][0])
    study.begin_arriving(trained(section, 2), study.nuclei)
    assert study.arriving is not None
    assert len(study.arriving) == 0
