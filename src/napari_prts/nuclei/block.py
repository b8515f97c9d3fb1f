"""Rows of nuclei in contiguous arrays, with what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.nuclei.geometry import Rings, hash_codes
from napari_prts.nuclei.grid import PointGrid
from napari_prts.nuclei.outlines import Outlines

Ints = NDArray[np.int64]

# Pictures of the whole slide that are kept; a view asks for one size again and again.
_PICTURES = 4


@dataclass(frozen=True, eq=False)
class Block:
    """Nuclei as columns that never change.

    What follows from them is computed when first asked for, and then kept.

    Attributes
    ----------
    outlines : Outlines
        The polygons of ``n`` nuclei.
    ids : ndarray of int64, shape (n,)
        Unique.
    scores : ndarray of float32, shape (n,)
        Probabilities.
    sources : ndarray of uint8, shape (n,)
        How the nuclei came about.
    """

    outlines: Outlines
    ids: Ints
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    _pictures: dict[Hashable, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, kind in (("ids", np.int64), ("scores", np.float32), ("sources", np.uint8)):
            object.__setattr__(self, name, _frozen(getattr(self, name), kind))

    @classmethod
    def of(
        cls, vertices: ArrayLike, offsets: ArrayLike, ids: Ints, scores: Any, sources: Any
    ) -> Block:
        """Make a block of polygons whose vertices, shape (v, 2), lie end to end."""
        outlines = Outlines.of(_frozen(vertices, np.float32), _frozen(offsets, np.int64))
        return cls(outlines, ids, scores, sources)

    def __len__(self) -> int:
        return len(self.ids)

    def laid_out(self) -> Block:
        """Lay the vertices out end to end; all that was derived stays."""
        if self.outlines.offsets is not None:
            return self
        made = Block(Outlines.of(*self.outlines.laid_out()), self.ids, self.scores, self.sources)
        made.__dict__.update({k: v for k, v in self.__dict__.items() if k not in made.__dict__})
        return made

    @cached_property
    def rings(self) -> Rings:
        """Areas, centroids and bounds."""
        return Rings.of(*self.outlines.laid_out())

    @cached_property
    def codes(self) -> NDArray[np.uint64]:
        """Hash of each polygon's vertices, shape (n,)."""
        return hash_codes(*self.outlines.laid_out())

    @cached_property
    def grid(self) -> PointGrid:
        """Centroids by place."""
        return PointGrid(self.rings.centroids)

    @cached_property
    def reach(self) -> float:
        """Largest height or width of a nucleus."""
        bounds = self.rings.bounds
        return max(float((bounds[:, i + 2] - bounds[:, i]).max(initial=0)) for i in (0, 1))

    @cached_property
    def _by_id(self) -> tuple[Ints, Ints | None]:
        """Ids ascending, and the rows that have them unless they stand in that order."""
        if (self.ids[1:] > self.ids[:-1]).all():
            return self.ids, None
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order

    def find(self, ids: Ints) -> Ints:
        """Find rows by id, -1 where there is none."""
        known, order = self._by_id
        if not len(known):
            return np.full(len(ids), -1, np.int64)
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        rows = place if order is None else order[place]
        return np.where(known[place] == ids, rows, -1)

    def picture(
        self, key: Hashable, draw: Callable[[NDArray[np.float32]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Draw all centroids, or return what was drawn before under the same key."""
        drawn = self._pictures.get(key)
        if drawn is None:
            drawn = draw(self.rings.centroids)
            while len(self._pictures) >= _PICTURES:
                self._pictures.pop(next(iter(self._pictures)), None)
            self._pictures[key] = drawn
        return drawn

    @staticmethod
    def gathered(parts: Sequence[Block], rows: Ints) -> Block:
        """Lay out rows of several blocks, counted through all, with what was derived from them."""
        made = Block.of(
            *combined(parts, lambda of: pick([of(part) for part in parts], rows)).laid_out(),
            pick([part.ids for part in parts], rows),
            pick([part.scores for part in parts], rows),
            pick([part.sources for part in parts], rows),
        )
        made.inherit(parts, lambda of: pick([of(part) for part in parts], rows))
        return made

    def inherit(
        self,
        parts: Sequence[Block],
        column: Column,
    ) -> None:
        """Take over what the blocks that this one was made from have derived.

        What the first has derived is derived for the others too: they are small.

        Parameters
        ----------
        parts : sequence of Block
            Where the rows come from.
        column : callable
            Takes a function that gives one column of a block, and returns that column
            for the rows of this one.
        """
        if "rings" in parts[0].__dict__:
            self.__dict__["rings"] = Rings(
                column(lambda block: block.rings.areas),
                column(lambda block: block.rings.centroids),
                column(lambda block: block.rings.bounds),
            )
        if "codes" in parts[0].__dict__:
            self.__dict__["codes"] = column(lambda block: block.codes)


# Takes a function that gives one column of a block, and returns that column for rows of
# several blocks.
Column = Callable[[Callable[[Block], NDArray[Any]]], NDArray[Any]]


def combined(parts: Sequence[Block], column: Column) -> Outlines:
    """Outlines of rows of several blocks, in the pages where they are."""
    before = np.cumsum([0, *(part.outlines.total for part in parts)])
    shift = {id(part): start for part, start in zip(parts, before.tolist(), strict=False)}

    def firsts(block: Block) -> Ints:
        first = block.outlines.firsts
        # A sum with zero would be a copy of a million numbers.
        return first + shift[id(block)] if shift[id(block)] else first

    return Outlines(
        tuple(page for part in parts for page in part.outlines.pages),
        column(firsts),
        column(lambda block: block.outlines.counts),
    )


def pick(columns: Sequence[NDArray[Any]], rows: Ints) -> NDArray[Any]:
    """Choose values by row, counted through all columns.

    The columns are not joined first: the first may have a million rows, of which
    a few are wanted.
    """
    if len(columns) == 1:
        return columns[0][rows]
    picked = np.empty((len(rows), *columns[0].shape[1:]), columns[0].dtype)
    start = 0
    for column in columns:
        here = (rows >= start) & (rows < start + len(column))
        picked[here] = column[rows[here] - start]
        start += len(column)
    return picked


def _frozen(values: ArrayLike, kind: type[np.generic]) -> NDArray[Any]:
    frozen = np.ascontiguousarray(values, kind).view()
    frozen.flags.writeable = False
    return frozen
