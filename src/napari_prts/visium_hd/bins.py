"""Which nucleus a bin's centre lies in, for millions of bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei

NO_NUCLEUS = -1
SEVERAL_NUCLEI = -2
_MAX_CELLS = 1 << 23
_NUCLEI_AT_ONCE = 16_384


def assign_bins(nuclei: Nuclei, positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the one nucleus that contains each bin's centre.

    Exactly shapely's ``contains``: a centre on an outline lies outside. Only the
    few bins around each nucleus are tested, found by a grid over the slide.

    Parameters
    ----------
    nuclei : Nuclei
    positions : (bins, 2) float64
        Centres of the bins, (row, column) in level-0 pixels.

    Returns
    -------
    (bins,) int64
        Position of the nucleus in ``nuclei``; -1 for bins in none, -2 for bins
        in two or more.
    """
    positions = np.asarray(positions, np.float64)
    assigned = np.full(len(positions), NO_NUCLEUS, np.int64)
    if not len(nuclei) or not len(positions):
        return assigned
    bounds = nuclei.bounds.astype(np.float64)
    polygons = nuclei.shapely()
    shapely.prepare(polygons)
    grid = _sort_into_grid(positions, bounds)
    for first in range(0, len(nuclei), _NUCLEI_AT_ONCE):
        part = slice(first, first + _NUCLEI_AT_ONCE)
        owners, bins = _inside(polygons[part], bounds[part], grid, positions)
        _claim(assigned, owners + first, bins)
    return assigned


def _claim(assigned: NDArray[np.int64], owners: NDArray[np.int64], bins: NDArray[np.int64]) -> None:
    """Enter pairs of nucleus and bin; each bin met before or twice becomes ambiguous."""
    unique, first, times = np.unique(bins, return_index=True, return_counts=True)
    fresh = (assigned[unique] == NO_NUCLEUS) & (times == 1)
    assigned[unique] = np.where(fresh, owners[first], SEVERAL_NUCLEI)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Bins sorted by square cells, row after row of cells."""

    origin: NDArray[np.float64]
    cell: float
    shape: tuple[int, int]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]

    def cells_of(self, positions: NDArray[np.float64]) -> NDArray[np.int64]:
        """(row, column) of the cells that hold positions, limited to the grid."""
        cells = np.floor((positions - self.origin) / self.cell).astype(np.int64)
        limited: NDArray[np.int64] = np.clip(cells, 0, np.subtract(self.shape, 1))
        return limited


def _sort_into_grid(positions: NDArray[np.float64], bounds: NDArray[np.float64]) -> _Grid:
    low, high = bounds[:, :2].min(0), bounds[:, 2:].max(0)
    extent = np.maximum(high - low, 1e-6)
    # Half a nucleus wide: few bins outside its bounds are looked at, few cells are empty.
    cell = float(np.median(bounds[:, 2:] - bounds[:, :2])) / 2
    cell = max(cell, float(np.sqrt(extent.prod() / _MAX_CELLS)), float(extent.max()) / _MAX_CELLS)
    rows, columns = (int(cells) + 1 for cells in extent / cell)
    empty = np.empty(0, np.int64)
    grid = _Grid(low, cell, (rows, columns), empty, empty)
    near = np.flatnonzero(((positions > low) & (positions < high)).all(1))
    cells = grid.cells_of(positions[near])
    flat = cells[:, 0] * columns + cells[:, 1]
    wanted = _touched(grid, bounds)[flat]
    near, flat = near[wanted], flat[wanted]
    order = np.argsort(flat, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=rows * columns))])
    return _Grid(low, cell, (rows, columns), starts, near[order])


def _touched(grid: _Grid, bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Cells that the bounds of any nucleus touch, (rows * columns,)."""
    rows, columns = grid.shape
    # Corners of each rectangle, summed along both axes, count the rectangles over each cell.
    corners = np.zeros((rows + 1, columns + 1), np.int32)
    top, left = grid.cells_of(bounds[:, :2]).T
    bottom, right = grid.cells_of(bounds[:, 2:]).T + 1
    for row, column, sign in (
        (top, left, 1),
        (bottom, right, 1),
        (top, right, -1),
        (bottom, left, -1),
    ):
        np.add.at(corners, (row, column), sign)
    counts = corners.cumsum(0).cumsum(1)[:rows, :columns]
    touched: NDArray[np.bool_] = (counts > 0).ravel()
    return touched


def _inside(
    polygons: NDArray[np.object_],
    bounds: NDArray[np.float64],
    grid: _Grid,
    positions: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (polygon, bin) where the polygon contains the bin's centre."""
    owners, bins = _candidates(bounds, grid)
    row, column = positions[bins].T
    box = bounds[owners]
    boxed = (row > box[:, 0]) & (column > box[:, 1]) & (row < box[:, 2]) & (column < box[:, 3])
    owners, bins, row, column = owners[boxed], bins[boxed], row[boxed], column[boxed]
    contained = shapely.contains_xy(polygons[owners], column, row)
    return owners[contained], bins[contained]


def _candidates(
    bounds: NDArray[np.float64], grid: _Grid
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (polygon, bin) where a cell that holds the bin touches the polygon's bounds."""
    columns = grid.shape[1]
    top, left = grid.cells_of(bounds[:, :2]).T
    bottom, right = grid.cells_of(bounds[:, 2:]).T
    # The cells of a polygon in one row of the grid follow each other: one run of bins.
    owner, step = _expanded(bottom - top + 1)
    row = top[owner] + step
    start = grid.starts[row * columns + left[owner]]
    stop = grid.starts[row * columns + right[owner] + 1]
    run, offset = _expanded(stop - start)
    return owner[run], grid.order[start[run] + offset]


def _expanded(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of ``lengths[i]`` steps of item i: i, and the step counted from 0."""
    items = np.repeat(np.arange(len(lengths)), lengths)
    begins = np.cumsum(lengths) - lengths
    return items, np.arange(len(items)) - begins[items]
