"""One line that shows a panel's running job: words, time left, Cancel."""

from __future__ import annotations

import time

from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_prts.jobs import Progress
from napari_prts.widgets._jobs import JobRunner
from napari_prts.widgets._links import Links


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
        self._first: tuple[float, int] | None = None
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop this job; what was there before stays.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 0, 0)
        layout.addWidget(self.cancel, 0, 1)
        layout.addWidget(self.bar, 1, 0, 1, 2)
        self.cancel.clicked.connect(self._on_cancel)
        links = Links(self)
        links.connect(runner.started, self._on_started)
        links.connect(runner.progressed, self._on_progress)
        links.connect(runner.ended, self._on_ended)
        self.setVisible(False)

    def _on_cancel(self) -> None:
        self.label.setText(f"{self._title}: cancelling…")
        self.cancel.setEnabled(False)
        self._runner.cancel(self._tag)

    def _on_started(self, tag: str, title: str) -> None:
        if tag != self._tag:
            return
        self._title, self._first = title, None
        self.label.setText(f"{title}…")
        self.bar.setRange(0, 0)
        self.cancel.setEnabled(True)
        self.setVisible(True)

    def _on_progress(self, tag: str, report: Progress) -> None:
        if tag != self._tag or not self.cancel.isEnabled():
            return
        self.bar.setRange(0, max(report.total, 0))
        self.bar.setValue(report.done)
        self.label.setText(f"{self._title}: {self._words(report)}")

    def _words(self, report: Progress) -> str:
        now = time.monotonic()
        # A job may count one thing after another; each count has a speed of its own.
        if self._first is None or report.done < self._first[1]:
            self._first = (now, report.done)
        words = f"{report.done:,} of {report.total:,} {report.unit}" if report.total else ""
        since, start = self._first
        if report.done > start and report.total:
            left = (now - since) / (report.done - start) * (report.total - report.done)
            words += f", {duration(left)} left"
        return ". ".join(part for part in (words, report.note) if part)

    def _on_ended(self, tag: str, _: str) -> None:
        if tag == self._tag:
            self.setVisible(False)


def duration(seconds: float) -> str:
    """Write a time as a person would: ``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
