"""Recovery: what an earlier session left, and bringing it back with its undo and redo."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import NucleiError
from napari_prts.jobs import Progress
from napari_prts.nuclei import History, Nuclei
from napari_prts.study.changes import EDIT, UNDO, WHOLE, Change, do_again, folded
from napari_prts.study.journal_files import JOURNAL, in_use, read_journal, sessions

if TYPE_CHECKING:
    from napari_prts.jobs import Job

# The newest journals that are kept beside the one being written, and one more: that with
# the most corrections, so that a few slips of the hand cannot push out a week's work.
KEPT = 3


@dataclass(frozen=True)
class Recoverable:
    """The nuclei of an earlier session that can be brought back.

    Parameters
    ----------
    session : Path
        Folder of its journal.
    saved_at : datetime
        When (UTC) the last correction was made.
    edits : int
        Corrections since the nuclei were last found or imported; those taken back not counted.
    count : int
        How many nuclei there were in the end.
    problem : str
        What is damaged, if anything.
    """

    session: Path
    saved_at: datetime
    edits: int
    count: int
    problem: str = ""

    @property
    def words(self) -> str:
        """Say when and how much: ``"21 Nov 15:04 (12 edits)"``."""
        edits = "1 edit" if self.edits == 1 else f"{self.edits:,} edits"
        return f"{self.saved_at.astimezone():%d %b %H:%M} ({edits})"


@dataclass(eq=False)
class Provenance:
    """Where the nuclei come from, going back and forth with undo and redo."""

    now: dict[str, Any] = field(default_factory=dict)
    _past: list[dict[str, Any]] = field(default_factory=list)
    _future: list[dict[str, Any]] = field(default_factory=list)

    def step(self, new: dict[str, Any] | None = None) -> None:
        """Note a step; ``new`` where it replaced all nuclei."""
        self._past.append(self.now)
        self._future.clear()
        self.now = self.now if new is None else new

    def undo(self) -> None:
        """Go back one step."""
        self._future.append(self.now)
        self.now = self._past.pop()

    def redo(self) -> None:
        """Go forth one step."""
        self._past.append(self.now)
        self.now = self._future.pop()


@dataclass(frozen=True, eq=False)
class Restored:
    """What a journal led to.

    Parameters
    ----------
    history : History
        The nuclei with the steps to undo and to redo.
    provenance : Provenance
        Where they come from.
    changes : tuple of Change
        What the next journal begins with.
    problem : str
        What could not be restored; empty if all was.
    """

    history: History
    provenance: Provenance
    changes: tuple[Change, ...]
    problem: str


class Recovery:
    """Finds what earlier sessions left of one slide.

    Parameters
    ----------
    shelf : Path
        Folder of all journals of the slide.
    """

    def __init__(self, shelf: Path) -> None:
        self._shelf = shelf
        self._known: dict[Path, tuple[tuple[int, int], Recoverable | None]] = {}

    def found(self, but: Path | None = None) -> list[Recoverable]:
        """List what can be restored, the newest first.

        Parameters
        ----------
        but : Path, optional
            Folder of a session to leave out.
        """
        known = (self._look_at(session) for session in sessions(self._shelf) if session != but)
        return _newest_first(recoverable for recoverable in known if recoverable is not None)

    def prune(self, keep: Path) -> None:
        """Remove the oldest journals when there are more than a few.

        Never one that a running program writes, nor ``keep``, nor one that is damaged.
        """
        others = [session for session in sessions(self._shelf) if session != keep]
        looked = {session: self._look_at(session) for session in others}
        full = _newest_first(known for known in looked.values() if known is not None)
        kept = {known.session for known in full[:KEPT] + [k for k in full if k.problem]}
        if full:
            kept.add(max(full, key=lambda known: known.edits).session)
        for session in others:
            if session not in kept and _is_readable(session) and not in_use(session):
                shutil.rmtree(session, ignore_errors=True)

    def _look_at(self, session: Path) -> Recoverable | None:
        with contextlib.suppress(OSError, NucleiError, KeyError, ValueError, IndexError):
            stat = (session / JOURNAL).stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if session not in self._known or self._known[session][0] != stamp:
                self._known[session] = (stamp, _summary(session))
            return self._known[session][1]
        return None


def recover(session: Path) -> Job[Restored]:
    """Do the changes of a journal again.

    Parameters
    ----------
    session : Path
        Folder of the journal.

    Yields
    ------
    Progress
        In corrections.

    Raises
    ------
    NucleiError
        If nothing can be restored.
    """
    contents = read_journal(session)
    try:
        changes, problem = folded(contents.changes), contents.problem
    except IndexError as error:
        raise NucleiError(f"The corrections in {session} do not belong together.") from error
    history, provenance = History(Nuclei.empty()), Provenance()
    done = 0
    try:
        for done, change in enumerate(changes):
            _again(change, history, provenance)
            yield Progress(done + 1, len(changes), "corrections")
        done = len(changes)
    except NucleiError as error:
        # Folding brings the steps that were taken back into their order of doing, so what
        # stands before the one that failed is still a way that the user went.
        problem = problem or str(error)
    if not done:
        raise NucleiError(problem or f"{session} holds no corrections.")
    return Restored(history, provenance, tuple(changes[:done]), problem)


def _newest_first(found: Iterable[Recoverable]) -> list[Recoverable]:
    # A file system's clock is too coarse for two windows at once; ours is not.
    return sorted(found, key=lambda known: (known.saved_at, known.session.name), reverse=True)


def _again(change: Change, history: History, provenance: Provenance) -> None:
    do_again(change, history)
    if change.what == UNDO:
        provenance.undo()
    else:
        provenance.step(change.facts["provenance"] if change.what == WHOLE else None)


def _summary(session: Path) -> Recoverable | None:
    contents = read_journal(session)
    if not contents.changes:
        return None
    changes = folded(contents.changes)
    last = contents.changes[-1]
    undone = sum(change.what == UNDO for change in changes)
    steps = [change for change in changes if change.is_step]
    done = steps[: len(steps) - undone]
    since = max((i + 1 for i, step in enumerate(done) if step.what == WHOLE), default=0)
    edits = sum(step.what == EDIT for step in done[since:])
    return Recoverable(session, last.at, edits, int(last.facts["count"]), contents.problem)


def _is_readable(session: Path) -> bool:
    try:
        return not read_journal(session).problem
    except NucleiError:
        return False
