"""Jobs in a thread beside the window: one at a time, others wait their turn."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from napari.utils import progress
from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.QtWidgets import QApplication
from superqt.utils import create_worker

from napari_prts.errors import PrtsError
from napari_prts.jobs import Job, Progress


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
    """

    tag: str
    title: str
    make: Callable[[], Job[Any]]
    done: Callable[[Any], None]
    partial: Callable[[Progress], None] | None = None


class JobRunner:
    """Runs tasks in turn.

    Attributes
    ----------
    started : psygnal.Signal
        Emitted with the tag and the title.
    progressed : psygnal.Signal
        Emitted with the tag and the Progress.
    ended : psygnal.Signal
        Emitted with the tag and ``"done"``, ``"cancelled"`` or ``"failed"``.
    """

    started = Signal(str, str)
    progressed = Signal(str, object)
    ended = Signal(str, str)

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()
        self._task: Task | None = None
        self._worker: Any = None
        self._outcome = "done"
        self._bar: Any = None
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.shut_down)

    @property
    def running(self) -> Task | None:
        """The task that runs now."""
        return self._task

    def submit(self, task: Task) -> None:
        """Run a task now, or after those before it."""
        self._waiting.append(task)
        if self._task is None:
            self._start_next()

    def cancel(self, tag: str) -> None:
        """Stop the running and the waiting tasks of a tag."""
        self._waiting = deque(task for task in self._waiting if task.tag != tag)
        if self._task is not None and self._task.tag == tag:
            self._worker.quit()

    def shut_down(self) -> None:
        """Stop everything; wait up to five seconds for the thread to end its step."""
        self._waiting.clear()
        if self._worker is not None:
            self._worker.quit()
            with suppress(RuntimeError):
                self._worker.await_workers(5000)

    def _start_next(self) -> None:
        if not self._waiting:
            return
        task = self._task = self._waiting.popleft()
        self._outcome = "cancelled"
        # Errors are told in a notification; raised again they would end as a traceback.
        generator = _steps(task.make)
        worker = self._worker = create_worker(_run_through, generator, _ignore_errors=True)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(self._on_result)
        worker.errored.connect(self._on_error)
        worker.finished.connect(lambda: self._on_finished(generator))
        self._bar = progress(total=0, desc=task.title)
        self.started.emit(task.tag, task.title)
        worker.start()

    def _on_progress(self, report: Progress) -> None:
        task = self._task
        if task is None:
            return
        self._bar.total = report.total
        self._bar.update(max(report.done - self._bar.n, 0))
        if task.partial is not None:
            task.partial(report)
        self.progressed.emit(task.tag, report)

    def _on_result(self, result: Any) -> None:
        task = self._task
        assert task is not None
        self._outcome = "done"
        try:
            task.done(result)
        except PrtsError as error:
            self._outcome = "failed"
            show_error(str(error))

    def _on_error(self, error: Exception) -> None:
        self._outcome = "failed"
        show_error(explain(error))

    def _on_finished(self, generator: Generator[Progress, None, Any]) -> None:
        # The worker only stops asking: closing lets the job release what it holds.
        generator.close()
        task, self._task, self._worker = self._task, None, None
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if task is not None:
            self.ended.emit(task.tag, self._outcome)
        self._start_next()


def explain(error: Exception) -> str:
    """Say an error in a sentence; ours are sentences already."""
    if isinstance(error, PrtsError):
        return str(error)
    return f"Something went wrong that should not: {type(error).__name__}: {error}"


def _steps(make: Callable[[], Job[Any]]) -> Generator[Progress, None, Any]:
    with _without_triton():
        job = make()
        try:
            return (yield from job)
        finally:
            job.close()


@contextmanager
def _without_triton() -> Iterator[None]:
    """Keep triton out of a process that draws with OpenGL.

    torch's optimisers look for triton, though nothing here compiles with it.
    Its LLVM and that of Mesa's software OpenGL, loaded into one process, end it
    with a segmentation fault.
    """
    if "triton" in sys.modules:
        yield
        return
    sys.modules["triton"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop("triton", None)


def _run_through(
    generator: Generator[Progress, None, Any],
) -> Generator[Progress, None, Any]:
    return (yield from generator)
