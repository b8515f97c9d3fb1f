"""Cells as dots: which cell each pixel of the slide's picture shows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int32]

# Pixels along the side of a block: a view holds few pixels that are not on screen.
SIDE = 256
# Blocks that are kept: at most 128 MB, two screens of 3,840 x 2,160 pixels.
_KEPT = 512
# Pixels of a level: smaller dots would be lost when the level is shown somewhat reduced.
_SMALLEST = 2.0
# Pixels that are set together, to bound the memory that it takes.
_AT_ONCE = 2_000_000


class CellDots:
    """Round dots around cells, numbered in the cells' order, drawn where they are looked at.

    A later cell covers earlier ones. Level ``n`` of the picture has ``2 ** n`` level-0 pixels
    along a pixel's side.

    Parameters
    ----------
    centroids : ndarray of float32, shape (n, 2)
        (row, column) of the cells in level-0 pixels.
    shape : tuple of int
        Rows and columns of the slide's level 0.
    diameter : float
        Of a dot, in level-0 pixels.

    Attributes
    ----------
    centroids, shape, diameter
        As given.
    """

    def __init__(
        self, centroids: NDArray[np.floating], shape: tuple[int, int], diameter: float
    ) -> None:
        self.centroids = centroids
        self.shape = shape
        self.diameter = diameter
        self._order = np.argsort(centroids[:, 0], kind="stable")
        # The centre of the first level-0 pixel is at 0: the picture begins half a pixel before.
        self._rows, self._columns = np.ascontiguousarray(centroids[self._order].T) + 0.5
        self._block = lru_cache(_KEPT)(self._draw_block)

    def __len__(self) -> int:
        return len(self.centroids)

    def same(self, centroids: NDArray[np.floating], diameter: float) -> bool:
        """Whether these dots would do for other cells."""
        return diameter == self.diameter and (
            centroids is self.centroids or np.array_equal(centroids, self.centroids)
        )

    def block(self, level: int, row: int, column: int) -> Numbers | None:
        """Return a block of a level, or None if no dot reaches into it.

        Parameters
        ----------
        level : int
            The level.
        row, column : int
            Which block, counted in blocks.

        Returns
        -------
        ndarray of int32, shape (height, width) or None
            Number of the cell that each pixel shows, ``len(self)`` where none is; smaller
            than ``SIDE`` at the picture's end.
        """
        return self._block(level, row, column)

    def whole(self, level: int) -> Numbers:
        """Return a whole level; see :meth:`block`."""
        height, width = level_shape(self.shape, level)
        drawn = self._draw(level, 0, 0, height, width)
        return np.full((height, width), len(self), np.int32) if drawn is None else drawn

    def at(self, row: float, column: float) -> Numbers:
        """Find the cells whose dots cover a place.

        Parameters
        ----------
        row, column : float
            In level-0 pixels.

        Returns
        -------
        ndarray of int32
            Numbers, ascending: the last one is on top.
        """
        radius = self.diameter / 2
        place = np.array([row + 0.5, column + 0.5])
        first, last = np.searchsorted(self._rows, [place[0] - radius, place[0] + radius])
        down = self._rows[first:last] - place[0]
        right = self._columns[first:last] - place[1]
        near: Numbers = np.sort(self._order[first:last][down**2 + right**2 <= radius**2])
        return near.astype(np.int32)

    def _draw_block(self, level: int, row: int, column: int) -> Numbers | None:
        rows, columns = level_shape(self.shape, level)
        top, left = row * SIDE, column * SIDE
        return self._draw(level, top, left, min(SIDE, rows - top), min(SIDE, columns - left))

    def _draw(self, level: int, top: int, left: int, height: int, width: int) -> Numbers | None:
        factor = 2**level
        diameter = max(self.diameter / factor, _SMALLEST)
        reach = (diameter / 2 + 1) * factor
        lower, upper = top * factor - reach, (top + height) * factor + reach
        first, last = np.searchsorted(self._rows, [lower, upper])
        columns = self._columns[first:last]
        start, stop = left * factor - reach, (left + width) * factor + reach
        near = first + np.flatnonzero((columns >= start) & (columns <= stop))
        if not len(near):
            return None
        numbers = self._order[near]
        above = np.argsort(numbers)
        points = np.stack([self._rows[near], self._columns[near]], axis=1)[above] / factor
        return discs(points - [top, left], numbers[above], len(self), (height, width), diameter)


def discs(
    points: NDArray[np.floating],
    numbers: NDArray[np.integer],
    nothing: int,
    shape: tuple[int, int],
    diameter: float,
) -> Numbers:
    """Draw numbered discs into a picture, later ones over earlier ones.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Their middles in pixels, (row, column), from the picture's upper left corner; no
        farther outside it than a disc reaches.
    numbers : ndarray of int, shape (n,)
        What each is painted with.
    nothing : int
        What is painted where there is none.
    shape : tuple of int
        Rows and columns of the picture.
    diameter : float
        In pixels.

    Returns
    -------
    ndarray of int32
        The picture.
    """
    side = math.ceil(diameter)
    margin = 2 * side + 2
    rows, columns = shape[0] + 2 * margin, shape[1] + 2 * margin
    picture = np.full((rows, columns), nothing, np.int32)
    flat = picture.reshape(-1)
    at = np.arange(side) + 0.5 - side / 2
    # A quarter of a pixel less than the radius: no single pixels stick out.
    down, right = np.nonzero(at[:, None] ** 2 + at**2 <= (diameter / 2 - 0.25) ** 2)
    disc = down * columns + right
    corners = np.rint(points - side / 2).astype(np.int64) + margin
    corners = np.clip(corners, 0, [rows - side, columns - side])
    starts = corners[:, 0] * columns + corners[:, 1]
    step = max(_AT_ONCE // len(disc), 1)
    for first in range(0, len(starts), step):
        part = slice(first, first + step)
        flat[starts[part, None] + disc] = numbers[part, None]
    return np.ascontiguousarray(picture[margin:-margin, margin:-margin])


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Rows and columns of a level, from those of level 0."""
    rows, columns = (-(-side // 2**level) for side in shape)
    return rows, columns
