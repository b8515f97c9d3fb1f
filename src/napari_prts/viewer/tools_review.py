"""The walk through uncertain nuclei on the screen: the camera goes along, a ring shows which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_prts.study.correcting import delete_nuclei
from napari_prts.study.review import Review, Uncertain
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.tools_marks import Marks, halo

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.viewer.study_view import StudyView

# Of the view's smaller side: what a nucleus should span, and below what it is too small.
_SPAN = 1 / 6
_LEAST_SPAN = 1 / 25


class ReviewTour:
    """Takes the user from one uncertain nucleus to the next.

    Parameters
    ----------
    view : StudyView
        The study on screen.
    marks : Marks
        Where the ring is drawn.
    say : callable
        Called with a sentence for the user.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted without arguments when any of the properties may have changed.
    """

    changed = Signal()

    def __init__(self, view: StudyView, marks: Marks, say: Callable[[str], None]) -> None:
        self._view = view
        self._study = view.study
        self._marks = marks
        self._say = say
        self._review: Review | None = None
        self._total = 0
        self._shown: int | None = None
        self._leading = False

    @property
    def running(self) -> bool:
        """Whether a review is going on."""
        return self._review is not None

    @property
    def remaining(self) -> int:
        """How many nuclei are still to be looked at."""
        return self._review.remaining if self._review is not None else 0

    @property
    def done(self) -> int:
        """How many were looked at, or corrected meanwhile."""
        return self._total - self.remaining

    @property
    def shown(self) -> int | None:
        """Id of the nucleus in the ring."""
        return self._shown

    @property
    def score(self) -> float | None:
        """How probable the network held the nucleus in the ring; None once it is corrected."""
        current = self._review.current if self._review is not None else None
        return current.score if current is not None and current.id == self._shown else None

    def start(self) -> None:
        """Begin with the least certain nucleus, or go on where the review stands."""
        if self._review is None:
            self.begin(Review(self._study))

    def begin(self, review: Review) -> None:
        """Begin a review that was made beforehand: with very many nuclei that takes a while.

        Parameters
        ----------
        review : Review
            Of the study on screen.
        """
        if not review.remaining:
            review.close()
            self._say("No nucleus is uncertain: all have the same score, or were seen by a person.")
            return
        self._review = review
        self._total = review.remaining
        review.changed.connect(self._on_review)
        self._go()

    def end(self) -> None:
        """End the review; what was decided stays."""
        review, self._review = self._review, None
        if review is None:
            return
        review.changed.disconnect(self._on_review)
        review.close()
        self._shown = None
        self._marks.show("review", [])
        self.changed.emit()

    def next(self) -> None:
        """Go to the next nucleus; begins the review if there is none."""
        if self._review is None:
            self.start()
        elif self._is_current():
            with self._leads():
                self._review.next()
        else:
            # The one in the ring was corrected by hand: the walk already stands on the next.
            self._go()

    def previous(self) -> None:
        """Go back to the nucleus before."""
        if (review := self._asked()) is not None:
            with self._leads():
                review.previous()

    def accept(self) -> None:
        """Say that the nucleus in the ring is right, and go on."""
        if (review := self._asked()) is not None:
            with self._leads():
                if self._is_current():
                    review.accept()

    def reject(self) -> None:
        """Remove the nucleus in the ring, and go on."""
        if (review := self._asked()) is not None:
            with self._leads():
                if self._is_current():
                    review.reject()
                elif self._shown is not None and self._shown_place() is not None:
                    delete_nuclei(self._study, [self._shown])

    @contextmanager
    def following(self) -> Iterator[None]:
        """Go along with what is undone or done again inside."""
        if self._review is None:
            yield
            return
        with self._leads():
            yield

    @contextmanager
    def _leads(self) -> Iterator[None]:
        self._leading = True
        try:
            yield
        finally:
            self._leading = False
        if self._review is not None and not self._is_current():
            self._go()

    def _asked(self) -> Review | None:
        if self._review is None:
            self._say("No review is going on: N starts one.")
        return self._review

    def _is_current(self) -> bool:
        current = self._review.current if self._review is not None else None
        return current is not None and current.id == self._shown

    def _on_review(self) -> None:
        assert self._review is not None
        self._total = max(self._total, self._review.remaining)
        # A nucleus that is corrected by hand leaves the walk; the view must not run away
        # from the hand that corrects it.
        if not self._leading:
            self._ring()
        self.changed.emit()

    def _go(self) -> None:
        assert self._review is not None
        current = self._review.current
        if current is None:
            done = self.done
            self.end()
            self._say(f"Review finished: {done:,} {'nucleus' if done == 1 else 'nuclei'} seen.")
            return
        self._shown = current.id
        look_at(self._view, current)
        self._ring()
        self.changed.emit()

    def _ring(self) -> None:
        place = self._shown_place()
        if place is None:
            self._marks.show("review", [])
            return
        r0, c0, r1, c1 = np.asarray(self._study.nuclei.bounds[place], float).tolist()
        self._marks.show("review", [halo((r0, c0, r1, c1))])

    def _shown_place(self) -> int | None:
        if self._shown is None:
            return None
        there = np.flatnonzero(self._study.nuclei.ids == self._shown)
        return int(there[0]) if len(there) else None


def look_at(view: StudyView, nucleus: Uncertain) -> None:
    """Move the camera to a nucleus, no more than is needed.

    Parameters
    ----------
    view : StudyView
        Whose viewer.
    nucleus : Uncertain
        It is centred if it is not wholly in view, and spans a sixth of the view if it
        was much too small or too large.
    """
    viewer, mpp = view.book.viewer, view.study.slide.mpp
    pixel = mpp or 1.0
    top, left, bottom, right = view_rectangle(viewer, mpp)
    r0, c0, r1, c1 = nucleus.bounds
    span = max(r1 - r0, c1 - c0, 1.0)
    side = min(bottom - top, right - left)
    fits = _LEAST_SPAN <= span / side <= 1 / 2
    if fits and top <= r0 and r1 <= bottom and left <= c0 and c1 <= right:
        return
    camera = viewer.scene.camera
    row, column = nucleus.centroid
    # Both at once would be two journeys for whoever follows the camera: zoom first, it is quiet
    # where nothing changes.
    if not fits:
        camera.zoom = camera.zoom * side * _SPAN / span
    camera.center = (*camera.center[:-2], row * pixel, column * pixel)


def uncertain_count(study: Study) -> int:
    """Count the nuclei that a review begun now would show."""
    review = Review(study)
    review.close()
    return review.remaining
