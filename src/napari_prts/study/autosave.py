"""Autosave: what keeps a study's nuclei safe, and finds what an earlier session left."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.errors import NucleiError
from napari_prts.slide.remembered import data_folder
from napari_prts.study.journal import Journal, Saved
from napari_prts.study.recovery import Recoverable, Recovery, Restored, recover

if TYPE_CHECKING:
    from napari_prts.jobs import Job
    from napari_prts.slide import Slide
    from napari_prts.study.changes import Change

FOLDER = "journals"


class Autosave:
    """Keeps each change of a study's nuclei in a journal in the user's data folder.

    Two studies of one slide, in one program or in two, write journals of their own.
    The journal of an earlier session stays as it is; when a new one begins, the oldest
    beyond a few are removed.

    Parameters
    ----------
    slide : Slide
        Whose nuclei they are; journals are found by its fingerprint.
    on : bool
        False keeps nothing; what an earlier session left can be restored all the same.
    """

    def __init__(self, slide: Slide, on: bool = True) -> None:
        self._slide, self._on = slide, on
        # Where it is now: a thread may ask later, and get another answer.
        self._data = data_folder()
        self._recovery: Recovery | None = None
        self._journal = self._new_journal()

    @property
    def saved(self) -> Saved:
        """How far the corrections are on disk."""
        return self._journal.saved

    @property
    def recoverables(self) -> list[Recoverable]:
        """What other sessions left of this slide, the newest first."""
        return self._found.found(but=self.session)

    @property
    def session(self) -> Path | None:
        """Folder of this study's own journal; None as long as nothing was written."""
        return self._journal.session

    def note(self, change: Change, begin: bool = True) -> None:
        """Keep a change; ``begin`` is False if it alone is no reason to begin a journal."""
        if self._on:
            self._journal.append(change, begin)

    def restoring(self, which: Recoverable | None = None) -> Job[Restored]:
        """Bring back what an earlier session left; hand the result to the study.

        Parameters
        ----------
        which : Recoverable, optional
            The newest by default.

        Yields
        ------
        Progress
            In corrections.

        Raises
        ------
        NucleiError
            If there is nothing, or it cannot be read.
        """
        if which is None:
            found = self.recoverables
            if not found:
                raise NucleiError(
                    f"There is nothing to restore for {self._slide.name}: no nuclei of this slide "
                    f"were kept in {self._data / FOLDER}."
                )
            which = found[0]
        return (yield from recover(which.session))

    def go_on_from(self, restored: Restored) -> None:
        """Begin a new journal with what was restored; the one before is kept."""
        if self._on:
            self._journal = self._new_journal(restored.changes)

    def wait(self, timeout: float | None = None) -> Saved:
        """Wait until all is on disk, or cannot be; the result says which."""
        return self._journal.wait(timeout)

    def retry(self) -> None:
        """Try again, if the disk was full or could not be written."""
        self._journal.retry()

    def close(self) -> None:
        """Write what is left, and let another program remove the journal when it is old."""
        self._journal.close()

    @property
    def _found(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(_shelf(self._data, self._slide))
        return self._recovery

    def _new_journal(self, before: Sequence[Change] = ()) -> Journal:
        # Nothing of ours: a study that nobody holds must let go of its files at once.
        return Journal(partial(_shelf, self._data, self._slide), before, _prune)


def _shelf(data: Path, slide: Slide) -> Path:
    return data / FOLDER / slide.fingerprint


def _prune(session: Path) -> None:
    Recovery(session.parent).prune(keep=session)
