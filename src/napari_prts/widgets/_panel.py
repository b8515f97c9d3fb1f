"""What all panels have: a state line on top, a job line, the session's study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_prts.widgets._copy_python import CopyPython
from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._links import Links
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
    # What the script of :meth:`as_python` does, in words; empty for a panel without one.
    script_does = ""

    def __init__(self, napari_viewer: Viewer, session: Session | None = None) -> None:
        super().__init__()
        self.session = session if session is not None else session_of(napari_viewer)
        self.links = Links(self)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.job_line = JobLine(self.session.jobs, self.tag, self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(6, 6, 6, 6)
        self._column.addLayout(self._head())
        self._listened: Study | None = None
        self.build(self._column)
        self._column.addWidget(self.job_line)
        self._column.addStretch(1)
        self.links.connect(self.session.study_changed, self._on_study)
        self.links.connect(self.session.jobs.started, self._on_jobs)
        self.links.connect(self.session.jobs.ended, self._on_jobs)
        self._on_study()

    @property
    def study(self) -> Study | None:
        """The study on screen."""
        return self.session.study

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""

    def as_python(self) -> str:
        """Write what the panel's main button would do now as a script."""
        raise NotImplementedError

    def listen(self, study: Study) -> None:
        """Connect to the events of a study, through ``self.links``."""

    def refresh(self) -> None:
        """Show the study as it is now."""

    def _head(self) -> QHBoxLayout:
        """The state line, and beside it the button that copies the panel's script."""
        row = QHBoxLayout()
        row.addWidget(self.state, 1)
        if self.script_does:
            self.copy_python = CopyPython(self.script_does, self.as_python)
            # On the right also where the state line is hidden.
            where = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight
            row.addWidget(self.copy_python, 0, where)
        return row

    def _on_study(self) -> None:
        study = self.study
        if study is not None and study is not self._listened:
            self._listened = study
            self.listen(study)
        self.refresh()

    def _on_jobs(self, tag: str, _: str) -> None:
        if tag == self.tag:
            self.refresh()


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
