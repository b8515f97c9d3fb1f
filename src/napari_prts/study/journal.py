"""Journal: every change of the nuclei is on disk as soon as it is made."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_prts.errors import NucleiError
from napari_prts.study import records
from napari_prts.study.changes import Change, Reach, folded
from napari_prts.study.journal_files import (
    JOURNAL,
    link,
    lock,
    new_session,
    payload_of,
    read_journal,
    sync_folder,
    take_into_use,
    write_aside,
    write_journal,
)

# Larger changes go into files of their own, in a thread that holds up no others.
INLINE = 256 * 1024
# Fold when this much is out of reach of undo and redo, and is more than the rest.
FOLD = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """How far the corrections are on disk.

    Parameters
    ----------
    at : datetime or None
        When (UTC) the last of them got there; None if there was none yet.
    pending : bool
        Whether some are still on their way.
    problem : str
        Why they cannot be saved, and what to do; empty if all is well.
    """

    at: datetime | None = None
    pending: bool = False
    problem: str = ""


class Journal:
    """The changes of one study, appended to a file as they happen.

    A small change is handed to the system before :meth:`append` returns, so that it
    outlives the program, and synced to the disk in a thread within a second. A change
    of many nuclei is written in a thread. Nothing is written before the first
    :meth:`append` that says so.

    Parameters
    ----------
    shelf : callable
        Gives the folder of all journals of the slide; called in a thread.
    before : sequence of Change
        What the journal begins with, such as the changes that were restored.
    began : callable, optional
        Called in a thread with the session's folder when it is first written.
    """

    def __init__(
        self,
        shelf: Callable[[], Path],
        before: Sequence[Change] = (),
        began: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._shelf, self._before, self._tell_began = shelf, list(before), began
        self._where: Path | None = None
        self._session: Path | None = None
        self._file: int | None = None
        self._open_files: set[int] = set()
        self._guard = threading.RLock()
        self._queue: deque[Change] = deque()
        self._asides: deque[tuple[Path, Change]] = deque()
        self._begun = bool(before)
        self._length = self._number = self._asides_named = 0
        self._behind = False
        self._foldable = True
        self._at: datetime | None = None
        self._problem = ""
        self._reach = Reach()
        self._small = ThreadPoolExecutor(1, "prts-journal")
        self._large = ThreadPoolExecutor(1, "prts-journal-large")
        weakref.finalize(self, _close_all, self._open_files)
        if self._begun:
            self._wake()

    @property
    def session(self) -> Path | None:
        """Folder of this journal; None as long as nothing was written."""
        return self._session

    @property
    def saved(self) -> Saved:
        """How far the changes are on disk."""
        with self._guard:
            waiting = self._begun and bool(self._queue or self._before or self._behind)
            return Saved(self._at, waiting or bool(self._asides), self._problem)

    def append(self, change: Change, begin: bool = True) -> None:
        """Keep a change; never raises for the disk's sake, see :attr:`saved`.

        Parameters
        ----------
        change : Change
            What was done.
        begin : bool
            False if the change alone is no reason to begin a journal.
        """
        with self._guard:
            self._queue.append(change)
            self._begun = self._begun or begin
            if not self._begun:
                return
            self._behind = True
            if self._file is not None:
                try:
                    self._write_queue()
                except OSError as error:
                    self._complain(error)
        self._wake()

    def retry(self) -> None:
        """Try again to write what could not be written."""
        if self.saved.problem:
            self._wake()

    def wait(self, timeout: float | None = None) -> Saved:
        """Wait until all is on disk, or cannot be.

        Parameters
        ----------
        timeout : float, optional
            Seconds for each of the steps; without end by default.
        """
        if self._begun:
            for pool, work in (
                (self._small, self._work),
                (self._large, self._write_asides),
                (self._small, self._work),
            ):
                self._submit(pool, work).result(timeout)
        return self.saved

    def close(self) -> None:
        """Write what is left and let go of the files."""
        self.wait()
        with self._guard:
            self._close_file()
            _close_all(self._open_files)

    def _wake(self) -> None:
        self._submit(self._small, self._work)

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> Future[None]:
        try:
            return pool.submit(work)
        except RuntimeError:
            # The interpreter is ending and starts no more threads.
            done: Future[None] = Future()
            work()
            done.set_result(None)
            return done

    def _work(self) -> None:
        """Bring everything to disk, in the journal's own thread."""
        try:
            if self._file is None:
                self._open()
            with self._guard:
                self._write_queue()
                place, number = self._file, self._number
            if self._behind and place is not None:
                os.fsync(place)
            with self._guard:
                if number == self._number and not self._queue:
                    self._behind = False
                    self._at = datetime.now(UTC)
                self._problem = "" if not self._asides else self._problem
            if self._asides:
                self._submit(self._large, self._write_asides)
            elif self._foldable and self._reach.worth_folding(FOLD):
                self._fold()
        except OSError as error:
            self._complain(error)

    def _open(self) -> None:
        session = self._session
        if session is None:
            self._where = self._shelf()
            session = new_session(self._where)
            session.mkdir(parents=True, exist_ok=True)
            self._open_files.add(lock(session))
            self._session = session
        if not (session / JOURNAL).exists():
            self._begin(session, self._linked(self._before, session))
            self._before = []
            self._tell_began(session)
        else:
            self._reopen(session)

    def _linked(self, changes: Sequence[Change], session: Path) -> list[Change]:
        """Take over the large files of the journal that was restored."""
        ours = []
        for change in changes:
            if change.aside is not None:
                target = self._next_aside(session)
                link(change.aside, target)
                change = replace(change, aside=target)
            ours.append(change)
        return ours

    def _next_aside(self, session: Path) -> Path:
        self._asides_named += 1
        return session / f"{self._asides_named:06d}.nuclei"

    def _begin(self, session: Path, changes: list[Change]) -> None:
        length = write_journal(session, changes)
        with self._guard:
            self._switch(session, changes, (), length)
        sync_folder(session)

    def _switch(
        self, session: Path, changes: list[Change], later: Sequence[Change], length: int
    ) -> None:
        """Go on in the journal that was just written; the guard is held."""
        self._close_file()
        length += take_into_use(session, later, len(changes))
        self._length, self._number = length, len(changes) + len(later)
        self._reach = Reach()
        for change in (*changes, *later):
            self._reach.note(change)
        self._reopen(session)

    def _reopen(self, session: Path) -> None:
        place = os.open(session / JOURNAL, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        self._open_files.add(place)
        self._file = place

    def _close_file(self) -> None:
        if self._file is not None:
            self._open_files.discard(self._file)
            os.close(self._file)
            self._file = None

    def _write_queue(self) -> None:
        """Hand the waiting changes to the system, in order; the guard is held."""
        while self._queue and self._file is not None and self._session is not None:
            change = self._queue[0]
            if change.size > INLINE and change.aside is None:
                change = replace(change, aside=self._next_aside(self._session))
                self._queue[0] = change
                assert change.aside is not None
                self._asides.append((change.aside, change))
            _write_at(self._file, records.framed(payload_of(change), self._number), self._length)
            self._length = os.lseek(self._file, 0, os.SEEK_CUR)
            self._number += 1
            self._reach.note(change)
            self._queue.popleft()

    def _write_asides(self) -> None:
        """Write the arrays of large changes, in the thread for these."""
        while self._asides:
            path, change = self._asides[0]
            try:
                write_aside(path, change.arrays())
            except OSError as error:
                self._complain(error)
                return
            with self._guard:
                self._asides.popleft()
                self._at = datetime.now(UTC)
                self._problem = ""

    def _fold(self) -> None:
        """Leave out what is out of reach; a kill at any point leaves the old or the new journal."""
        session = self._session
        assert session is not None
        try:
            contents = read_journal(session)
            self._foldable = not contents.problem
            if not self._foldable:
                return
            changes = folded(contents.changes)
            length = write_journal(session, changes)
            with self._guard:
                # What was done meanwhile went to the old journal, and is taken along.
                later = read_journal(session).changes[len(contents.changes) :]
                self._switch(session, changes, later, length)
        except NucleiError as error:
            self._foldable = False
            _log.warning("A journal cannot be folded: %s", error)
            return
        sync_folder(session)
        self._remove_unused(session, [*changes, *later])

    def _remove_unused(self, session: Path, changes: list[Change]) -> None:
        with self._guard:
            used = {path for path, _ in self._asides}
        used |= {change.aside for change in changes if change.aside is not None}
        used |= {change.aside for change in self._queue if change.aside is not None}
        for path in set(session.glob("*.nuclei")) - used:
            with contextlib.suppress(OSError):
                path.unlink()

    def _complain(self, error: OSError) -> None:
        where = self._where or error.filename
        problem = (
            f"Corrections are not saved: {where} cannot be written ({error.strerror or error}). "
            "Free space on that disk, make the folder writable, or name another one with "
            "NAPARI_PRTS_DATA; until then, export the nuclei from time to time. They are "
            "saved as soon as it works again."
        )
        with self._guard:
            if not self._problem:
                _log.warning(problem)
            self._problem = problem


def _write_at(place: int, content: bytes, start: int) -> None:
    """Write all of it from a place on, or leave the file as it was."""
    try:
        os.lseek(place, start, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(place, rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(place, start)
        raise


def _close_all(files: set[Any]) -> None:
    while files:
        with contextlib.suppress(OSError):
            os.close(files.pop())
