"""The table of nuclei: polygons as an immutable struct of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.geometry import Rings, hash_polygons, to_shapely
from napari_prts.nuclei.grid import PointGrid
from napari_prts.nuclei.ragged import take_rows
from napari_prts.nuclei.validation import checked, listed

# Nuclei are drawn into int32 images by their id plus one.
LARGEST_ID = 2**31 - 2


class Source(IntEnum):
    """How a nucleus came about."""

    STARDIST = 0
    IMPORTED = 1
    MANUAL = 2
    EDITED = 3


@dataclass(frozen=True, eq=False, repr=False)
class Nuclei:
    """The nuclei of one slide.

    A snapshot that never changes: :meth:`add`, :meth:`remove` and
    :meth:`replace` return a new one that keeps the ids of all others.

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

    vertices: NDArray[np.float32]
    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    next_id: int = 0

    def __post_init__(self) -> None:
        kinds = {
            "vertices": np.float32,
            "offsets": np.int64,
            "ids": np.int64,
            "scores": np.float32,
            "sources": np.uint8,
        }
        for name, kind in kinds.items():
            frozen = np.ascontiguousarray(getattr(self, name), kind).view()
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)
        count = len(self.ids)
        if not (len(self.offsets) - 1 == count == len(self.scores) == len(self.sources)):
            raise NucleiError("Offsets, ids, scores and sources must be of equal length.")
        _check_ids(self.ids)
        following = int(self.ids.max()) + 1 if count else 0
        object.__setattr__(self, "next_id", max(self.next_id, following))

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
        vertices, offsets = checked(polygons, None if ids is None else np.asarray(ids), repair)
        count = len(offsets) - 1
        if ids is None:
            ids = np.arange(next_id, next_id + count)
        likely = np.asarray(np.ones(count) if scores is None else scores, np.float32)
        if not np.isfinite(likely).all():
            raise NucleiError("A score is not a number; leave scores out where there are none.")
        sources = np.broadcast_to(np.asarray(source, np.uint8), (count,))
        return cls(vertices, offsets, np.asarray(ids, np.int64), likely, sources, next_id)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        counts = np.bincount(self.sources, minlength=len(Source))
        parts = [f"{counts[source]:,} {source.name.lower()}" for source in Source if counts[source]]
        return f"<Nuclei {len(self):,}{': ' if parts else ''}{', '.join(parts)}>"

    def polygon(self, position: int) -> NDArray[np.float32]:
        """Vertices of one nucleus, shape (k, 2)."""
        return self.vertices[self.offsets[position] : self.offsets[position + 1]]

    def polygons(self) -> list[NDArray[np.float32]]:
        """Vertices of each nucleus."""
        ends = self.offsets.tolist()
        return [self.vertices[a:b] for a, b in pairwise(ends)]

    @cached_property
    def _rings(self) -> Rings:
        return Rings.of(self.vertices, self.offsets)

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Centres of area, (row, column) in level-0 pixels, shape (n, 2)."""
        return self._rings.centroids

    @property
    def areas(self) -> NDArray[np.float32]:
        """Areas in squared level-0 pixels, shape (n,)."""
        return self._rings.areas

    @property
    def bounds(self) -> NDArray[np.float32]:
        """Smallest row and column, largest row and column, shape (n, 4)."""
        return self._rings.bounds

    @cached_property
    def hashes(self) -> NDArray[np.str_]:
        """Hash of each polygon's vertices, 16 characters; tells an edited outline, shape (n,)."""
        return hash_polygons(self.vertices, self.offsets)

    @cached_property
    def _grid(self) -> PointGrid:
        return PointGrid(self.centroids)

    @cached_property
    def _sorted_ids(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order

    def positions_of(self, ids: Iterable[int] | ArrayLike) -> NDArray[np.int64]:
        """Find nuclei by id.

        Raises
        ------
        NucleiError
            If there is no such nucleus.
        """
        wanted = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)  # type: ignore[arg-type]
        known, order = self._sorted_ids
        place = np.searchsorted(known, wanted)
        found = np.zeros(len(wanted), bool)
        within = place < len(known)
        found[within] = known[place[within]] == wanted[within]
        if not found.all():
            raise NucleiError(
                f"There is no nucleus with id {listed(wanted[~found])}: it was removed, or the ids "
                "belong to another table of nuclei."
            )
        return order[place]

    def in_rectangle(self, r0: float, c0: float, r1: float, c1: float) -> NDArray[np.int64]:
        """Find nuclei whose centroid lies in a rectangle of level-0 pixels.

        The lower borders belong to the rectangle and the upper ones do not, so that
        each nucleus lies in one rectangle of a tiling.

        Returns
        -------
        ndarray of int64
            Positions, ascending.
        """
        return self._grid.inside(r0, c0, r1, c1)

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
        which = np.asarray(which)
        if which.dtype == bool:
            which = np.flatnonzero(which)
        positions = np.arange(len(self))[which.astype(np.int64)]
        return self._laid_out([self], positions)

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
        return Nuclei.from_polygons(
            polygons, self.ids[positions], self.scores[positions], Source.EDITED, repair=True
        )

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
        kept = np.delete(np.arange(len(self)), np.asarray(drop, np.int64))
        at = np.asarray(at, np.int64)
        order = np.full(len(kept) + len(insert), -1)
        order[at] = len(self) + np.arange(len(insert))
        order[order < 0] = kept
        return self._laid_out([self, insert], order)

    def with_next_id(self, next_id: int) -> Nuclei:
        """Make sure that new nuclei get ids from ``next_id`` on."""
        if next_id <= self.next_id:
            return self
        raised = Nuclei(self.vertices, self.offsets, self.ids, self.scores, self.sources, next_id)
        raised.__dict__.update({k: v for k, v in self.__dict__.items() if k in _DERIVED})
        return raised

    @staticmethod
    def _laid_out(tables: Sequence[Nuclei], order: NDArray[np.int64]) -> Nuclei:
        """Rows of several tables in a new order, with what was already derived from them."""
        vertices, offsets = take_rows([(t.vertices, t.offsets) for t in tables], order)
        made = Nuclei(
            vertices,
            offsets,
            _end_to_end([t.ids for t in tables])[order],
            _end_to_end([t.scores for t in tables])[order],
            _end_to_end([t.sources for t in tables])[order],
            max(t.next_id for t in tables),
        )
        first = tables[0].__dict__
        if "_rings" in first:
            rings = tables[0]._rings
            for other in tables[1:]:
                rings = rings.joined(other._rings)
            made.__dict__["_rings"] = rings.take(order)
        if "hashes" in first:
            made.__dict__["hashes"] = _end_to_end([t.hashes for t in tables])[order]
        return made


def _end_to_end(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


_DERIVED = ("_rings", "hashes", "_grid", "_sorted_ids")


def _check_ids(ids: NDArray[np.int64]) -> None:
    if not len(ids):
        return
    if ids.min() < 0 or ids.max() > LARGEST_ID:
        wrong = ids[(ids < 0) | (ids > LARGEST_ID)]
        raise NucleiError(f"Ids must lie between 0 and {LARGEST_ID}, not {listed(wrong)}.")
    if (np.diff(ids) > 0).all():
        return
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise NucleiError(
            f"Ids must be unique; more than one nucleus has {listed(unique[counts > 1])}."
        )
