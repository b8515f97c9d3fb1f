"""The simulated bin grid: turned, running up, gently bent, over the whole slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.visium_hd.grid import BinGrid

grids = st.builds(
    BinGrid,
    slide_shape=st.tuples(st.integers(20, 9000), st.integers(20, 9000)),
    mpp=st.floats(0.1, 1.0),
    turn_degrees=st.floats(-5, 5),
)


@settings(deadline=None)
@given(grid=grids, seed=st.integers(0, 99))
def test_from_bins_to_pixels_and_back(grid: BinGrid, seed: int) -> None:
    bins = np.random.default_rng(seed).uniform(0, 1, (20, 2)) * grid.shape
    assert grid.to_bins(grid.to_pixels(bins)) == pytest.approx(bins, abs=0.01)


@settings(deadline=None)
@given(grid=grids)
def test_the_corners_of_the_slide_lie_on_the_grid(grid: BinGrid) -> None:
    height, width = grid.slide_shape
    corners = grid.to_bins(np.array([(0, 0), (0, width), (height, 0), (height, width)], float))
    assert (corners >= 0).all()
    assert (corners <= np.subtract(grid.shape, 1)).all()


def test_rows_run_up_and_an_affine_fit_leaves_some_pixels() -> None:
    grid = BinGrid((2967, 2220), 0.499)
    bins, positions = grid.bins_over_slide()
    design = np.column_stack([bins, np.ones(len(bins))])
    fit = np.linalg.lstsq(design, positions, rcond=None)[0]
    assert fit[0, 0] == pytest.approx(-2 / 0.499, rel=0.01), "pixel rows fall as array rows rise"
    assert fit[1, 1] == pytest.approx(2 / 0.499, rel=0.01)
    turn = np.degrees(np.arctan2(fit[1, 0], fit[1, 1]))
    assert abs(turn) == pytest.approx(1, abs=0.2)
    error = np.hypot(*(design @ fit - positions).T)
    assert 0.5 < error.max() < 6


def test_bins_cover_the_slide_and_nothing_else() -> None:
    bins, positions = BinGrid((400, 600), 0.5).bins_over_slide()
    assert (positions >= 0).all()
    assert (positions < (400, 600)).all()
    assert len(bins) == pytest.approx(400 * 600 * 0.25 / 4, rel=0.02)
    assert len(np.unique(bins, axis=0)) == len(bins)
