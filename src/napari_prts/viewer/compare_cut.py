"""Dots of cells on one side of an upright line."""

from __future__ import annotations

import numpy as np

from napari_prts.viewer.cell_dots import SIDE, CellDots, Numbers


class CutDots(CellDots):
    """Dots of which only the part on one side of a line is drawn.

    Moving the line draws no dot anew: it is cut from what the whole dots have drawn.

    Parameters
    ----------
    dots : CellDots
        All of them.
    column : float
        Where the line stands, in level-0 pixels.
    left : bool
        Whether what is left of the line is drawn; otherwise what is right of it.
    before : CutDots, optional
        The same dots cut elsewhere, whose work is used again.
    """

    # What the whole dots have sorted and drawn is used; nothing is sorted again.
    def __init__(
        self, dots: CellDots, column: float, *, left: bool, before: CutDots | None = None
    ) -> None:
        self.centroids, self.shape, self.diameter = dots.centroids, dots.shape, dots.diameter
        self.dots, self.column, self.left = dots, column, left
        again = before is not None and before.dots is dots
        self._wholes: dict[int, Numbers] = before._wholes if before and again else {}

    def is_cut(self, dots: CellDots, column: float, left: bool) -> bool:
        """Whether these are such dots, cut there."""
        return dots is self.dots and (column, left) == (self.column, self.left)

    def block(self, level: int, row: int, column: int) -> Numbers | None:
        """Return a block of a level; see :meth:`CellDots.block`."""
        line = self._line(level) - column * SIDE
        if line <= 0 if self.left else line >= SIDE:
            return None
        numbers = self.dots.block(level, row, column)
        return None if numbers is None else self._cut(numbers, line)

    def whole(self, level: int) -> Numbers:
        """Return a whole level; see :meth:`CellDots.whole`."""
        if level not in self._wholes:
            self._wholes[level] = self.dots.whole(level)
        return self._cut(self._wholes[level], self._line(level))

    def at(self, row: float, column: float) -> Numbers:
        """Find the cells that are drawn at a place; see :meth:`CellDots.at`."""
        if (column < self.column) is not self.left:
            return np.zeros(0, np.int32)
        return self.dots.at(row, column)

    def _line(self, level: int) -> int:
        # The middle of the first level-0 pixel is at 0.
        return round((self.column + 0.5) / float(2**level))

    def _cut(self, numbers: Numbers, line: int) -> Numbers:
        width = numbers.shape[1]
        line = min(max(line, 0), width)
        if line == (width if self.left else 0):
            return numbers
        cut = numbers.copy()
        cut[:, slice(line, None) if self.left else slice(0, line)] = len(self)
        return cut
