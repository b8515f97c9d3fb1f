"""What all panels have: a state line on top, a job line, the session's study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._session import Session, session_of

if TYPE_CHECKING:
    from napari import Viewer

    from napari_prts.study import Study


class Panel(QWidget):
    """Base of the dock widgets.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The window.
    session : Session, optional
        Shared with other panels; the window's own by default.
    """

    tag = "panel"

    def __init__(self, napari_viewer: Viewer, session: Session | None = None) -> None:
        super().__init__()
        self.session = session if session is not None else session_of(napari_viewer)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.job_line = JobLine(self.session.jobs, self.tag, self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(6, 6, 6, 6)
        self._column.addWidget(self.state)
        self._listened: Study | None = None
        self.build(self._column)
        self._column.addWidget(self.job_line)
        self._column.addStretch(1)
        self.session.study_changed.connect(self._on_study)
        self.session.jobs.started.connect(self._on_jobs)
        self.session.jobs.ended.connect(self._on_jobs)
        self.destroyed.connect(self._forget)
        self._on_study()

    @property
    def study(self) -> Study | None:
        """The study on screen."""
        return self.session.study

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""

    def listen(self, study: Study) -> None:
        """Connect :meth:`refresh` to the events of a study that the panel shows."""

    def refresh(self) -> None:
        """Show the study as it is now."""

    def _on_study(self) -> None:
        study = self.study
        if study is not None and study is not self._listened:
            self._listened = study
            self.listen(study)
        self.refresh()

    def _on_jobs(self, tag: str, _: str) -> None:
        if tag == self.tag:
            self.refresh()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Stop listening when the dock is closed for good."""
        self._forget()
        super().closeEvent(event)

    def _forget(self) -> None:
        self.session.study_changed.disconnect(self._on_study, missing_ok=True)
        self.session.jobs.started.disconnect(self._on_jobs, missing_ok=True)
        self.session.jobs.ended.disconnect(self._on_jobs, missing_ok=True)


def button(text: str, tooltip: str, *, main: bool = False) -> QPushButton:
    """Make a button; a panel's main one is taller."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    if main:
        made.setMinimumHeight(34)
        made.setStyleSheet("font-weight: bold")
    return made


def folded(title: str) -> tuple[QCollapsible, QWidget, QVBoxLayout]:
    """Make a folded section; add to the layout, then the section to the panel."""
    section = QCollapsible(title)
    inner = QWidget()
    layout = QVBoxLayout(inner)
    layout.setContentsMargins(0, 0, 0, 0)
    section.setContent(inner)
    section.collapse(animate=False)
    return section, inner, layout
