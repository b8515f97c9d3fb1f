"""The distance to the training cells."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_prts.expression import ModelBundle, predict, split_spatially, unlike_words
from napari_prts.expression.scaling import FeatureScaling
from napari_prts.expression.similarity import MOST_ROWS, TrainingCells, unlike_training
from napari_prts.features import ExtractRequest
from napari_prts.features.extraction import extract
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide, tissue_mask
from tests.conftest import outlined_by_threshold
from tests.expression.sections import Section


def test_it_is_the_distance_to_the_fifth_neighbour() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)).astype(np.float32)
    cells = rng.normal(size=(9, 4)).astype(np.float32)
    expected = [sorted(np.linalg.norm(rows - cell, axis=1))[4] for cell in cells]
    np.testing.assert_allclose(TrainingCells(rows, 1.0).distances(cells), expected, rtol=1e-4)


def test_one_in_twenty_cells_that_did_not_train_lies_beyond_1() -> None:
    rng = np.random.default_rng(0)
    training, others = rng.normal(size=(2, 1000, 6)).astype(np.float32)
    distances = TrainingCells.fit(training, others, seed=0).distances(others)
    assert np.mean(distances > 1) == 0.05


def test_unlike_cells_are_far_away() -> None:
    rng = np.random.default_rng(0)
    training, others = rng.normal(size=(2, 300, 6)).astype(np.float32)
    cells = TrainingCells.fit(training, others, seed=0)
    assert (cells.distances(others + 10) > 2).all()


def test_a_large_training_set_is_sampled_alike_for_the_same_seed() -> None:
    training = np.random.default_rng(0).normal(size=(MOST_ROWS + 500, 3)).astype(np.float32)
    first, second = (TrainingCells.fit(training, training[:50], seed=1) for _ in range(2))
    assert len(first.rows) == MOST_ROWS
    np.testing.assert_array_equal(first.rows, second.rows)


def test_few_and_equal_training_cells_still_give_numbers() -> None:
    rows = np.zeros((3, 2), np.float32)
    cells = TrainingCells.fit(rows, rows, seed=0)
    assert cells.scale == 1
    np.testing.assert_array_equal(cells.distances(rows), 0)


def test_confidence_is_the_share_of_held_out_cells_that_lie_farther() -> None:
    cells = TrainingCells(np.zeros((9, 2), np.float32), 1.0, held_out=(0.2, 0.4, 0.6, 0.8, 1.2))
    asked = np.array([0.1, 0.2, 0.5, 0.8, 1.0, 1.2, 7.0], np.float32)
    wanted = [1, 1, 0.625, 0.25, 0.125, 0, 0]
    np.testing.assert_allclose(cells.confidence(asked), wanted, atol=1e-6)


def test_confidence_of_ordinary_cells_is_even_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    training, held_out, new = rng.normal(size=(3, 1500, 8)).astype(np.float32)
    cells = TrainingCells.fit(training, held_out, seed=0)
    found = cells.confidence(cells.distances(new))
    shares = np.histogram(found, np.linspace(0, 1, 6))[0] / len(found)
    np.testing.assert_allclose(shares, 0.2, atol=0.05)
    assert cells.confidence(np.array([1.0], np.float32))[0] == pytest.approx(0.05, abs=0.01)


def test_it_goes_through_a_models_card_and_older_cards_know_no_confidence() -> None:
    rng = np.random.default_rng(0)
    cells = TrainingCells.fit(*rng.normal(size=(2, 90, 3)).astype(np.float32), seed=0)
    card = json.loads(json.dumps(cells.as_card()))
    again = TrainingCells.from_card(cells.rows, card)
    assert (again.scale, again.held_out) == (cells.scale, cells.held_out)
    del card["held_out"]
    old = TrainingCells.from_card(cells.rows, card)
    assert np.isnan(old.confidence(np.ones(2, np.float32))).all()
    assert old.distances(cells.rows).shape == (90,)


def test_predicted_cells_carry_distance_confidence_and_mark(
    section: Section, bundle: ModelBundle
) -> None:
    table = run(predict(section.features, section.nuclei, section.slide, bundle))
    marked, distance = table.obs["unlike_training"], table.obs["distance"]
    assert marked.dtype == bool
    np.testing.assert_array_equal(marked, distance > 1)
    held_out = table.obs["split"] == "validation"
    assert marked[held_out].mean() == pytest.approx(0.05, abs=0.03)
    assert table.obs["confidence"].between(0, 1).all()
    assert table.obs["confidence"][held_out].mean() == pytest.approx(0.5, abs=0.05)
    assert table.uns["prts"]["unlike_training_share"] == pytest.approx(marked.mean())
    table.uns["prts"]["unlike_training_share"] = 0.1
    assert unlike_words(table) == ""
    table.uns["prts"]["unlike_training_share"] = 0.62
    assert unlike_words(table).startswith("62% of the cells look unlike those")


def test_cells_that_look_like_nothing_seen_are_marked_and_have_no_confidence(
    section: Section, bundle: ModelBundle
) -> None:
    given = section.features
    strange = dataclasses.replace(given, local=given.local + 500)
    table = run(predict(strange, section.nuclei, section.slide, bundle))
    assert table.obs["unlike_training"].all()
    assert (table.obs["confidence"] == 0).all()


# Real pixels: the embedded slide, and what is not like it.


@dataclass(frozen=True)
class Slides:
    """Features of the embedded slide's cells, and what was learned of some of them."""

    cells: TrainingCells
    scaling: FeatureScaling
    nuclei: Nuclei
    held_out: np.ndarray

    def marked(self, slide: Slide, nuclei: Nuclei) -> np.ndarray:
        """Which nuclei of another slide are marked as unlike the training cells."""
        found = run(extract(slide, nuclei, ExtractRequest())).matrix
        return unlike_training(self.cells.distances(self.scaling.apply(found)))


