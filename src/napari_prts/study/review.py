"""A walk through the nuclei that the network was least sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_prts.nuclei import Nuclei, Source

if TYPE_CHECKING:
    from napari_prts.study.state import StudyState

# Of each hundred nuclei, those looked at by default.
_LOWEST = 0.1
# The worst quarter comes first: who stops early has seen what matters most. More bands
# would mean more journeys across the slide.
_BANDS = 4
# A curve through 512 x 512 squares: on the largest slides some 60 microns each.
_CURVE_BITS = 9
# An id fits into as many bits; a place in the walk is band, square and id in one number.
_ID_BITS = 32


@dataclass(frozen=True)
class Uncertain:
    """A nucleus to be looked at.

    Parameters
    ----------
    id : int
        The nucleus.
    score : float
        How probable the finder held it.
    centroid : tuple of float
        (row, column) in level-0 pixels.
    bounds : tuple of float
        First row and column, last row and column, in level-0 pixels.
    """

    id: int
    score: float
    centroid: tuple[float, float]
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Queue:
    """The nuclei to be looked at, in the order of the walk."""

    nuclei: Nuclei
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def id_at(self, place: int) -> int:
        return int(self.keys[place] & (2**_ID_BITS - 1))

    def holds(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        first, after = (np.searchsorted(self.keys, keys, side) for side in ("left", "right"))
        held: NDArray[np.bool_] = first < after
        return held


class Review:
    """Walks through nuclei of low score; each is accepted or rejected by a person.

    The order is quick to look at: the quarter of lowest scores comes first, then the
    next, and within each quarter a nucleus is followed by one nearby, along a Hilbert
    curve. After the last comes the first again, so that those passed over come back.

    An accepted nucleus keeps its outline and score and becomes
    :attr:`~napari_prts.nuclei.Source.EDITED`, that is seen by a person: it is not asked
    for again, also after saving and opening, and finding nuclei again in a region leaves
    it alone. Both decisions are steps of the study's history; undoing one brings the
    nucleus back, and the walk goes back to it. Nuclei that are corrected, removed or
    found meanwhile leave or join the walk by themselves.

    Parameters
    ----------
    study : StudyState
        The study.
    below : float, optional
        Look at nuclei of lower score. By default the score that a tenth of the nuclei
        untouched by hand do not reach: it needs no knowledge of the model, and is never
        more than a person would begin with. A model's threshold plus a margin would be
        half of one slide and nothing of another.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted without arguments when :attr:`current` or :attr:`remaining` may have changed.
    """

    changed = Signal()

    def __init__(self, study: StudyState, below: float | None = None) -> None:
        self._study = study
        self._asked = below
        self._decided: dict[int, None] = {}
        self._curve = _hilbert_curve()
        self.restart()
        study.nuclei_changed.connect(self._on_nuclei_changed)

    def restart(self) -> None:
        """Begin again with the first nucleus; the default limit is worked out anew.

        To be called when all nuclei were replaced; the first ones are noticed without.
        """
        nuclei = self._study.nuclei
        scores = nuclei.scores[_untouched(nuclei)]
        limit = self._asked
        if limit is None:
            limit = float(np.quantile(scores, _LOWEST)) if len(scores) else 0.0
        self._below = limit
        low = scores[scores < limit]
        shares = np.arange(1, _BANDS) / _BANDS
        self._edges = np.quantile(low, shares) if len(low) else np.zeros(_BANDS - 1)
        self._span = max(self._study.slide.shape)
        self._decided.clear()
        self._at = 0
        self._queue = self._queued(nuclei)
        self._stand(0)
        self.changed.emit()

    def close(self) -> None:
        """Stop following the study."""
        self._study.nuclei_changed.disconnect(self._on_nuclei_changed, missing_ok=True)

    @property
    def below(self) -> float:
        """Nuclei of lower score are looked at."""
        return self._below

    @property
    def remaining(self) -> int:
        """How many nuclei are still to be looked at."""
        return len(self._queue)

    @property
    def position(self) -> int:
        """Place of the current nucleus among the remaining ones, from 0; 0 without any."""
        # The current one may be gone: then the one that followed it stands there.
        place = int(np.searchsorted(self._queue.keys, self._at))
        return place if place < self.remaining else 0

    @property
    def current(self) -> Uncertain | None:
        """The nucleus to look at now; None when all were reviewed."""
        if not self.remaining:
            return None
        nuclei = self._queue.nuclei
        at = int(nuclei.positions_of([self._queue.id_at(self.position)])[0])
        row, column = nuclei.centroids[at].tolist()
        r0, c0, r1, c1 = nuclei.bounds[at].tolist()
        return Uncertain(
            int(nuclei.ids[at]), float(nuclei.scores[at]), (row, column), (r0, c0, r1, c1)
        )

    def next(self) -> Uncertain | None:
        """Pass on to the next nucleus and return it; the first after the last."""
        return self._move(+1)

    def previous(self) -> Uncertain | None:
        """Go back to the nucleus before and return it; the last before the first."""
        return self._move(-1)

    def accept(self) -> Uncertain | None:
        """Say that the current nucleus is right, and return the next one.

        Returns
        -------
        Uncertain or None
            None when all were reviewed.
        """
        if (now := self.current) is not None:
            self._decided[self._at] = None
            nuclei = self._study.nuclei
            outline = nuclei.polygon(int(nuclei.positions_of([now.id])[0]))
            self._study.edit(replaced={now.id: outline}, label="accept nucleus")
        return self.current

    def reject(self) -> Uncertain | None:
        """Remove the current nucleus, and return the next one.

        Returns
        -------
        Uncertain or None
            None when all were reviewed.
        """
        if (now := self.current) is not None:
            self._decided[self._at] = None
            self._study.edit(removed=[now.id], label="reject nucleus")
        return self.current

    def _move(self, by: int) -> Uncertain | None:
        if self.remaining:
            self._stand((self.position + by) % self.remaining)
            self.changed.emit()
        return self.current

    def _stand(self, place: int) -> None:
        if place < self.remaining:
            self._at = int(self._queue.keys[place])

    def _on_nuclei_changed(self) -> None:
        before = self._queue
        if not len(before.nuclei):
            self.restart()
            return
        self._queue = self._queued(self._study.nuclei)
        decided = np.array(list(self._decided), np.int64)
        back = decided[self._queue.holds(decided) & ~before.holds(decided)]
        # Undone decisions are looked at again; otherwise the walk goes on where it stood.
        if len(back):
            self._at = int(back[-1])
        else:
            self._stand(self.position)
        self.changed.emit()

    def _queued(self, nuclei: Nuclei) -> _Queue:
        which = np.flatnonzero(_untouched(nuclei) & (nuclei.scores < self._below))
        bands = np.searchsorted(self._edges, nuclei.scores[which], side="right")
        side = len(self._curve)
        squares = (nuclei.centroids[which] * (side / self._span)).astype(np.int64)
        row, column = np.clip(squares, 0, side - 1).T
        keys = (bands.astype(np.int64) << (2 * _CURVE_BITS)) | self._curve[row, column]
        return _Queue(nuclei, np.sort((keys << _ID_BITS) | nuclei.ids[which]))


def _untouched(nuclei: Nuclei) -> NDArray[np.bool_]:
    untouched: NDArray[np.bool_] = (nuclei.sources == Source.STARDIST) | (
        nuclei.sources == Source.IMPORTED
    )
    return untouched


def _hilbert_curve() -> NDArray[np.int64]:
    """Number the squares of a grid so that each is followed by a neighbour."""
    side = 2**_CURVE_BITS
    row, column = np.indices((side, side))
    along = np.zeros((side, side), np.int64)
    for bit in reversed(range(_CURVE_BITS)):
        down, right = (row >> bit) & 1, (column >> bit) & 1
        along = (along << 2) | ((3 * right) ^ down)
        # Each quarter is a curve of its own, turned so that its ends meet its neighbours'.
        turned, mirrored = down == 0, (down == 0) & (right == 1)
        row, column = (np.where(mirrored, side - 1 - axis, axis) for axis in (row, column))
        row, column = np.where(turned, column, row), np.where(turned, row, column)
    return along
