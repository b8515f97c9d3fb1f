"""The review of uncertain nuclei: how many are left, and what is said of the one in the ring."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_prts.viewer.tools_review import ReviewTour, uncertain_count
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button

if TYPE_CHECKING:
    from napari_prts.jobs import Job
    from napari_prts.study.review import Review
    from napari_prts.widgets._correct_tools import CorrectTools
    from napari_prts.widgets._session import Session

# Counting the uncertain ones of more nuclei would be felt in the window.
_COUNTED = 300_000


class ReviewBar(QWidget):
    """Start, previous, next, accept, reject and end.

    Parameters
    ----------
    session : Session
        Whose study is reviewed.
    correct : CorrectTools
        Whose tools have the review.
    """

    def __init__(self, session: Session, correct: CorrectTools) -> None:
        super().__init__()
        self._session = session
        self._correct = correct
        self._uncertain = 0
        self._build()
        self._count = QTimer(self)
        self._count.setSingleShot(True)
        self._count.setInterval(300)
        self._count.timeout.connect(self._on_count)
        self._followed: ReviewTour | None = None
        self._links = Links(self)
        self._links.connect(correct.tools_changed, self._follow)
        self._follow()

    def _build(self) -> None:
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.start_button = button(
            "Start review", "Look at the nuclei that the network was least sure of (N)"
        )
        self.previous_button = button("◀ P", "Previous uncertain nucleus (P)")
        self.accept_button = button("Accept A", "This nucleus is right: keep it (A)")
        self.reject_button = button("Reject R", "This is no nucleus: remove it (R)")
        self.next_button = button("N ▶", "Next uncertain nucleus, this one undecided (N)")
        self.end_button = button("End", "End the review; what was decided stays")
        self._walk = [
            self.previous_button,
            self.accept_button,
            self.reject_button,
            self.next_button,
        ]
        top, below = QHBoxLayout(), QHBoxLayout()
        for row in (top, below):
            row.setSpacing(4)
        top.addWidget(self.words, 1)
        top.addWidget(self.start_button)
        top.addWidget(self.end_button)
        for made in self._walk:
            below.addWidget(made)
        for made in (*self._walk, self.start_button, self.end_button):
            made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addLayout(below)
        self.start_button.clicked.connect(self.start)
        for made, act in (
            (self.end_button, ReviewTour.end),
            (self.previous_button, ReviewTour.previous),
            (self.next_button, ReviewTour.next),
            (self.accept_button, ReviewTour.accept),
            (self.reject_button, ReviewTour.reject),
        ):
            made.clicked.connect(partial(self._do, act))

    @property
    def _tour(self) -> ReviewTour | None:
        tools = self._correct.tools
        return tools.tour if tools is not None else None

    def refresh(self) -> None:
        """Show how far the review is, and count anew soon."""
        tour = self._tour
        running = tour is not None and tour.running
        if not running:
            self._count.start()
        for made in (*self._walk, self.end_button):
            made.setVisible(running)
        self.start_button.setVisible(not running)
        study = self._session.study
        self.start_button.setEnabled(study is not None and len(study.nuclei) > 0)
        self.words.setText(self._said(tour if running else None))

    def start(self) -> None:
        """Begin a review; with very many nuclei it is prepared beside the window."""
        study, tour = self._session.study, self._tour
        if study is None or tour is None or tour.running:
            return
        if len(study.nuclei) <= _COUNTED:
            tour.start()
            return

        def make() -> Job[Review]:
            from napari_prts.study.review import Review

            return Review(study)
            yield

        def done(review: Review) -> None:
            if tour is self._tour and not tour.running:
                tour.begin(review)
            else:
                review.close()

        self._session.jobs.submit(Task("nuclei", "Preparing review", make, done))

    def _do(self, act: Callable[[ReviewTour], None], _: bool = False) -> None:
        if self._tour is not None:
            act(self._tour)

    def _said(self, tour: ReviewTour | None) -> str:
        if tour is not None:
            words = f"{tour.remaining:,} uncertain, {tour.done:,} done"
            score = tour.score
            return f"{words}\n" + ("corrected" if score is None else f"this one scores {score:.2f}")
        if not self._uncertain:
            return "Uncertain nuclei"
        return f"{self._uncertain:,} uncertain"

    def _follow(self) -> None:
        """Listen to the review of the study on screen."""
        tour = self._tour
        if tour is not None and tour is not self._followed:
            tour.changed.connect(self.refresh)
        self._followed = tour
        self.refresh()

    def _on_count(self) -> None:
        study = self._session.study
        count = len(study.nuclei) if study is not None else 0
        self._uncertain = (
            uncertain_count(study) if study is not None and 0 < count <= _COUNTED else 0
        )
        tour = self._tour
        self.words.setText(self._said(tour if tour is not None and tour.running else None))
