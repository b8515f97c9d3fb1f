"""Bins sorted by square cells of the slide, to find those in many small boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MAX_CELLS = 1 << 23
# What is computed for so many bins stays in the processor's cache.
_BINS_AT_ONCE = 1 << 16

Boxes = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BinsInCells:
    """Bins near boxes, sorted row after row of cells.

    Parameters
    ----------
    origin : (2,) float64
        Corner of the first cell, (row, column).
    per_pixel : float
        Cells in a pixel.
    shape : (int, int)
        Rows and columns of cells.
    starts : (cells + 1,) int64
        Where each cell's bins begin in ``order``.
    order : int64
        Bins by cell.
    points : (bins, 2) float64
        Their (row, column), in the same order.
    """

    origin: NDArray[np.float64]
    per_pixel: float
    shape: tuple[int, int]
    starts: Numbers
    order: Numbers
    points: NDArray[np.float64]

    @classmethod
    def of(cls, positions: NDArray[np.float64], boxes: Boxes) -> BinsInCells:
        """Sort the bins that share a cell with a box; all others are left out.

        Parameters
        ----------
        positions : (bins, 2) float64
            (row, column).
        boxes : (n, 4) float64
            Smallest row and column, largest row and column; one or more.
        """
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        extent = np.maximum(high - low, 1e-6)
        # Half a box wide: few bins outside the boxes are looked at, few cells are empty.
        cell = float(np.median(boxes[:, 2:] - boxes[:, :2])) / 2
        fewest = max(float(np.sqrt(extent.prod() / _MAX_CELLS)), float(extent.max()) / _MAX_CELLS)
        per_pixel = 1 / max(cell, fewest)
        rows, columns = (int(cells) + 1 for cells in extent * per_pixel)
        nothing = np.empty(0, np.int64)
        grid = cls(low, per_pixel, (rows, columns), nothing, nothing, np.empty((0, 2)))
        near, flat = grid._near(positions, grid._touched(boxes))
        starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=rows * columns))])
        order = near[_sorting(flat)]
        return cls(low, per_pixel, (rows, columns), starts, order, positions[order])

    def in_boxes(self, boxes: Boxes, edges: bool = False) -> tuple[Numbers, Numbers]:
        """Find the bins inside boxes.

        Parameters
        ----------
        boxes : (n, 4) float64
            Within those that the bins were sorted for.
        edges : bool
            Whether bins on the edge of a box count.

        Returns
        -------
        box, place : int64
            Pairs, by box; the bin is ``order[place]`` and lies at ``points[place]``.
        """
        owners, places = self._candidates(boxes)
        inside = np.ones(len(places), bool)
        for axis in (0, 1):
            at = self.points[places, axis]
            low, high = boxes[owners, axis], boxes[owners, axis + 2]
            inside &= (at >= low) & (at <= high) if edges else (at > low) & (at < high)
        return owners[inside], places[inside]

    def _cells_of(self, points: NDArray[np.float64], axis: int) -> Numbers:
        """Row (axis 0) or column (axis 1) of the cells that hold points.

        Points far before the first cell get -1, and points behind the last one the number
        of cells. Rounding does not matter: a point that lies between two others is in a
        cell between theirs.
        """
        cells = (points[:, axis] - self.origin[axis]) * self.per_pixel
        # Unlike maximum and minimum these put what is no number outside as well.
        np.fmax(cells, -1.0, out=cells)
        np.fmin(cells, self.shape[axis], out=cells)
        whole: Numbers = cells.astype(np.int64)
        return whole

    def _cell_ranges(self, boxes: Boxes) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """First row, first column, last row, last column of the cells that boxes touch."""
        low, high = boxes[:, :2], boxes[:, 2:]
        return (
            self._cells_of(low, 0),
            self._cells_of(low, 1),
            self._cells_of(high, 0),
            self._cells_of(high, 1),
        )

    def _near(
        self, positions: NDArray[np.float64], touched: NDArray[np.bool_]
    ) -> tuple[Numbers, Numbers]:
        """Bins in touched cells, and the cell of each."""
        columns = self.shape[1]
        # A frame of untouched cells around all others takes the bins outside.
        framed = np.pad(touched, 1).ravel()
        bins, cells = [], []
        for start in range(0, len(positions), _BINS_AT_ONCE):
            some = positions[start : start + _BINS_AT_ONCE]
            row, column = self._cells_of(some, 0), self._cells_of(some, 1)
            wanted = np.flatnonzero(framed[(row + 1) * (columns + 2) + column + 1])
            bins.append(wanted + start)
            cells.append(row[wanted] * columns + column[wanted])
        return np.concatenate(bins), np.concatenate(cells)

    def _touched(self, boxes: Boxes) -> NDArray[np.bool_]:
        """Cells that any box touches, (rows, columns)."""
        rows, columns = self.shape
        # Corners of each rectangle, summed along both axes, count the rectangles over each cell.
        corners = np.zeros((rows + 1, columns + 1), np.int32)
        top, left, bottom, right = self._cell_ranges(boxes)
        for row, column, sign in (
            (top, left, 1),
            (bottom + 1, right + 1, 1),
            (top, right + 1, -1),
            (bottom + 1, left, -1),
        ):
            np.add.at(corners, (row, column), sign)
        counts = corners.cumsum(0, out=corners).cumsum(1, out=corners)[:rows, :columns]
        touched: NDArray[np.bool_] = counts > 0
        return touched

    def _candidates(self, boxes: Boxes) -> tuple[Numbers, Numbers]:
        """Pairs (box, place in ``order``) where a cell that holds the bin touches the box."""
        columns = self.shape[1]
        top, left, bottom, right = self._cell_ranges(boxes)
        # The cells of a box in one row of the grid follow each other: one run of bins.
        owner, step = _expanded(bottom - top + 1)
        row = top[owner] + step
        start = self.starts[row * columns + left[owner]]
        stop = self.starts[row * columns + right[owner] + 1]
        run, offset = _expanded(stop - start)
        return owner[run], start[run] + offset


def _sorting(cells: Numbers) -> Numbers:
    """Order that sorts numbers below 2**32."""
    # numpy sorts numbers of 16 bits digit by digit, many times quicker than wider ones.
    low = np.argsort(cells.astype(np.uint16), kind="stable")
    return low[np.argsort((cells >> 16).astype(np.uint16)[low], kind="stable")]


def _expanded(lengths: Numbers) -> tuple[Numbers, Numbers]:
    """For each of ``lengths[i]`` steps of item i: i, and the step counted from 0."""
    items = np.repeat(np.arange(len(lengths)), lengths)
    begins = np.cumsum(lengths) - lengths
    return items, np.arange(len(items)) - begins[items]
