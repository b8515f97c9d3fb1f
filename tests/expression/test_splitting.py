"""Training, validation and test cells are kept apart by a tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_prts.errors import ExpressionError
from napari_prts.expression import SplitPlan, SplitRequest, plan_split, split_spatially

PARTS = ("train", "validation", "test")


def closest(first: np.ndarray, second: np.ndarray) -> float:
    return float(cKDTree(first).query(second)[0].min())


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.floats(100, 5000),
    width=st.floats(100, 5000),
    gap=st.floats(0, 300),
    test=st.floats(0, 0.4),
    validation=st.floats(0.05, 0.3),
)
def test_cells_of_two_parts_are_never_nearer_than_the_gap(
    seed: int, height: float, width: float, gap: float, test: float, validation: float
) -> None:
    cells = np.random.default_rng(seed).uniform((0, 0), (height, width), size=(400, 2))
    try:
        parts = split_spatially(cells, SplitRequest(test, validation, gap))
    except ExpressionError:
        # Refused for too few cells in a part, which the tests below are about.
        return
    for i, first in enumerate(PARTS):
        for second in PARTS[i + 1 :]:
            if (parts == first).any() and (parts == second).any():
                assert closest(cells[parts == first], cells[parts == second]) >= gap - 1e-6


def test_a_small_section_keeps_its_gap_and_enough_cells() -> None:
    # As many cells as StarDist finds on a small section, 1.1 x 1.5 mm.
    cells = np.random.default_rng(0).uniform((0, 0), (1500, 1100), size=(2000, 2))
    parts = split_spatially(cells)
    share = {part: float((parts == part).mean()) for part in (*PARTS, "gap")}
    assert share["test"] == pytest.approx(0.25, abs=0.01)
    assert share["validation"] == pytest.approx(0.15, abs=0.01)
    assert share["train"] > 0.4
    assert closest(cells[parts == "train"], cells[parts == "test"]) >= 128
    assert closest(cells[parts == "train"], cells[parts == "validation"]) >= 128


def test_the_strips_cross_the_longer_axis() -> None:
    tall = np.random.default_rng(0).uniform((0, 0), (3000, 1000), size=(500, 2))
    assert plan_split(tall, SplitRequest()).axis == 0
    assert plan_split(tall[:, ::-1], SplitRequest()).axis == 1


def test_test_cells_can_be_done_without() -> None:
    cells = np.random.default_rng(0).uniform(0, 1000, size=(200, 2))
    assert set(split_spatially(cells, SplitRequest(test=0))) == {"train", "validation", "gap"}


def test_a_plan_labels_other_cells_of_the_slide_the_same_way() -> None:
    cells = np.random.default_rng(0).uniform((0, 0), (1500, 1100), size=(400, 2))
    for request in (SplitRequest(), SplitRequest(test=0)):
        plan = plan_split(cells, request)
        again = SplitPlan.from_dict(plan.as_dict())
        assert again == plan
        np.testing.assert_array_equal(again.label(cells[:7]), plan.label(cells)[:7])


@pytest.mark.parametrize("count", [0, 5, 60])
def test_too_few_cells_are_refused(count: int) -> None:
    cells = np.random.default_rng(0).uniform(0, 1000, size=(count, 2))
    with pytest.raises(ExpressionError, match=r"too few|Too few"):
        split_spatially(cells)


def test_a_gap_that_swallows_the_training_cells_is_refused() -> None:
    cells = np.random.default_rng(0).uniform(0, 300, size=(5000, 2))
    with pytest.raises(ExpressionError, match=r"0 for train.*smaller gap"):
        split_spatially(cells)


@pytest.mark.parametrize(
    "wrong", [{"test": 0.9, "validation": 0.2}, {"validation": 0.0}, {"gap_um": -1.0}]
)
def test_impossible_requests_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ExpressionError):
        SplitRequest(**wrong)
