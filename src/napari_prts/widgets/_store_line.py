"""A line about the features kept on this computer, and buttons that remove them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMessageBox, QVBoxLayout, QWidget

from napari_prts.errors import PrtsError
from napari_prts.jobs import Job, Progress
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button
from napari_prts.widgets._session import Session

if TYPE_CHECKING:
    from napari_prts.features import FeatureStore

TAG = "features kept"
_MEGABYTE, _GIGABYTE = 1e6, 1e9


@dataclass(frozen=True)
class Kept:
    """What the feature store takes on disk, in bytes.

    Parameters
    ----------
    everything, slide : int
        Of all slides, and of the one on screen.
    limit : int
        The most that is kept.
    """

    everything: int
    slide: int
    limit: int

    @property
    def words(self) -> str:
        """For the user."""
        return (
            f"Features kept on this computer: {size_words(self.everything)} of "
            f"{size_words(self.limit)}, {size_words(self.slide)} of them of this slide."
        )


class StoreLine(QWidget):
    """Says how much is kept; clears it.

    Parameters
    ----------
    session : Session
        Whose study's store.
    users : tuple of str
        Tags of jobs that use the store: nothing is cleared while they run, and the
        line is measured again when they end.

    Attributes
    ----------
    ask : callable
        Asks the user whether to do what a sentence says.
    kept : Kept or None
        As measured last.
    """

    def __init__(
        self, session: Session, users: tuple[str, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._users = session, users
        self.ask: Callable[[str], bool] = _ask
        self.kept: Kept | None = None
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setToolTip(
            "What the encoder has seen of each nucleus, so that it is not looked at twice. When "
            "the limit is reached, what was not used longest goes first."
        )
        self.clear_slide_button = button(
            "Clear this slide's", "Remove what is kept of the nuclei of the slide on screen"
        )
        self.clear_all_button = button("Clear all", "Remove what is kept of all slides")
        row = QHBoxLayout()
        row.addWidget(self.clear_slide_button)
        row.addWidget(self.clear_all_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row)
        self.clear_slide_button.clicked.connect(self.clear_slide)
        self.clear_all_button.clicked.connect(self.clear_all)
        self._links = links = Links(self)
        links.connect(session.study_changed, self._on_study)
        links.connect(session.jobs.started, self._on_jobs)
        links.connect(session.jobs.ended, self._on_jobs)
        self.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure when it is looked at."""
        super().showEvent(event)
        self.measure()

    def refresh(self) -> None:
        """Show what was measured last, and what can be done now."""
        there = self._session.study is not None
        idle = not any(self._session.jobs.busy(tag) for tag in self._users)
        kept = self.kept
        self.label.setText("" if kept is None else kept.words)
        self.label.setVisible(kept is not None)
        everything, slide = (kept.everything, kept.slide) if kept is not None else (0, 0)
        self.clear_slide_button.setEnabled(there and idle and slide > 0)
        self.clear_all_button.setEnabled(there and idle and everything > 0)

    def measure(self) -> None:
        """Measure the store in the background."""
        self._in_background("Measuring the feature store", lambda _: None)

    def clear_slide(self) -> None:
        """Remove the features of the slide on screen, if the user agrees."""
        study, kept = self._session.study, self.kept
        if study is None or kept is None:
            return
        name, fingerprint = study.slide.name, study.slide.fingerprint
        question = f"Remove the {size_words(kept.slide)} of features of {name}?"
        if self.ask(f"{question} The next prediction looks at each nucleus again."):
            self._in_background("Clearing features", lambda store: store.clear_slide(fingerprint))

    def clear_all(self) -> None:
        """Remove the features of all slides, if the user agrees."""
        kept = self.kept
        if kept is None:
            return
        question = f"Remove the {size_words(kept.everything)} of features of all slides?"
        if self.ask(f"{question} The next prediction of each looks at its nuclei again."):
            self._in_background("Clearing features", lambda store: store.clear())

    def _in_background(self, title: str, do: Callable[[FeatureStore], object]) -> None:
        study = self._session.study
        if study is None:
            return
        try:
            store = study.store
        except PrtsError as error:
            show_error(str(error))
            return
        fingerprint = study.slide.fingerprint

        def make() -> Job[Kept]:
            yield Progress(0, 1, "stores")
            do(store)
            of_slide = [table.bytes for table in store.tables() if table.slide == fingerprint]
            return Kept(store.size(), sum(of_slide), store.limit_bytes)

        def done(kept: Kept) -> None:
            self.kept = kept
            self.refresh()

        self._session.beside.submit(Task(TAG, title, make, done))

    def _on_study(self) -> None:
        self.kept = None
        self.refresh()
        if self.isVisible():
            self.measure()

    def _on_jobs(self, tag: str, outcome: str) -> None:
        if tag not in self._users:
            return
        self.refresh()
        if self.isVisible() and not self._session.jobs.busy(tag):
            self.measure()


def size_words(count: float) -> str:
    """Write bytes as a person would: ``"1.2 GB"``, ``"140 MB"``, ``"nothing"``."""
    if count >= _GIGABYTE:
        return f"{count / _GIGABYTE:.3g} GB"
    if count >= _MEGABYTE:
        return f"{count / _MEGABYTE:.3g} MB"
    return "less than 1 MB" if count else "nothing"


def _ask(question: str) -> bool:
    box = QMessageBox()
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Clear features")
    box.setText(question)
    clear = box.addButton("Clear", QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    box.exec()
    return box.clickedButton() is clear
