"""Cutting a slide, at the model's scale, into tiles that own their grid points.

Model pixels count from the slide's upper left corner. All tiles begin at
multiples of the network's divisor, so the same grid points are evaluated whatever
the size of the tiles, and each point belongs to exactly one tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rectangle:
    """Part of an image: rows ``row0 <= r < row1``, columns ``column0 <= c < column1``."""

    row0: int
    column0: int
    row1: int
    column1: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.row1 - self.row0

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.column1 - self.column0

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.row1 <= self.row0 or self.column1 <= self.column0

    def grown(self, by: int) -> Rectangle:
        """The rectangle with ``by`` pixels more on each side."""
        return Rectangle(self.row0 - by, self.column0 - by, self.row1 + by, self.column1 + by)

    def aligned(self, divisor: tuple[int, int]) -> Rectangle:
        """The smallest rectangle around this one with sides at multiples of ``divisor``."""
        rows, columns = divisor
        return Rectangle(
            self.row0 // rows * rows,
            self.column0 // columns * columns,
            -(-self.row1 // rows) * rows,
            -(-self.column1 // columns) * columns,
        )

    def within(self, other: Rectangle) -> Rectangle:
        """The part inside ``other``; of no size if there is none."""
        row0, column0 = max(self.row0, other.row0), max(self.column0, other.column0)
        return Rectangle(
            row0,
            column0,
            max(row0, min(self.row1, other.row1)),
            max(column0, min(self.column1, other.column1)),
        )


def distance_to(
    rectangles: Iterable[Rectangle], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance of points, (row, column), to the nearest of some rectangles.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 inside; infinite if there is no rectangle.
    """
    least = np.full(len(points), np.inf)
    row, column = points[:, 0], points[:, 1]
    for part in rectangles:
        down = np.maximum(np.maximum(part.row0 - row, row - part.row1), 0)
        across = np.maximum(np.maximum(part.column0 - column, column - part.column1), 0)
        np.minimum(least, np.hypot(down, across), out=least)
    return least


def plan_tiles(
    window: Rectangle,
    tile: int,
    divisor: tuple[int, int],
    start: tuple[float, float] | None = None,
) -> list[Rectangle]:
    """Cut a window into tiles of nearly equal size.

    Parameters
    ----------
    window : Rectangle
        What to cut, its sides at multiples of ``divisor``.
    tile : int
        Largest side of a tile, at least the divisor.
    divisor : tuple of int
        Rows and columns of which all tile corners are multiples.
    start : tuple of float, optional
        (row, column) from which tiles are ordered outwards; by default row by row.

    Returns
    -------
    list of Rectangle
        Disjoint, and together the window.
    """
    rows = _cuts(window.row0, window.row1, tile, divisor[0])
    columns = _cuts(window.column0, window.column1, tile, divisor[1])
    tiles = [Rectangle(r0, c0, r1, c1) for r0, r1 in rows for c0, c1 in columns]
    if start is not None:
        row, column = start
        tiles.sort(
            key=lambda t: np.hypot(
                (t.row0 + t.row1) / 2 - row, (t.column0 + t.column1) / 2 - column
            )
        )
    return tiles


def _cuts(first: int, last: int, tile: int, divisor: int) -> list[tuple[int, int]]:
    steps, largest = (last - first) // divisor, max(1, tile // divisor)
    count = -(-steps // largest)
    edges = [first + round(i * steps / count) * divisor for i in range(count)] + [last]
    return list(pairwise(edges)) if count else []