@pytest.fixture(scope="module")
def known(demo_slide: Slide, demo_nuclei: Nuclei) -> Slides:
    parts = split_spatially(demo_nuclei.centroids * demo_slide.require_mpp())
    looks = run(extract(demo_slide, demo_nuclei, ExtractRequest())).matrix
    scaling = FeatureScaling.fit(looks[parts == "train"])
    train, validation, test = (
        scaling.apply(looks[parts == part]) for part in ("train", "validation", "test")
    )
    cells = TrainingCells.fit(train, validation, seed=0)
    return Slides(cells, scaling, demo_nuclei, unlike_training(cells.distances(test)))


def restained(slide: Slide, absorption: np.ndarray) -> Slide:
    """The same slide in another stain: optical density of red, green and blue mixed anew."""
    pixels = np.asarray(slide.levels[0]).astype(np.float32)
    density = -np.log((pixels + 1) / 256) @ absorption.T
    changed = np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)
    return Slide.from_array(changed, mpp=slide.require_mpp(), name="restained")


def test_few_held_out_cells_of_the_same_slide_are_marked(known: Slides) -> None:
    assert known.held_out.mean() < 0.15


@pytest.mark.parametrize(
    "absorption",
    [
        [[0.35, 0.2, 0], [0.2, 0.6, 0.1], [0.3, 0.5, 0.7]],
        [[0.6, 0.3, 0.1], [0.1, 1.2, 0.3], [0.5, 0.1, 0.9]],
        np.eye(3) * 1.7,
    ],
    ids=["brown", "redder", "darker"],
)
def test_the_same_cells_in_another_stain_are_marked(
    known: Slides, demo_slide: Slide, absorption: list
) -> None:
    other = restained(demo_slide, np.array(absorption, np.float32))
    assert known.marked(other, known.nuclei).mean() > 0.9


def test_outlines_on_glass_are_marked(known: Slides, demo_slide: Slide) -> None:
    glass = np.argwhere(~tissue_mask(demo_slide).mask)
    rng = np.random.default_rng(0)
    centres = rng.choice(glass, 60, replace=False) * tissue_mask(demo_slide).downsample
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = 8 * np.column_stack([np.sin(angles), np.cos(angles)])
    inside = np.clip(centres, 20, np.subtract(demo_slide.shape, 20))
    outlines = Nuclei.from_polygons(inside[:, None] + circle)
    assert known.marked(demo_slide, outlines).mean() > 0.9


def test_cells_of_another_tissue_are_marked(known: Slides, shared_data: Path) -> None:
    path = shared_data / "her2st" / "B4.jpg"
    if not path.is_file():
        pytest.skip(f"the breast cancer section is not at {path}")
    pixels = cv2.imread(str(path))[4000:5400, 4000:5400, ::-1]
    # Spots 200 um apart are about 290 px apart.
    breast = Slide.from_array(np.ascontiguousarray(pixels), mpp=0.69, name="breast")
    marked = known.marked(breast, outlined_by_threshold(breast))
    assert len(marked) > 100
    assert marked.mean() > 0.8
