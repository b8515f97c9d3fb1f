"""A model on disk: whole, checked, and without code in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.expression import ModelBundle, load_bundle, predict
from napari_prts.jobs import run
from napari_prts.slide import Slide
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import QualityReference
from tests.expression.sections import GENES, Section


@pytest.fixture
def folder(bundle: ModelBundle, tmp_path: Path) -> Path:
    return bundle.save(tmp_path / "model")


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def test_a_loaded_model_predicts_the_same(
    section: Section, bundle: ModelBundle, folder: Path
) -> None:
    again = load_bundle(folder)
    assert again.hash == bundle.hash
    assert again.card == bundle.card
    first, second = (
        run(predict(section.features, section.nuclei, section.slide, model))
        for model in (bundle, again)
    )
    np.testing.assert_array_equal(first.X, second.X)


def test_it_says_what_it_is(bundle: ModelBundle) -> None:
    assert bundle.genes == tuple(f"GENE{i}" for i in range(GENES))
    assert (bundle.encoder, bundle.encoder_key) == ("made-up", "made-up-1")
    assert bundle.trained_on == "simulated"
    assert bundle.threshold in [step / 10 for step in range(10)]
    assert set(bundle.card["training"]["cells"]) == {"train", "validation", "test", "gap"}


def test_it_knows_stain_and_focus_of_its_slide_if_that_was_measured(
    tissue_slide: Slide, bundle: ModelBundle, folder: Path
) -> None:
    reference = QualityReference.of([slide_quality(tissue_slide)])
    told = ModelBundle({**bundle.card, "quality_reference": reference.as_dict()}, bundle.arrays)
    again = load_bundle(told.save(folder))
    assert again.quality_reference == reference

    # Older models have none, and load as ever.
    change_card(folder, lambda card: card.pop("quality_reference"))
    assert load_bundle(folder).quality_reference is None
    change_card(folder, lambda card: card.update(quality_reference={"focus": 1}))
    with pytest.raises(ModelError, match="quality reference cannot be read"):
        load_bundle(folder)


def test_the_folder_holds_arrays_and_a_card_and_nothing_that_runs(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]


def test_saving_again_replaces_a_model_but_nothing_else(
    bundle: ModelBundle, folder: Path, tmp_path: Path
) -> None:
    bundle.save(folder)
    assert load_bundle(folder).hash == bundle.hash
    precious = tmp_path / "holiday"
    precious.mkdir()
    (precious / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match="something else"):
        bundle.save(precious)
    with pytest.raises(ModelError, match="is a file"):
        bundle.save(precious / "photo.jpg")
    assert (precious / "photo.jpg").read_bytes() == b"x"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["holiday", "model"]


def test_a_save_that_fails_leaves_nothing_behind(
    bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ModelError, match="No space left"):
        bundle.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_damaged_weights_file_is_noticed(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder)
    weights.unlink()
    with pytest.raises(ModelError, match="whole model folder"):
        load_bundle(folder)


def test_a_newer_format_asks_for_an_update(folder: Path) -> None:
    change_card(folder, lambda card: card.update(format_version=3))
    with pytest.raises(ModelError, match=r"format version 3.*update"):
        load_bundle(folder)


def test_a_model_of_the_first_format_loads_and_predicts_as_ever(
    section: Section, bundle: ModelBundle, tmp_path: Path
) -> None:
    # As version 1 wrote it: one slide, no counts of the training cells.
    (slide,) = bundle.card["training"]["slides"]
    training = {n: v for n, v in bundle.card["training"].items() if n != "slides"} | {
        "slide_fingerprint": slide["fingerprint"],
        "slide_name": slide["name"],
        "slide_mpp": slide["mpp"],
        "split": slide["split"],
    }
    features = {n: v for n, v in bundle.card["features"].items() if n != "standardise"}
    arrays = {n: a for n, a in bundle.arrays.items() if not n.startswith("training.counts")}
    first = ModelBundle({**bundle.card, "training": training, "features": features}, arrays)
    folder = first.save(tmp_path / "first")
    change_card(folder, lambda card: card.update(format_version=1))

    again = load_bundle(folder)
    assert again.training_counts is None
    assert (again.standardise, again.trained_on) == ("all", "simulated")
    assert [slide.name for slide in again.slides] == ["made-up"]
    old, new = (
        run(predict(section.features, section.nuclei, section.slide, model))
        for model in (again, bundle)
    )
    np.testing.assert_array_equal(old.X, new.X)
    assert list(old.obs["split"]) == list(new.obs["split"])


def test_counts_that_do_not_fit_their_cells_are_damage(bundle: ModelBundle) -> None:
    wrong = {**bundle.arrays, "training.counts.indptr": bundle.arrays["training.counts.indptr"][1:]}
    with pytest.raises(ModelError, match="training cells"):
        ModelBundle(bundle.card, wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.pop("genes"),
        lambda card: card["genes"].pop(),
        lambda card: card["features"].update(count=3),
        lambda card: card["network"].update(widths=[4, 4]),
        lambda card: card.update(training={}),
        lambda card: card["training"]["slides"][0]["split"].pop("axis"),
        lambda card: card["training"]["slides"][0].update(split={"whole": "half"}),
        lambda card: card.update(threshold="high"),
    ],
)
def test_a_card_that_does_not_fit_is_damage(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    change_card(folder, change)
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder)


def test_what_is_no_model_is_said_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load_bundle(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no card\.json"):
        load_bundle(tmp_path / "empty")
    (folder / "card.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder)
    (folder / "card.json").write_text('{"format": "napari-prts stardist"}')
    with pytest.raises(ModelError, match="not the card of a PRTS expression model"):
        load_bundle(folder)
