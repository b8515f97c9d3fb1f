"""Undo and redo of corrections, without limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.table import Nuclei, Source
from napari_prts.nuclei.tally import EditCounts, Tally
from napari_prts.nuclei.validation import listed

__all__ = ["EditCounts", "History"]


@dataclass(frozen=True, eq=False)
class _Edit:
    """One step: the rows that left, the rows that came, and their positions."""

    label: str
    removed: Nuclei
    removed_at: NDArray[np.int64]
    added: Nuclei
    added_at: NDArray[np.int64]
    whole: bool = False
    by_hand: bool = True

    def done(self, nuclei: Nuclei) -> Nuclei:
        if self.whole:
            return self.added.with_next_id(nuclei.next_id)
        return nuclei.splice(self.removed_at, self.added, self.added_at)

    def undone(self, nuclei: Nuclei) -> Nuclei:
        if self.whole:
            return self.removed.with_next_id(nuclei.next_id)
        return nuclei.splice(self.added_at, self.removed, self.removed_at)


class History:
    """The nuclei of a slide, and how they came to be what they are.

    Each step keeps only what it took out and what it put in. Undoing and redoing
    restores the same table, row for row. Ids given to new nuclei never come back,
    also not after an undo, so that an id always means one nucleus.

    Parameters
    ----------
    nuclei : Nuclei
        What is there at the start; this cannot be undone.
    """

    def __init__(self, nuclei: Nuclei) -> None:
        self._current = nuclei
        self._done: list[_Edit] = []
        self._undone: list[_Edit] = []
        # One for the start and one for each whole table that was put in since.
        self._tallies = [Tally()]

    @property
    def current(self) -> Nuclei:
        """The nuclei now."""
        return self._current

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def undo_label(self) -> str | None:
        """Name of the step that :meth:`undo` would take back."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """Name of the step that :meth:`redo` would do again."""
        return self._undone[-1].label if self._undone else None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    def edit(
        self,
        removed: Iterable[int] | ArrayLike = (),
        added: Sequence[ArrayLike] | NDArray[np.floating] = (),
        replaced: Mapping[int, ArrayLike] | None = None,
        label: str = "edit",
        source: Source = Source.MANUAL,
        scores: ArrayLike | None = None,
    ) -> NDArray[np.int64]:
        """Change nuclei as one step; if anything is wrong, nothing changes.

        Parameters
        ----------
        removed : iterable of int
            Ids to leave out.
        added : sequence of array-like, shape (k, 2)
            New outlines, (row, column) in level-0 pixels. Outlines that cross
            themselves are mended, here and in ``replaced``.
        replaced : mapping of int to array-like of shape (k, 2)
            New outlines of nuclei that keep their ids.
        label : str
            Name of the step.
        source : Source
            What the added nuclei are said to be. Steps of ``Source.STARDIST`` do not
            count as corrections.
        scores : array-like of float, optional
            Scores of the added nuclei; 1 by default.

        Returns
        -------
        ndarray of int64
            Ids of the added nuclei, in order.

        Raises
        ------
        NucleiError
            If an id does not exist, is removed and replaced at once, or an outline is
            no polygon.
        """
        current = self._current
        leaving = np.unique(current.positions_of(removed))
        changing = current.positions_of((replaced or {}).keys())
        both = np.intersect1d(leaving, changing)
        if both.size:
            raise NucleiError(
                f"Nucleus {listed(current.take(both).ids)} cannot be removed and replaced in one "
                "step."
            )
        fresh = current.new_rows(added, source, scores)
        if not (len(leaving) or len(changing) or len(fresh)):
            return fresh.ids
        changed = current.reshaped(changing, list((replaced or {}).values()))
        gone = np.concatenate([leaving, changing])
        left = len(current) - len(leaving)
        self._do(
            _Edit(
                label,
                removed=current.take(gone),
                removed_at=gone,
                added=changed.splice([], fresh, np.arange(len(changed), len(changed) + len(fresh))),
                added_at=np.concatenate(
                    [changing - np.searchsorted(leaving, changing), left + np.arange(len(fresh))]
                ),
                by_hand=source is not Source.STARDIST,
            )
        )
        return fresh.ids

    def add(
        self,
        polygons: Sequence[ArrayLike] | NDArray[np.floating],
        source: Source = Source.MANUAL,
        scores: ArrayLike | None = None,
        label: str = "add",
    ) -> NDArray[np.int64]:
        """Add outlines as one step and return their ids; see :meth:`edit`."""
        return self.edit(added=polygons, label=label, source=source, scores=scores)

    def remove(self, ids: Iterable[int] | ArrayLike, label: str = "remove") -> None:
        """Remove nuclei as one step; see :meth:`edit`."""
        self.edit(removed=ids, label=label)

    def replace(self, id_: int, vertices: ArrayLike, label: str = "replace") -> None:
        """Give a nucleus another outline as one step; see :meth:`edit`."""
        self.edit(replaced={id_: vertices}, label=label)

    def reset(self, nuclei: Nuclei, label: str = "reset") -> None:
        """Put other nuclei in the place of all, ids included, as one step."""
        self._do(
            _Edit(
                label,
                removed=self._current,
                removed_at=np.arange(len(self._current)),
                added=nuclei,
                added_at=np.arange(len(nuclei)),
                whole=True,
            )
        )

    def undo(self) -> str | None:
        """Take back the last step; return its label, or None if there is none."""
        if not self._done:
            return None
        step = self._done.pop()
        self._current = step.undone(self._current)
        self._undone.append(step)
        if step.whole:
            self._tallies.pop()
        elif step.by_hand:
            self._tallies[-1].exchange(step.added, step.removed)
        else:
            self._tallies[-1].disown()
        return step.label

    def redo(self) -> str | None:
        """Do the last undone step again; return its label, or None if there is none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._redo(step)
        return step.label

    def counts(self) -> EditCounts:
        """Count what was corrected since the nuclei were last set as a whole."""
        return self._tallies[-1].counts

    def _do(self, step: _Edit) -> None:
        self._redo(step)
        self._undone.clear()

    def _redo(self, step: _Edit) -> None:
        self._current = step.done(self._current)
        self._done.append(step)
        if step.whole:
            self._tallies.append(Tally())
        elif step.by_hand:
            self._tallies[-1].exchange(step.removed, step.added)
        else:
            self._tallies[-1].adopt(step.removed, step.added)
