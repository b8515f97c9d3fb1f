"""Vertices of many outlines in pages that snapshots share."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.ragged import Offsets, lay_out, offsets_of


@dataclass(frozen=True, eq=False)
class Outlines:
    """Where the vertices of each outline lie.

    Vertices are most of a table's memory. A table that leaves some outlines out and
    puts a few in points into the same pages and has one more.

    Attributes
    ----------
    pages : tuple of ndarray of float32, shape (v, 2)
        Vertices, (row, column) in level-0 pixels; some may belong to no outline.
    firsts : ndarray of int64, shape (n,)
        Place of each outline's first vertex, counted through all pages.
    counts : ndarray of int64, shape (n,)
        Vertices of each outline; all lie in one page.
    offsets : ndarray of int64, shape (n + 1,), or None
        Where each outline begins in the only page, if they lie there end to end.
    """

    pages: tuple[NDArray[np.float32], ...]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]
    offsets: Offsets | None = None

    @classmethod
    def of(cls, vertices: NDArray[np.float32], offsets: Offsets) -> Outlines:
        """Outlines end to end."""
        return cls((vertices,), offsets[:-1], np.diff(offsets), offsets)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(page) for page in self.pages))

    @property
    def total(self) -> int:
        """Vertices in all pages."""
        return self._ends[-1]

    def polygon(self, row: int) -> NDArray[np.float32]:
        """Vertices of one outline."""
        first = int(self.firsts[row])
        number = bisect_right(self._ends, first)
        page = self.pages[number]
        first -= self._ends[number] - len(page)
        return page[first : first + int(self.counts[row])]

    def polygons(self, start: int, stop: int) -> list[NDArray[np.float32]]:
        """Vertices of each of some outlines that follow each other."""
        if self.offsets is None:
            return [self.polygon(row) for row in range(start, stop)]
        ends = self.offsets[start : stop + 1].tolist()
        return [self.pages[0][a:b] for a, b in pairwise(ends)]

    def laid_out(self) -> tuple[NDArray[np.float32], Offsets]:
        """Vertices of all outlines end to end, and where each begins."""
        if self.offsets is not None:
            return self.pages[0], self.offsets
        ends = np.array(self._ends)
        number = np.searchsorted(ends, self.firsts, side="right")
        starts = ends - [len(page) for page in self.pages]
        firsts = self.firsts - starts[number]
        return lay_out(self.pages, number, firsts, self.counts), offsets_of(self.counts)
