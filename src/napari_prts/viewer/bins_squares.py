"""Bins as turned squares: which bin each pixel of the slide's picture shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_prts.viewer.cell_dots import CellDots, Numbers

# Pixels that are set together, to bound the memory that it takes.
_AT_ONCE = 2_000_000


class BinSquares(CellDots):
    """Squares that touch each other, turned as the machine's grid lies on the slide.

    Each bin is drawn at its own place, since the grid is a little bent.

    Parameters
    ----------
    centres : ndarray, shape (bins, 2)
        (row, column) in level-0 pixels.
    axes : ndarray, shape (2, 2)
        Its columns are the steps from a bin to the next ones, in level-0 pixels.
    shape : tuple of int
        Rows and columns of the slide's level 0.
    """

    def __init__(
        self, centres: NDArray[np.floating], axes: NDArray[np.floating], shape: tuple[int, int]
    ) -> None:
        side = float(np.sqrt(abs(np.linalg.det(axes))))
        # What reaches into a block is found by the diagonal.
        super().__init__(np.asarray(centres, np.float32), shape, side * math.sqrt(2))
        self.axes = np.asarray(axes, np.float64)

    def at(self, row: float, column: float) -> Numbers:
        """Find the bins that cover a place in level-0 pixels; see :meth:`CellDots.at`."""
        near = super().at(row, column)
        away = np.linalg.solve(self.axes, (self.centroids[near] - [row, column]).T)
        covering: Numbers = near[(np.abs(away) <= 0.5).all(axis=0)]
        return covering

    def _draw(self, level: int, top: int, left: int, height: int, width: int) -> Numbers | None:
        factor = 2**level
        reach = self.diameter / 2 + 2 * factor
        first, last = np.searchsorted(
            self._rows, [top * factor - reach, (top + height) * factor + reach]
        )
        columns = self._columns[first:last]
        start, stop = left * factor - reach, (left + width) * factor + reach
        near = first + np.flatnonzero((columns >= start) & (columns <= stop))
        if not len(near):
            return None
        points = np.stack([self._rows[near], self._columns[near]], axis=1) / factor - [top, left]
        return squares(points, self._order[near], len(self), (height, width), self.axes / factor)


def squares(
    points: NDArray[np.floating],
    numbers: NDArray[np.integer],
    nothing: int,
    shape: tuple[int, int],
    axes: NDArray[np.floating],
) -> Numbers:
    """Draw numbered squares into a picture, each a little too large so that none is between.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Their middles in pixels, (row, column), from the picture's upper left corner; no
        farther outside it than a square reaches.
    numbers : ndarray of int, shape (n,)
        What each is painted with.
    nothing : int
        What is painted where there is none.
    shape : tuple of int
        Rows and columns of the picture.
    axes : ndarray, shape (2, 2)
        Its columns are the square's sides in pixels.

    Returns
    -------
    ndarray of int32
        The picture.
    """
    stamp = _stamp(axes)
    reach = int(np.abs(stamp).max())
    margin = 2 * reach + 4
    rows, columns = shape[0] + 2 * margin, shape[1] + 2 * margin
    picture = np.full((rows, columns), nothing, np.int32)
    flat = picture.reshape(-1)
    middles = np.floor(points).astype(np.int64) + margin
    inside = ((middles >= reach) & (middles < [rows - reach, columns - reach])).all(axis=1)
    starts, numbers = middles[inside] @ [columns, 1], numbers[inside]
    offsets = stamp[:, 0] * columns + stamp[:, 1]
    step = max(_AT_ONCE // len(offsets), 1)
    for first in range(0, len(starts), step):
        part = slice(first, first + step)
        flat[starts[part, None] + offsets] = numbers[part, None]
    return np.ascontiguousarray(picture[margin:-margin, margin:-margin])


def _stamp(axes: NDArray[np.floating]) -> NDArray[np.int64]:
    """Pixels of a square around its middle pixel, (pixels, 2)."""
    reach = math.ceil(np.abs(axes).sum(axis=1).max() / 2) + 1
    at = np.arange(-reach, reach + 1)
    places = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    sides = np.linalg.norm(axes, axis=0)
    away = np.abs(np.linalg.solve(axes, places.T).T) * sides
    # Middles are moved to whole pixels: half a pixel more on each side leaves no gap.
    stamp: NDArray[np.int64] = places[(away <= sides / 2 + 0.5).all(axis=1)]
    return stamp
