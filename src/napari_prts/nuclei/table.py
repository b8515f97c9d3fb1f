"""The table of nuclei: polygons as an immutable struct of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.block import Block
from napari_prts.nuclei.geometry import hexadecimal, to_shapely
from napari_prts.nuclei.numbering import LARGEST_ID, check_ids, positions_from, require_free
from napari_prts.nuclei.patched import Patched
from napari_prts.nuclei.stacked import checked_stack
from napari_prts.nuclei.validation import checked, listed

__all__ = ["LARGEST_ID", "Nuclei", "Source"]


class Source(IntEnum):
    """How a nucleus came about."""

    STARDIST = 0
    IMPORTED = 1
    MANUAL = 2
    EDITED = 3


class Nuclei:
    """The nuclei of one slide.

    A snapshot that never changes: :meth:`add`, :meth:`remove` and
    :meth:`replace` return a new one that keeps the ids of all others. Snapshots
    share what they have in common: an edit of a few nuclei costs little more among
    a million than among a thousand, and what was derived from the others is kept.

    Parameters
    ----------
    vertices : ndarray of float32, shape (v, 2)
        Vertices of all polygons end to end, (row, column) in level-0 pixels; the
        centre of the first pixel is (0, 0). The first vertex is not repeated.
    offsets : ndarray of int64, shape (n + 1,)
        Where each polygon's vertices begin.
    ids : ndarray of int64, shape (n,)
        Unique, 0 or more.
    scores : ndarray of float32, shape (n,)
        Probability by the finder; 1 for outlines that came without one.
    sources : ndarray of uint8, shape (n,)
        Values of :class:`Source`.
    next_id : int
        The id that the next new nucleus gets. Ids of removed nuclei do not come back.

    Raises
    ------
    NucleiError
        If the arrays do not belong together or ids are not unique.
    """

    def __init__(
        self,
        vertices: NDArray[np.float32],
        offsets: NDArray[np.int64],
        ids: NDArray[np.int64],
        scores: NDArray[np.float32],
        sources: NDArray[np.uint8],
        next_id: int = 0,
    ) -> None:
        if not (len(offsets) - 1 == len(ids) == len(scores) == len(sources)):
            raise NucleiError("Offsets, ids, scores and sources must be of equal length.")
        block = Block.of(vertices, offsets, ids, scores, sources)
        check_ids(block.ids)
        following = int(block.ids.max()) + 1 if len(block) else 0
        self.__dict__.update(_rows=Patched.of(block), _next_id=max(next_id, following))

    _rows: Patched
    _next_id: int

    @classmethod
    def _of(cls, rows: Patched, next_id: int) -> Nuclei:
        made = cls.__new__(cls)
        made.__dict__.update(_rows=rows, _next_id=next_id)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A table of nuclei never changes: {name} cannot be set.")

    @classmethod
    def empty(cls) -> Nuclei:
        """No nuclei."""
        return cls.from_polygons([])

    @classmethod
    def from_polygons(
        cls,
        polygons: Sequence[ArrayLike] | NDArray[Any],
        ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        source: Source | ArrayLike = Source.IMPORTED,
        *,
        repair: bool = False,
        next_id: int = 0,
    ) -> Nuclei:
        """Make a table from outlines.

        Parameters
        ----------
        polygons : sequence of array-like of shape (k, 2), or one array of shape (n, k, 2)
            Outlines, (row, column) in level-0 pixels, with or without the first
            vertex repeated at the end.
        ids : array-like of int, shape (n,), optional
            Unique; by default counted from ``next_id``.
        scores : array-like of float, shape (n,), optional
            Probabilities; 1 by default.
        source : Source or array-like of int, shape (n,)
            How the nuclei came about.
        repair : bool
            Mend outlines that cross themselves, keeping the largest part, instead of
            taking them as they are.
        next_id : int
            Smallest id for new nuclei.

        Raises
        ------
        NucleiError
            If an outline has fewer than three points, a coordinate that is no number,
            or no area, or if ids are not unique.
        """
        if ids is not None and len(np.asarray(ids)) != len(polygons):
            raise NucleiError(f"{len(polygons)} outlines need as many ids.")
        stack = None if repair else checked_stack(polygons)
        names = None if ids is None else np.asarray(ids)
        vertices, offsets = stack[:2] if stack else checked(polygons, names, repair)
        count = len(offsets) - 1
        if ids is None:
            ids = np.arange(next_id, next_id + count)
        likely = np.asarray(np.ones(count) if scores is None else scores, np.float32)
        if not np.isfinite(likely).all():
            raise NucleiError("A score is not a number; leave scores out where there are none.")
        sources = np.broadcast_to(np.asarray(source, np.uint8), (count,))
        made = cls(vertices, offsets, np.asarray(ids, np.int64), likely, sources, next_id)
        if stack:
            made._rows.base.__dict__["rings"] = stack[2]
        return made

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        counts = np.bincount(self.sources, minlength=len(Source))
        parts = [f"{counts[source]:,} {source.name.lower()}" for source in Source if counts[source]]
        return f"<Nuclei {len(self):,}{': ' if parts else ''}{', '.join(parts)}>"

    @property
    def rows(self) -> Patched:
        """How the nuclei are kept, for the modules beside this one."""
        return self._rows

    @property
    def next_id(self) -> int:
        """The id that the next new nucleus gets."""
        return self._next_id

    @property
    def vertices(self) -> NDArray[np.float32]:
        """Vertices of all polygons end to end, (row, column) in level-0 pixels, shape (v, 2).

        After an edit they are laid out when first asked for; :meth:`polygon` and
        :meth:`take` give those of some nuclei at once.
        """
        return self._laid_out().outlines.laid_out()[0]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each polygon's vertices begin, shape (n + 1,); see :attr:`vertices`."""
        return self._laid_out().outlines.laid_out()[1]

    def _laid_out(self) -> Block:
        # The same rows, kept in another way: nothing that can be seen changes. What the
        # rows were kept in before is let go of first, not to have everything twice.
        self.__dict__["_rows"] = self._rows.folded()
        self.__dict__["_rows"] = self._rows.laid_out()
        return self._rows.base

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Unique numbers, shape (n,)."""
        return self._rows.column(lambda block: block.ids)

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """Probabilities, shape (n,)."""
        return self._rows.column(lambda block: block.scores)

    @cached_property
    def sources(self) -> NDArray[np.uint8]:
        """Values of :class:`Source`, shape (n,)."""
        return self._rows.column(lambda block: block.sources)

    def polygon(self, position: int) -> NDArray[np.float32]:
        """Vertices of one nucleus, shape (k, 2)."""
        return self._rows.polygon(position)

    def polygons(self) -> list[NDArray[np.float32]]:
        """Vertices of each nucleus."""
        return self._rows.polygons()

    @cached_property
    def centroids(self) -> NDArray[np.float32]:
        """Centres of area, (row, column) in level-0 pixels, shape (n, 2)."""
        return self._rows.column(lambda block: block.rings.centroids)

    @cached_property
    def areas(self) -> NDArray[np.float32]:
        """Areas in squared level-0 pixels, shape (n,)."""
        return self._rows.column(lambda block: block.rings.areas)

    @cached_property
    def bounds(self) -> NDArray[np.float32]:
        """Smallest row and column, largest row and column, shape (n, 4)."""
        return self._rows.column(lambda block: block.rings.bounds)

    @property
    def reach(self) -> float:
        """A height and width, in level-0 pixels, that no nucleus exceeds.

        Quicker than looking through :attr:`bounds`; after edits it may be that of a
        nucleus that is no more.
        """
        return max(self._rows.base.reach, self._rows.patch.reach)

    @cached_property
    def hashes(self) -> NDArray[np.str_]:
        """Hash of each polygon's vertices, 16 characters; tells an edited outline, shape (n,)."""
        return hexadecimal(self._rows.column(lambda block: block.codes))

    def positions_of(self, ids: Iterable[int] | ArrayLike) -> NDArray[np.int64]:
        """Find nuclei by id.

        Raises
        ------
        NucleiError
            If there is no such nucleus.
        """
        wanted = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)  # type: ignore[arg-type]
        positions = self._rows.find(wanted)
        if (positions < 0).any():
            raise NucleiError(
                f"There is no nucleus with id {listed(wanted[positions < 0])}: it was removed, or "
                "the ids belong to another table of nuclei."
            )
        return positions

    def in_rectangle(self, r0: float, c0: float, r1: float, c1: float) -> NDArray[np.int64]:
        """Find nuclei whose centroid lies in a rectangle of level-0 pixels.

        The lower borders belong to the rectangle and the upper ones do not, so that
        each nucleus lies in one rectangle of a tiling.

        Returns
        -------
        ndarray of int64
            Positions, ascending.
        """
        return self._rows.inside(r0, c0, r1, c1)

    def shapely(self) -> NDArray[Any]:
        """Polygons for shapely in (x, y), that is (column, row), shape (n,)."""
        return to_shapely(self.vertices, self.offsets)

    def take(self, which: ArrayLike) -> Nuclei:
        """Choose nuclei.

        Parameters
        ----------
        which : array-like of int, or of bool of shape (n,)
            Positions in the wanted order, or a mask.
        """
        chosen = np.asarray(which)
        if chosen.dtype == bool:
            # Of another length than the table it is a mistake, which numpy names.
            chosen = np.arange(len(self))[chosen]
        block = self._rows.take(positions_from(chosen, len(self)))
        check_ids(block.ids)
        return Nuclei._of(Patched.of(block), self.next_id)

    def add(
        self,
        polygons: Sequence[ArrayLike] | NDArray[Any],
        source: Source = Source.MANUAL,
        scores: ArrayLike | None = None,
    ) -> Nuclei:
        """Append outlines under new ids; those that cross themselves are mended.

        Raises
        ------
        NucleiError
            See :meth:`from_polygons`.
        """
        new = self.new_rows(polygons, source, scores)
        return self.splice([], new, np.arange(len(self), len(self) + len(new)))

    def new_rows(
        self,
        polygons: Sequence[ArrayLike] | NDArray[Any],
        source: Source = Source.MANUAL,
        scores: ArrayLike | None = None,
    ) -> Nuclei:
        """Make a table of outlines alone, under ids that are free here."""
        return Nuclei.from_polygons(
            polygons, scores=scores, source=source, repair=True, next_id=self.next_id
        )

    def remove(self, ids: Iterable[int] | ArrayLike) -> Nuclei:
        """Leave nuclei out.

        Raises
        ------
        NucleiError
            If an id does not exist.
        """
        return self.splice(self.positions_of(ids), Nuclei.empty(), [])

    def replace(self, id_: int, vertices: ArrayLike) -> Nuclei:
        """Give a nucleus another outline; it keeps its id, place and score.

        Raises
        ------
        NucleiError
            If the id does not exist or the outline is no polygon.
        """
        position = self.positions_of([id_])
        new = self.reshaped(position, [vertices])
        return self.splice(position, new, position)

    def reshaped(
        self, positions: NDArray[np.integer], polygons: Sequence[ArrayLike] | NDArray[Any]
    ) -> Nuclei:
        """Make a table of some nuclei alone, under their ids, with other outlines."""
        block = self._rows.take(positions_from(positions, len(self)))
        return Nuclei.from_polygons(polygons, block.ids, block.scores, Source.EDITED, repair=True)

    def splice(self, drop: ArrayLike, insert: Nuclei, at: ArrayLike) -> Nuclei:
        """Drop some nuclei and put others in.

        Parameters
        ----------
        drop : array-like of int
            Positions to leave out; repeated ones count once.
        insert : Nuclei
            What to put in.
        at : array-like of int, shape (len(insert),)
            Their positions in the result; the kept ones fill the rest in their order.

        Raises
        ------
        NucleiError
            If an inserted id is in use.
        """
        leaving = np.unique(positions_from(np.asarray(drop), len(self)))
        new = insert._laid_out()
        length = len(self) - len(leaving) + len(new)
        places = positions_from(np.asarray(at), length)
        if len(np.unique(places)) != len(new):
            raise NucleiError(f"{len(new)} nuclei need as many different places in the table.")
        there = self._rows.find(new.ids)
        require_free(new.ids[(there >= 0) & ~np.isin(there, leaving)])
        rows = self._rows.splice(leaving, new, places)
        return Nuclei._of(rows, max(self.next_id, insert.next_id))

    def with_next_id(self, next_id: int) -> Nuclei:
        """Make sure that new nuclei get ids from ``next_id`` on."""
        if next_id <= self.next_id:
            return self
        raised = Nuclei._of(self._rows, next_id)
        raised.__dict__.update({k: v for k, v in self.__dict__.items() if not k.startswith("_")})
        return raised
