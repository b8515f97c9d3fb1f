"""One line that shows a panel's running job: words, time left, Pause, Cancel."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_prts.jobs import Progress
from napari_prts.widgets._activity import calm
from napari_prts.widgets._jobs import JobRunner
from napari_prts.widgets._links import Links
from napari_prts.widgets._pace import Pace

_PAUSE = "Stop working for now; Resume goes on from there. Other jobs may overtake it."
_RESUME = "Go on from where it was paused."


class JobLine(QWidget):
    """Shows the jobs of one tag; hidden while there are none.

    Parameters
    ----------
    runner : JobRunner
        Whose jobs.
    tag : str
        Which of them.
    """

    def __init__(self, runner: JobRunner, tag: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner, self._tag = runner, tag
        self._title = ""
        self._pace = Pace()
        self._last: Progress | None = None
        # The window's children must not keep it: napari looks for windows that stay.
        self._window: Callable[[], QWidget | None] = lambda: None
        self._build()
        self._links = links = Links(self)
        links.connect(runner.queued, self._on_queued)
        links.connect(runner.started, self._on_started)
        links.connect(runner.progressed, self._on_progress)
        links.connect(runner.paused, self._on_paused)
        links.connect(runner.ended, self._on_ended)
        self.setVisible(False)

    def _build(self) -> None:
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.pause = QPushButton("Pause")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop this job; what was there before stays.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setColumnStretch(0, 1)
        layout.addWidget(self.label, 0, 0)
        layout.addWidget(self.pause, 0, 1)
        layout.addWidget(self.cancel, 0, 2)
        layout.addWidget(self.bar, 1, 0, 1, 3)
        self.pause.clicked.connect(self._on_pause)
        self.cancel.clicked.connect(self._on_cancel)
        self.cancel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let a job that is told to end take its last step, also while it is paused."""
        if (
            watched is self.cancel
            and event is not None
            and event.type() == QEvent.Type.EnabledChange
            and not self.cancel.isEnabledTo(self)
        ):
            self.pause.setEnabled(False)
            self._runner.resume(self._tag)
        return bool(super().eventFilter(watched, event))

    def _on_pause(self) -> None:
        if self._runner.held(self._tag):
            self._runner.resume(self._tag)
        else:
            self._runner.pause(self._tag)

    def _on_cancel(self) -> None:
        self._runner.cancel(self._tag)
        self.cancel.setEnabled(False)
        self.label.setText(f"{self._title}: cancelling…")

    def _on_queued(self, tag: str, title: str) -> None:
        running = self._runner.running
        if tag != self._tag or running is None or running.tag == tag:
            return
        self._show(title)
        self.label.setText(f"{title}: waits for “{running.title}”")
        self.bar.setRange(0, 1)
        self.bar.setValue(0)

    def _on_started(self, tag: str, title: str) -> None:
        if tag != self._tag:
            return
        self._meet_window()
        self._show(title)
        self.label.setText(f"{title}…")
        self.bar.setRange(0, 0)

    def _meet_window(self) -> None:
        """Stop the jobs when the window closes: nobody could resume a paused one.

        It is also when the window is known that napari's sign of activity is slowed.
        """
        window: QWidget = self
        # A panel that floats has a window of its own, inside napari's.
        while (parent := window.parentWidget()) is not None:
            window = parent
        if window is not self._window():
            self._window = weakref.ref(window)
            window.destroyed.connect(self._runner.shut_down)
            calm(window)

    def _show(self, title: str) -> None:
        self._title, self._last, self._pace = title, None, Pace()
        self.cancel.setEnabled(True)
        self.pause.setVisible(False)
        self._show_held(held=False)
        self.setVisible(True)

    def _show_held(self, *, held: bool) -> None:
        self.pause.setText("Resume" if held else "Pause")
        self.pause.setToolTip(_RESUME if held else _PAUSE)
        self.pause.setEnabled(True)

    def _on_progress(self, tag: str, report: Progress) -> None:
        if tag != self._tag or not self.cancel.isEnabled():
            return
        task = self._runner.running
        # A single step cannot be paused: it is over before it is asked again.
        if report.total > 1 and task is not None and task.tag == tag:
            self.pause.setVisible(task.pausable)
        if self._last is not None and report.unit != self._last.unit:
            # A job may count one thing after another; each count has a speed of its own.
            self._pace = Pace()
        self._last = report
        self._pace.add(time.monotonic(), report.done)
        self.bar.setRange(0, max(report.total, 0))
        self.bar.setValue(report.done)
        self._tell()

    def _on_paused(self, tag: str, held: bool) -> None:
        if tag != self._tag:
            return
        now = time.monotonic()
        if held:
            self._pace.hold(now)
        else:
            self._pace.go_on(now)
        self.pause.setVisible(True)
        self._show_held(held=held)
        self._tell()

    def _tell(self) -> None:
        """Say how far it is, how long it still takes, and what the job remarks."""
        report = self._last
        held = self._runner.held(self._tag)
        words = f"{self._title}: paused" if held else self._title
        if report is None:
            self.label.setText(words if held else f"{words}…")
            return
        parts = []
        if report.total:
            parts.append(f"{report.done:,} of {report.total:,} {report.unit}")
        left = self._pace.seconds_left(report.done, report.total)
        if left is not None and not held and report.done < report.total:
            parts.append(f"{duration(left)} left")
        told = ". ".join(part for part in (", ".join(parts), report.note) if part)
        between = " at " if held and parts else ": "
        self.label.setText(f"{words}{between}{told}" if told else words)

    def _on_ended(self, tag: str, _: str) -> None:
        if tag == self._tag:
            self.setVisible(False)


def duration(seconds: float) -> str:
    """Write a time as a person would: ``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
