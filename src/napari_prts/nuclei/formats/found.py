"""Outlines as a file has them, before they are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.nuclei.formats.report import Finding, Problem
from napari_prts.nuclei.ragged import Offsets, offsets_of
from napari_prts.nuclei.table import LARGEST_ID, Source

NO_ID = -1


@dataclass(frozen=True)
class Outlines:
    """What a reader found, good or not.

    Attributes
    ----------
    vertices : ndarray of float32, shape (v, 2)
        (row, column) in level-0 pixels; the centre of the first pixel is (0, 0).
    offsets : ndarray of int64, shape (n + 1,)
        Where each outline's vertices begin.
    ids : ndarray of int64, shape (n,)
        :data:`NO_ID` where the file has none.
    scores : ndarray of float32, shape (n,)
        NaN where the file's own is unusable.
    sources : ndarray of uint8, shape (n,)
        Values of :class:`~napari_prts.nuclei.table.Source`.
    places : ndarray of int64, shape (n,)
        Number of the outline in the file.
    place : str
        What such a number counts: ``"feature"``, ``"row"``.
    marks : mapping of Problem to ndarray of bool, shape (n,)
        What the reader already repaired.
    left_out : tuple of Finding
        What the reader already left out.
    notes : tuple of str
        What else to tell the user.
    exact : bool
        Written by this program: taken as it is, so that it reads back exactly.
    next_id : int
        Smallest id for new nuclei.
    """

    vertices: NDArray[np.float32]
    offsets: Offsets
    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    places: NDArray[np.int64]
    place: str = "outline"
    marks: Mapping[Problem, NDArray[np.bool_]] = field(default_factory=dict)
    left_out: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    exact: bool = False
    next_id: int = 0

    @classmethod
    def of(
        cls,
        vertices: NDArray[np.floating],
        offsets: Offsets,
        ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        sources: ArrayLike | None = None,
        **more: Any,
    ) -> Outlines:
        """Fill in what a file does not have."""
        count = len(offsets) - 1
        with np.errstate(over="ignore", invalid="ignore"):
            points = np.ascontiguousarray(vertices, np.float32)
        more.setdefault("places", np.arange(1, count + 1))
        return cls(
            points,
            offsets,
            np.full(count, NO_ID) if ids is None else np.asarray(ids, np.int64),
            np.ones(count, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.full(count, Source.IMPORTED, np.uint8)
            if sources is None
            else np.asarray(sources, np.uint8),
            **more,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def names(self, which: NDArray[np.bool_]) -> tuple[int | str, ...]:
        """How some outlines are called: by id, or by their place in the file."""
        return tuple(
            id_ if id_ != NO_ID else f"{self.place} {place}"
            for id_, place in zip(
                self.ids[which].tolist(), self.places[which].tolist(), strict=True
            )
        )

    def take(self, keep: NDArray[np.bool_]) -> Outlines:
        """Choose outlines."""
        lengths = np.diff(self.offsets)
        return replace(
            self,
            vertices=self.vertices[np.repeat(keep, lengths)],
            offsets=offsets_of(lengths[keep]),
            ids=self.ids[keep],
            scores=self.scores[keep],
            sources=self.sources[keep],
            places=self.places[keep],
            marks={problem: mask[keep] for problem, mask in self.marks.items()},
        )

    def without(self, problem: Problem, which: NDArray[np.bool_]) -> Outlines:
        """Leave outlines out, and say so."""
        if not which.any():
            return self
        gone = Finding(problem, self.names(which))
        return replace(self.take(~which), left_out=(*self.left_out, gone))

    def marked(self, problem: Problem, which: NDArray[np.bool_]) -> Outlines:
        """Say that outlines were repaired."""
        if not which.any():
            return self
        before = self.marks.get(problem, np.zeros(len(self), bool))
        return replace(self, marks={**self.marks, problem: before | which})

    def reshaped(self, new: Mapping[int, NDArray[np.float32]]) -> Outlines:
        """Give some outlines, by position, other vertices."""
        if not new:
            return self
        pieces = np.split(self.vertices, self.offsets[1:-1])
        for position, outline in new.items():
            pieces[position] = outline
        return replace(
            self,
            vertices=np.concatenate(pieces),
            offsets=offsets_of([len(piece) for piece in pieces]),
        )


def whole_ids(values: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Turn given ids into whole numbers.

    Returns
    -------
    ids : ndarray of int64
        :data:`NO_ID` where there is none or it is unusable.
    unusable : ndarray of bool
        Where one was given that is no whole number in range.
    """
    ids, unusable = np.full(len(values), NO_ID, np.int64), np.zeros(len(values), bool)
    for position, value in enumerate(values):
        id_ = _whole(value)
        if id_ is not None:
            ids[position] = id_
        elif value is not None and str(value).strip().lower() not in ("", "nan", "none"):
            unusable[position] = True
    return ids, unusable


def _whole(value: Any) -> int | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if number.is_integer() and 0 <= number <= LARGEST_ID and not isinstance(value, bool):
        return int(number)
    return None
