"""Rows of nuclei as a large part that stays and a small patch that each edit makes anew."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.block import Block, combined
from napari_prts.nuclei.outlines import Outlines
from napari_prts.nuclei.pieces import Pieces

Ints = NDArray[np.int64]

# A patch, and what an edit copies, may grow to this share of the base before both become
# a new base.
_SHARE = 32
_SMALLEST_PATCH = 8
# Vertices in the pages of a base, of one that is in use.
_SPARSE = 1.25
_MOST_PAGES = 16


@dataclass(frozen=True, eq=False)
class Patched:
    """The rows of one snapshot.

    A snapshot and those made from it by edits share one base, and with it all that
    was derived from the base: the grid index, hashes, areas, pictures. An edit makes
    a new patch and new stretches, both small. When they have grown, the next edit
    lays all rows out as a new base.

    Attributes
    ----------
    base : Block
        Most rows; some of them may be left out.
    patch : Block
        Rows that were put in since; all of them are in the table.
    pieces : Pieces
        Which row stands where; the patch's rows are counted from ``len(base)``.
    """

    base: Block
    patch: Block
    pieces: Pieces

    @classmethod
    def of(cls, block: Block) -> Patched:
        """All rows of a block in their order."""
        return cls(block, Block.gathered([block], np.zeros(0, np.int64)), Pieces.whole(len(block)))

    def __len__(self) -> int:
        return self.pieces.total

    @cached_property
    def untouched(self) -> bool:
        """Whether the table is the base as it stands."""
        return not len(self.patch) and len(self) == len(self.base)

    @cached_property
    def _bisected(self) -> tuple[list[int], list[int]]:
        return self.pieces.starts.tolist(), self.pieces.firsts.tolist()

    def polygon(self, position: int) -> NDArray[np.float32]:
        """Vertices of one row, shape (k, 2)."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"There is no row {position} in a table of {len(self):,} nuclei.")
        starts, firsts = self._bisected
        position %= len(self)
        # Of the beginnings, the last one is the end of all and none to find.
        piece = bisect_right(starts, position) - 1
        row, block = firsts[piece] + position - starts[piece], self.base
        if row >= len(block):
            row, block = row - len(block), self.patch
        return block.outlines.polygon(row)

    def column(self, of: Callable[[Block], NDArray[Any]]) -> NDArray[Any]:
        """Lay out one column of all rows; that of the base itself where it is untouched."""
        if self.untouched:
            return of(self.base)
        early, late = of(self.base), of(self.patch)
        stretches = [
            (early if part is self.base else late)[a:b] for part, a, b in self._stretches()
        ]
        whole = np.concatenate([early[:0], *stretches])
        whole.flags.writeable = False
        return whole

    def polygons(self) -> list[NDArray[np.float32]]:
        """Vertices of each row."""
        found: list[NDArray[np.float32]] = []
        for part, first, end in self._stretches():
            found += part.outlines.polygons(first, end)
        return found

    def _stretches(self) -> Iterator[tuple[Block, int, int]]:
        """Rows in their order: the block they are in, the first row, the row after the last."""
        count = len(self.base)
        ends = (self.pieces.firsts + self.pieces.lengths).tolist()
        for first, end in zip(self.pieces.firsts.tolist(), ends, strict=True):
            if first < count:
                yield self.base, first, min(end, count)
            if end > count:
                # One stretch can run from the base's last row on into the patch.
                yield self.patch, max(first - count, 0), end - count

    def take(self, positions: Ints) -> Block:
        """Lay out some rows."""
        return Block.gathered([self.base, self.patch], self.pieces.rows(positions))

    def find(self, ids: Ints) -> Ints:
        """Find positions by id, -1 where there is none."""
        if self.untouched:
            return self.base.find(ids)
        positions = self._positions(self.base.find(ids))
        # An outline that was replaced has its id in both: the base's row is left out.
        patched = self.patch.find(ids)
        return np.where(patched >= 0, self._positions(patched, len(self.base)), positions)

    def inside(self, r0: float, c0: float, r1: float, c1: float) -> Ints:
        """Find the positions of centroids in a rectangle, ascending."""
        rows = self.base.grid.inside(r0, c0, r1, c1)
        if self.untouched:
            return rows
        row, column = self.patch.rings.centroids.T
        near = np.flatnonzero((row >= r0) & (row < r1) & (column >= c0) & (column < c1))
        positions = self._positions(np.concatenate([rows, near + len(self.base)]))
        return np.sort(positions[positions >= 0])

    def added_up(
        self, key: Hashable, draw: Callable[[NDArray[np.float32]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Sum what each centroid adds to a picture.

        Parameters
        ----------
        key : hashable
            Stands for what ``draw`` draws; the base's picture is kept under it.
        draw : callable
            Takes centroids, shape (m, 2), and returns their picture, always of one shape.
        """
        picture = self.base.picture(key, draw)
        if self.untouched:
            return picture
        gone = self.base.rings.centroids[self.pieces.left_out(len(self.base))]
        return np.asarray(picture - draw(gone) + draw(self.patch.rings.centroids))

    def splice(self, drop: Ints, insert: Block, at: Ints) -> Patched:
        """Leave out rows and put in others; see :meth:`napari_prts.nuclei.Nuclei.splice`.

        Parameters
        ----------
        drop : ndarray of int64
            Positions, ascending and different.
        insert : Block
            The rows to put in.
        at : ndarray of int64, shape (len(insert),)
            Their positions in the result, all different.
        """
        count = len(self.base)
        pieces = self.pieces.without(drop)
        dropped = self.pieces.rows(drop) - count
        kept = np.setdiff1d(np.arange(len(self.patch)), dropped, assume_unique=True)
        order = np.argsort(at)
        pieces = pieces.renumbered(count, kept).with_rows(count + len(kept) + order, at[order])
        came = len(self.patch) + np.arange(len(insert))
        patch = Block.gathered([self.patch, insert], np.concatenate([kept, came]))
        made = Patched(self.base, patch, pieces)
        limit = max(_SMALLEST_PATCH, count // _SHARE)
        return made.folded() if max(len(patch), len(pieces)) > limit else made

    def folded(self) -> Patched:
        """Make all rows a new base, with the vertices where they are.

        Only when many of these belong to no row any more, or lie in many pages, are
        they laid out anew.
        """
        if self.untouched:
            return self
        outlines = combined([self.base, self.patch], self.column)
        if len(outlines.pages) > _MOST_PAGES or outlines.total > _SPARSE * outlines.counts.sum():
            outlines = Outlines.of(*outlines.laid_out())
        base = Block(
            outlines,
            self.column(lambda block: block.ids),
            self.column(lambda block: block.scores),
            self.column(lambda block: block.sources),
        )
        base.inherit([self.base, self.patch], self.column)
        return Patched.of(base)

    def laid_out(self) -> Patched:
        """Make all rows a new base, with their vertices end to end."""
        rows = self.folded()
        return Patched(rows.base.laid_out(), rows.patch, rows.pieces)

    def _positions(self, rows: Ints, start: int = 0) -> Ints:
        """Positions of rows counted from ``start``; those of no row (-1) are -1."""
        return np.where(rows >= 0, self.pieces.positions(rows + start), -1)
