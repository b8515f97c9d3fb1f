"""NucleiState: the nuclei of one open slide, their corrections, and how these are kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_prts.errors import NucleiError
from napari_prts.jobs import run
from napari_prts.nuclei import History, Nuclei, Source
from napari_prts.study import changes
from napari_prts.study.autosave import Autosave
from napari_prts.study.journal import Saved
from napari_prts.study.recovery import Provenance, Recoverable, Restored

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_prts.slide import Slide

Region = tuple[float, float, float, float]


class NucleiState:
    """The nuclei of one open slide; each change is kept on disk as it is made.

    Parameters
    ----------
    slide : Slide
        The open slide.
    autosave : bool
        Keep each change in the user's data folder.

    Attributes
    ----------
    autosave : Autosave
        What keeps the nuclei.
    nuclei_changed : psygnal.Signal
        Emitted without arguments after the change.
    """

    nuclei_changed = Signal()

    def __init__(self, slide: Slide, autosave: bool = True) -> None:
        self._history = History(Nuclei.empty())
        self._provenance = Provenance()
        # As they were last put in as a whole; what came after is only told by the provenance.
        self._as_set: Nuclei | None = None
        self.autosave = Autosave(slide, autosave)

    @property
    def nuclei(self) -> Nuclei:
        """The nuclei as they are now, with all corrections."""
        return self._history.current

    @property
    def history(self) -> History:
        """Corrections done, for the state of undo and redo; change it through this study."""
        return self._history

    @property
    def undo_label(self) -> str | None:
        """Name of the correction that :meth:`undo` would take back."""
        label: str | None = self._history.undo_label
        return label

    @property
    def redo_label(self) -> str | None:
        """Name of the correction that :meth:`redo` would do again."""
        label: str | None = self._history.redo_label
        return label

    @property
    def nuclei_provenance(self) -> dict[str, Any]:
        """Where the nuclei came from, and how many were corrected by hand."""
        counts = self._history.counts()
        edits = {"added": counts.added, "edited": counts.edited, "removed": counts.removed}
        # Nuclei from a file may bring corrections that were made before it was written.
        earlier = self._provenance.now.get("corrections") or {}
        edits = {name: count + int(earlier.get(name, 0)) for name, count in edits.items()}
        return {**self._provenance.now, "corrections": edits}

    @property
    def nuclei_as_set(self) -> bool:
        """Whether the nuclei are still those last found, imported or opened as a whole."""
        return self.nuclei is self._as_set

    @property
    def saved(self) -> Saved:
        """How far the corrections are on disk."""
        return self.autosave.saved

    @property
    def recoverable(self) -> Recoverable | None:
        """The newest nuclei of this slide that another session left, if any."""
        return next(iter(self.autosave.recoverables), None)

    def restore(self, which: Recoverable | str | None = None) -> Nuclei:
        """Bring back the nuclei that another session left, with its undo and redo.

        Parameters
        ----------
        which : Recoverable or str, optional
            One of ``study.autosave.recoverables``, or the name of its folder; the newest by
            default.

        Returns
        -------
        Nuclei
            As they were. What this session did before is no longer in its history; it is
            kept and can be restored in turn.

        Raises
        ------
        NucleiError
            If there is nothing to restore, or it cannot be read.

        Warns
        -----
        UserWarning
            If the journal is damaged and a part of it could not be restored.
        """
        if isinstance(which, str):
            which = self._recoverable_of(which)
        restored = run(self.autosave.restoring(which))
        if restored.problem:
            warnings.warn(restored.problem, stacklevel=2)
        self.take_restored(restored)
        return self.nuclei

    def _recoverable_of(self, name: str) -> Recoverable:
        known = {found.session.name: found for found in self.autosave.recoverables}
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "nothing of this slide is kept"
            raise NucleiError(f"No session {name!r} of this slide can be restored: {there}.")
        return known[name]

    def take_restored(self, restored: Restored) -> None:
        """Take over what ``study.autosave.restoring()`` brought back."""
        self.autosave.go_on_from(restored)
        self._history, self._provenance = restored.history, restored.provenance
        self._on_other_nuclei()
        self.nuclei_changed.emit()

    def set_nuclei(
        self, nuclei: Nuclei, provenance: Mapping[str, Any] | None = None, label: str = "nuclei"
    ) -> None:
        """Replace all nuclei; can be undone.

        Measured and predicted tables and clusters are dropped: their rows belong
        to other nuclei, even where an id is the same.

        Parameters
        ----------
        nuclei : Nuclei
            The new nuclei.
        provenance : mapping, optional
            Where they come from; kept in the files written later.
        label : str
            Name of the step in the undo history.
        """
        self._replace_all(nuclei, provenance, label)

    def load_nuclei(self, nuclei: Nuclei, provenance: Mapping[str, Any]) -> None:
        """Replace all nuclei by those of a saved study: they are safe until they are edited.

        Parameters
        ----------
        nuclei : Nuclei
            The saved nuclei.
        provenance : mapping
            What was saved with them.
        """
        self._replace_all(nuclei, provenance, "open", begin=False)

    def _replace_all(
        self,
        nuclei: Nuclei,
        provenance: Mapping[str, Any] | None,
        label: str,
        begin: bool = True,
    ) -> None:
        origin, before = dict(provenance or {}), self.nuclei
        self._history.reset(nuclei, label)
        self._as_set = self.nuclei
        self._provenance.step(origin)
        self.autosave.note(changes.whole(before, self.nuclei, nuclei, origin, label), begin)
        self._on_other_nuclei()
        self.nuclei_changed.emit()

    def set_segmented(
        self, found: Nuclei, region: Region | None, provenance: Mapping[str, Any]
    ) -> None:
        """Take over segmented nuclei; with a region, only those inside it are replaced."""
        if region is None or not len(self.nuclei):
            self.set_nuclei(found, provenance, "find nuclei")
            return
        row, column, height, width = region
        inside = self.nuclei.in_rectangle(row, column, row + height, column + width)
        self._edit(self.nuclei.ids[inside], found, {}, "find nuclei in region", Source.STARDIST)

    def edit(
        self,
        *,
        removed: Iterable[int] = (),
        added: Iterable[NDArray[np.floating]] = (),
        replaced: Mapping[int, NDArray[np.floating]] | None = None,
        label: str = "edit",
        source: Source = Source.MANUAL,
        scores: ArrayLike | None = None,
    ) -> list[int]:
        """Correct nuclei by hand, as one step of the undo history.

        Parameters
        ----------
        removed : iterable of int
            Ids to delete.
        added : iterable of ndarray, shape (k, 2)
            New outlines in level-0 pixels, (row, column).
        replaced : mapping of int to ndarray, shape (k, 2)
            New outlines of existing ids.
        label : str
            Name of the step.
        source : Source
            What the added nuclei are said to be.
        scores : array-like of float, shape (n,), optional
            How probable the added nuclei are held; 1 by default. Not together with
            ``replaced``.

        Returns
        -------
        list of int
            Ids of the added nuclei.

        Raises
        ------
        NucleiError
            If an id does not exist, an outline is no polygon, or scores are given
            together with replaced outlines.
        """
        outlines, changed = list(added), dict(replaced or {})
        if scores is None:
            new = self._edit(list(removed), outlines, changed, label, source)
        elif changed:
            raise NucleiError(
                "Scores belong to added nuclei: replace outlines in a step of their own."
            )
        else:
            scored = Nuclei.from_polygons(outlines, scores=scores, source=source)
            new = self._edit(list(removed), scored, changed, label, source)
        return [int(id_) for id_ in new]

    def _edit(
        self,
        removed: Sequence[int] | NDArray[np.integer],
        added: Sequence[ArrayLike] | Nuclei,
        replaced: Mapping[int, ArrayLike],
        label: str,
        source: Source,
    ) -> NDArray[np.int64]:
        before = self.nuclei
        outlines, scores = (
            (added.polygons(), added.scores) if isinstance(added, Nuclei) else (added, None)
        )
        new: NDArray[np.int64] = self._history.edit(
            removed, outlines, replaced, label, source, scores
        )
        if self.nuclei is not before:
            self._provenance.step()
            self.autosave.note(
                changes.edited(before, self.nuclei, removed, added, replaced, label, source)
            )
        self.nuclei_changed.emit()
        return new

    def undo(self) -> str | None:
        """Take back the last correction; return its name, or None if there is none."""
        label: str | None = self._history.undo()
        if label is not None:
            self._provenance.undo()
            self.autosave.note(changes.undone(self.nuclei))
            self.nuclei_changed.emit()
        return label

    def redo(self) -> str | None:
        """Do the last undone correction again; return its name, or None if there is none."""
        label: str | None = self._history.redo()
        if label is not None:
            self._provenance.redo()
            self.autosave.note(changes.redone(self.nuclei))
            self.nuclei_changed.emit()
        return label

    def _on_other_nuclei(self) -> None:
        """Called when all nuclei were replaced, before listeners hear of it."""
