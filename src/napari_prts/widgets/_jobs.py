"""Jobs in a thread beside the window: one at a time, others wait their turn."""

from __future__ import annotations

from collections import deque

from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.QtWidgets import QApplication

from napari_prts.jobs import Progress
from napari_prts.widgets._run import Run, Task

__all__ = ["JobRunner", "Task"]


class JobRunner:
    """Runs tasks in turn. A task that is paused lets others overtake it.

    Attributes
    ----------
    queued : psygnal.Signal
        Emitted with the tag and the title of a task that must wait for another.
    started : psygnal.Signal
        Emitted with the tag and the title; again when a paused task has the turn again.
    progressed : psygnal.Signal
        Emitted with the tag and the Progress.
    paused : psygnal.Signal
        Emitted with the tag and whether it is paused now.
    ended : psygnal.Signal
        Emitted with the tag and ``"done"``, ``"cancelled"`` or ``"failed"``.
    """

    queued = Signal(str, str)
    started = Signal(str, str)
    progressed = Signal(str, object)
    paused = Signal(str, bool)
    ended = Signal(str, str)

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()
        self._run: Run | None = None
        # Those that were overtaken while paused, and whether they still are; the last on top.
        self._aside: dict[Run, bool] = {}
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.shut_down)

    @property
    def running(self) -> Task | None:
        """The task whose turn it is, also while it is paused."""
        return self._run.task if self._run is not None else None

    def busy(self, tag: str) -> bool:
        """Whether a task of a tag runs, is paused or waits."""
        return any(task.tag == tag for task in [*self._waiting, *(r.task for r in self._runs())])

    def held(self, tag: str) -> bool:
        """Whether a task of a tag is paused."""
        return any(self._aside.get(r, r.held) for r in self._runs() if r.task.tag == tag)

    def stopping(self, task: Task) -> bool:
        """Whether a task that runs or is paused was told to end, and has not yet."""
        return any(run.stopping for run in self._runs() if run.task is task)

    def submit(self, task: Task, *, first: bool = False) -> None:
        """Run a task now, or after those before it.

        Parameters
        ----------
        task : Task
            The task.
        first : bool
            Before all others that wait.
        """
        if first:
            self._waiting.appendleft(task)
        else:
            self._waiting.append(task)
        if self._run is None or self._run.held:
            self._start_next()
        if task in self._waiting:
            self.queued.emit(task.tag, task.title)

    def pause(self, tag: str) -> None:
        """Ask the running task of a tag for no further step; those that wait overtake it."""
        run = self._run
        if run is None or run.task.tag != tag or run.held:
            return
        run.hold()
        self.paused.emit(tag, True)
        if self._waiting or not all(self._aside.values()):
            self._start_next()

    def resume(self, tag: str) -> None:
        """Let a paused task go on: now, or when the one that overtook it has ended."""
        if not self.held(tag):
            return
        overtaken = [run for run in self._aside if run.task.tag == tag]
        self._aside.update(dict.fromkeys(overtaken, False))
        if self._run is not None and self._run.task.tag == tag:
            self._run.go_on()
        self.paused.emit(tag, False)
        for run in overtaken:
            self.queued.emit(tag, run.task.title)

    def cancel(self, tag: str) -> None:
        """Stop the running, the paused and the waiting tasks of a tag."""
        for task in [task for task in self._waiting if task.tag == tag]:
            self.withdraw(task)
        for run in self._runs():
            if run.task.tag == tag:
                run.stop()

    def withdraw(self, task: Task) -> None:
        """Stop one task, or take it out of those that wait."""
        if task in self._waiting:
            self._waiting.remove(task)
            if task.over is not None:
                task.over("cancelled")
            self.ended.emit(task.tag, "cancelled")
        for run in self._runs():
            if run.task is task:
                run.stop()

    def shut_down(self) -> None:
        """Stop everything; wait up to five seconds for the threads to end their step."""
        self._waiting.clear()
        for run in self._runs():
            run.stop()
        for run in self._runs():
            run.wait(5.0)

    def _runs(self) -> list[Run]:
        return [*self._aside, *([self._run] if self._run is not None else [])]

    def _start_next(self) -> None:
        """Give the turn to the next: who was promised it, who waits, who was overtaken."""
        if self._run is not None:
            self._aside[self._run] = True
            self._run = None
        due = [run for run, paused in self._aside.items() if not paused]
        if due or not self._waiting:
            if due or self._aside:
                self._bring_back(due[0] if due else [*self._aside][-1])
            return
        self._begin(self._waiting.popleft())

    def _begin(self, task: Task) -> None:
        run = self._run = Run(task, self)
        self.started.emit(task.tag, task.title)
        run.start()

    def _bring_back(self, run: Run) -> None:
        paused, self._run = self._aside.pop(run), run
        tag = run.task.tag
        self.started.emit(tag, run.task.title)
        if run.last is not None:
            self.progressed.emit(tag, run.last)
        if paused:
            self.paused.emit(tag, True)
        else:
            run.go_on()

    def on_progress(self, run: Run, report: Progress) -> None:
        """Tell of a step that a run has made."""
        self.progressed.emit(run.task.tag, report)

    def on_failure(self, words: str) -> None:
        """Tell the user why a run failed."""
        show_error(words)

    def on_end(self, run: Run, outcome: str) -> None:
        """Give the turn to the next, if it was this run's."""
        self._aside.pop(run, None)
        had_turn = self._run is run
        if had_turn:
            self._run = None
        self.ended.emit(run.task.tag, outcome)
        # A listener may have submitted a task, which then has the turn already.
        if had_turn and self._run is None:
            self._start_next()
