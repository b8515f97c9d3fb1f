"""A task that runs: its thread, its bar in napari's activity dock, held or going on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from napari.utils import progress
from qtpy.QtCore import QThreadPool, QTimer
from superqt.utils import QSignalThrottler

from napari_prts.errors import PrtsError
from napari_prts.jobs import Job, Progress
from napari_prts.widgets._worker import JobWorker

# Milliseconds between two reports that are shown: quicker than is read. To show one, the
# whole window is put together again, and napari's bar lets all that waits be drawn.
_SHOWN_EVERY = 150
# Milliseconds after which a job is in napari's activity dock. To get in takes the window
# half a second on a slow machine: not worth it for what is over soon, nor at a click.
_BAR_AFTER = 2500


@dataclass(frozen=True)
class Task:
    """A job with what is to be done around it.

    Parameters
    ----------
    tag : str
        Whose job it is: the name of a panel.
    title : str
        What the user reads: ``"Finding nuclei"``.
    make : callable
        Makes the job; called in the thread.
    done : callable
        Called in the window's thread with the job's result.
    partial : callable, optional
        Called in the window's thread with each Progress.
    pausable : bool
        Whether a person gains anything by pausing it; jobs of a single step are never paused.
    over : callable, optional
        Called in the window's thread when it has ended, with ``"done"``, ``"cancelled"``
        or ``"failed"``.
    failed : callable, optional
        Called in the window's thread with the sentence that says why the job failed;
        napari's notification by default.
    """

    tag: str
    title: str
    make: Callable[[], Job[Any]]
    done: Callable[[Any], None]
    partial: Callable[[Progress], None] | None = None
    pausable: bool = True
    over: Callable[[str], None] | None = None
    failed: Callable[[str], None] | None = None


class Queue(Protocol):
    """What hears of a run, in the window's thread."""

    def on_progress(self, run: Run, report: Progress) -> None:
        """Steps were made; not each one is told."""

    def on_failure(self, words: str) -> None:
        """It failed, for the reason that ``words`` say, and its task does not tell it."""

    def on_end(self, run: Run, outcome: str) -> None:
        """It is over: ``"done"``, ``"cancelled"`` or ``"failed"``."""


class Run:
    """One task in a thread.

    Parameters
    ----------
    task : Task
        The task.
    queue : Queue
        Who gave it the turn, and is told how it goes.

    Attributes
    ----------
    last : Progress or None
        The last report, without what was found.
    stopping : bool
        Whether it was told to end.
    """

    def __init__(self, task: Task, queue: Queue) -> None:
        self.task = task
        self._queue = queue
        self.last: Progress | None = None
        self._outcome = "cancelled"
        self._held = False
        self.stopping = False
        self._over = False
        self._thread_lent = False
        self._bar: progress | None = None
        self._bar_due = QTimer()
        self._bar_due.setSingleShot(True)
        self._bar_due.timeout.connect(self._make_bar)
        self._showing = QSignalThrottler()
        self._showing.setTimeout(_SHOWN_EVERY)
        self._showing.triggered.connect(self._show)
        worker = self._worker = JobWorker(task.make)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_result)
        worker.errored.connect(self._on_error)
        worker.finished.connect(self._on_finished)
        worker.paused.connect(self._on_paused)
        worker.resumed.connect(self._on_resumed)

    @property
    def held(self) -> bool:
        """Whether the user has paused it."""
        return self._held

    def start(self) -> None:
        """Begin."""
        self._worker.start()
        self._bar_due.start(_BAR_AFTER)

    def hold(self) -> None:
        """Ask for no further step after the one that is made now."""
        self._showing.flush()
        self._held = True
        self._worker.pause()

    def go_on(self) -> None:
        """Ask for further steps again."""
        self._held = False
        self._take_thread_back()
        self._worker.resume()

    def stop(self) -> None:
        """End after the step that is made now; at once if it is held."""
        self.stopping = True
        self._take_thread_back()
        self._worker.quit()

    def wait(self, seconds: float) -> None:
        """Wait for the thread to end its step, but no longer than this."""
        if self._worker.is_running:
            self._worker.over.wait(seconds)

    def _on_paused(self, _: object = None) -> None:
        # The thread hears of what the user wants a moment later: the user may have
        # changed their mind meanwhile, and a request in that moment is not heard at all.
        if not self._held:
            self._worker.resume()
        elif not self._thread_lent and not self._worker.abort_requested:
            # A sleeping thread must not keep another job from its turn: Qt has as many
            # as there are cores.
            _pool().releaseThread()
            self._thread_lent = True

    def _on_resumed(self, _: object = None) -> None:
        if self._held:
            self._worker.pause()

    def _take_thread_back(self) -> None:
        if self._thread_lent:
            _pool().reserveThread()
            self._thread_lent = False

    def _on_progress(self, report: Progress) -> None:
        self.last = Progress(report.done, report.total, report.unit, report.note)
        if self.task.partial is not None:
            self.task.partial(report)
        self._showing.throttle()

    def _show(self) -> None:
        assert self.last is not None
        self._queue.on_progress(self, self.last)
        # Last: napari's bar lets the window's events pass, and with them the reports and
        # the end that follow this one.
        if self._bar is not None:
            self._bar.total = self.last.total
            self._bar.update(max(self.last.done - self._bar.n, 0))

    def _make_bar(self) -> None:
        # It lets the window's events pass while it is made: the job may end then.
        self._bar = bar = progress(total=0, desc=self.task.title)
        if self._over:
            bar.close()

    def _on_result(self, result: Any) -> None:
        self._outcome = "done"
        try:
            self.task.done(result)
        except PrtsError as error:
            self._fail(error)

    def _on_error(self, error: Exception) -> None:
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._outcome = "failed"
        (self.task.failed or self._queue.on_failure)(explain(error))

    def _on_finished(self, _: object = None) -> None:
        self._over = True
        self._take_thread_back()
        self._bar_due.stop()
        self._showing.cancel()
        if self._bar is not None:
            self._bar.close()
        if self.task.over is not None:
            self.task.over(self._outcome)
        self._queue.on_end(self, self._outcome)


def _pool() -> QThreadPool:
    pool = QThreadPool.globalInstance()
    assert pool is not None
    return pool


def explain(error: Exception) -> str:
    """Say an error in a sentence; ours are sentences already."""
    if isinstance(error, PrtsError):
        return str(error)
    return f"Something went wrong that should not: {type(error).__name__}: {error}"
