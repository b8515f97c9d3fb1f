"""The order of a table's rows, as stretches of rows that lie one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """Which row of a store stands at which position of a table.

    An edit of a few rows of a million cuts a stretch in two, where a list of
    all rows would have to be copied. No row stands at two positions.

    Attributes
    ----------
    starts : ndarray of int64, shape (k + 1,)
        Position at which each stretch begins, and the number of positions.
    firsts : ndarray of int64, shape (k,)
        The row at the beginning of each stretch.
    """

    starts: Ints
    firsts: Ints

    @classmethod
    def whole(cls, count: int) -> Pieces:
        """Rows 0 to ``count`` in their order."""
        return cls._joined(np.zeros(1, np.int64), np.array([count], np.int64))

    @classmethod
    def _joined(cls, firsts: Ints, lengths: Ints) -> Pieces:
        """Stretches one after the other; those that continue each other become one."""
        some = lengths > 0
        firsts, lengths = firsts[some], lengths[some]
        ends = firsts + lengths
        begins = np.ones(len(firsts), bool)
        begins[1:] = firsts[1:] != ends[:-1]
        positions = np.cumsum(lengths) - lengths
        total = np.array([lengths.sum()], np.int64)
        return cls(np.concatenate([positions[begins], total]), firsts[begins])

    def __len__(self) -> int:
        return len(self.firsts)

    @property
    def total(self) -> int:
        """How many positions there are."""
        return int(self.starts[-1])

    @property
    def lengths(self) -> Ints:
        """Rows in each stretch."""
        return np.diff(self.starts)

    @cached_property
    def _by_row(self) -> tuple[Ints, Ints, Ints]:
        """Stretches in the order of their rows: first row, length, first position."""
        order = np.argsort(self.firsts)
        return self.firsts[order], self.lengths[order], self.starts[:-1][order]

    def rows(self, positions: NDArray[np.integer]) -> Ints:
        """Find the rows at some positions."""
        piece = np.searchsorted(self.starts, positions, side="right") - 1
        return np.asarray(self.firsts[piece] + (positions - self.starts[piece]))

    def positions(self, rows: NDArray[np.integer]) -> Ints:
        """Find the positions of some rows, -1 for those that the table leaves out."""
        if not len(self):
            return np.full(len(rows), -1, np.int64)
        firsts, lengths, starts = self._by_row
        piece = np.searchsorted(firsts, rows, side="right") - 1
        within = rows - firsts[piece]
        inside = (piece >= 0) & (within < lengths[piece])
        return np.where(inside, starts[piece] + within, -1)

    def left_out(self, count: int) -> Ints:
        """Find those of the rows 0 to ``count`` that stand at no position, ascending."""
        firsts, lengths, _ = self._by_row
        below = firsts < count
        ends = np.concatenate([[0], np.minimum(firsts + lengths, count)[below]])
        gaps = np.concatenate([firsts[below], [count]]) - ends
        gap = np.repeat(np.arange(len(gaps)), gaps)
        return np.asarray(np.arange(len(gap)) - (np.cumsum(gaps) - gaps)[gap] + ends[gap])

    def without(self, positions: Ints) -> Pieces:
        """Leave out the rows at some positions, which are ascending and differ."""
        edges = np.unique(np.concatenate([self.starts, positions, positions + 1]))
        begins = edges[:-1]
        kept = np.ones(len(begins), bool)
        kept[np.searchsorted(begins, positions)] = False
        return self._joined(self.rows(begins[kept]), np.diff(edges)[kept])

    def with_rows(self, rows: Ints, at: Ints) -> Pieces:
        """Put in rows that then stand at the positions ``at``, which are ascending and differ."""
        before = at - np.arange(len(at))
        edges = np.unique(np.concatenate([self.starts, before]))
        begins = edges[:-1]
        order = np.argsort(np.concatenate([before, begins]), kind="stable")
        firsts = np.concatenate([rows, self.rows(begins)])
        lengths = np.concatenate([np.ones(len(rows), np.int64), np.diff(edges)])
        return self._joined(firsts[order], lengths[order])

    def renumbered(self, base: int, kept: Ints) -> Pieces:
        """Number the rows from ``base`` on anew, when only the ``kept`` ones stay.

        Parameters
        ----------
        base : int
            Rows below this keep their number.
        kept : ndarray of int64
            Rows counted from ``base``, ascending; all that the table has.
        """
        late = self.firsts >= base
        anew = base + np.searchsorted(kept, self.firsts - base)
        return Pieces(self.starts, np.where(late, anew, self.firsts))
