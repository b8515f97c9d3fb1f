"""Runs the prediction of the study on screen: starts it, follows corrections, shows arrivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_prts.jobs import Progress
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._session import Session

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.jobs import Job
    from napari_prts.nuclei import Nuclei
    from napari_prts.study import Study

# Milliseconds from a correction to the new prediction: two corrections in quick succession
# are taken together, one is shown within a second.
_AFTER_CORRECTION = 40
# Milliseconds without further cells until the last that came are painted: the view paints
# some five times a second by itself, but only when cells come.
_AFTER_ARRIVAL = 250


@dataclass(frozen=True)
class How:
    """What the user chose.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    tiles : str or None
        ``"exact"`` or ``"grid"``; None as the model was trained.
    """

    device: str = "auto"
    tiles: str | None = None


class Predicting:
    """Predicts the cells of the study on screen, those in view first.

    Parameters
    ----------
    session : Session
        Whose study, view and jobs.
    tag : str
        Of the jobs.
    how : callable
        Gives what the user chose.
    owner : QWidget
        With which it stops following; a prediction that runs goes on.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted when :attr:`stopped` may have changed.
    finished : psygnal.Signal
        Emitted with the predicted AnnData after the study has it.
    follow_corrections : bool
        Whether a finished prediction is made again after corrections.
    """

    changed = Signal()
    finished = Signal(object)

    def __init__(self, session: Session, tag: str, how: Callable[[], How], owner: QWidget) -> None:
        self._session, self._tag, self._how = session, tag, how
        self.follow_corrections = True
        self._study: Study | None = None
        self._nuclei: Nuclei | None = None
        self._task: Task | None = None
        # Of the task that counts: what one that was given up still says does not.
        self._turn: object = None
        self._stopped: tuple[int, int] | None = None
        self._again = _timer(_AFTER_CORRECTION, self._on_corrected)
        self._paint = _timer(_AFTER_ARRIVAL, self._paint_rest)
        self._links = Links(owner)
        self._links.connect(session.study_changed, self._on_study)
        self._links.connect(session.jobs.paused, self._on_paused)
        self._on_study()

    @property
    def stopped(self) -> tuple[int, int] | None:
        """How many cells of how many were predicted when it was stopped; None if it was not."""
        return self._stopped

    @property
    def running(self) -> bool:
        """Whether a prediction runs, is paused or waits for its turn."""
        return self._task is not None

    def start(self) -> None:
        """Predict with the study's model; one that runs is given up for it.

        What was encoded is in the feature store, so that nothing is done twice.
        """
        study = self._session.study
        if study is None or study.model is None or not len(study.nuclei):
            return
        self._give_up()
        self._session.looking.look()
        self._nuclei, self._stopped = study.nuclei, None
        self._task = self._new_task(study, study.model)
        self._session.jobs.submit(self._task, first=True)
        # Beside the thread that begins: to lay out the cells takes the window a moment.
        if not _expects(study, study.model):
            study.begin_arriving(study.model, study.nuclei)
        self.changed.emit()

    def _new_task(self, study: Study, model: ModelBundle) -> Task:
        slide, nuclei, store = study.slide, study.nuclei, study.store
        how, focus = self._how(), self._session.focus

        def make() -> Job[AnnData]:
            # Imported in the job's thread, as it takes a moment.
            from napari_prts.study.predicting import PredictionRequest, predict_job

            request = PredictionRequest(model, device=how.device, tiles=how.tiles)
            return predict_job(
                slide, nuclei, request, store, focus, study.encoders, study.predictors
            )

        turn = self._turn = object()

        def done(predicted: AnnData) -> None:
            if self._turn is turn:
                study.set_predicted(predicted)
                self.finished.emit(predicted)

        def partial(report: Progress) -> None:
            if self._turn is turn:
                self._on_progress(study, report)

        def over(outcome: str) -> None:
            if self._turn is turn:
                self._on_over(outcome)

        return Task(self._tag, "Predicting", make, done, partial, over=over)

    def _give_up(self) -> None:
        """Stop without a word."""
        task, self._task, self._turn = self._task, None, None
        self._again.stop()
        self._nuclei = None
        if task is not None:
            self._session.jobs.withdraw(task)

    def _on_progress(self, study: Study, report: Progress) -> None:
        if report.partial is None or study.arriving is None:
            return
        study.take_arrived(report.partial)
        self._paint.start()
        view = self._session.view
        if view is not None and not view.expression.arrived_dirty:
            began, told = perf_counter(), view.expression.drawn
            # Comes after what is waiting to be drawn.
            QTimer.singleShot(0, lambda: told(perf_counter() - began))

    def _paint_rest(self) -> None:
        view = self._session.view
        if view is not None:
            view.expression.repaint_arrived()

    def _on_over(self, outcome: str) -> None:
        self._task = self._turn = None
        self._paint.stop()
        self._paint_rest()
        if outcome != "done":
            self._again.stop()
            self._nuclei = None
            self._stopped = self._reached()
        self.changed.emit()

    def _reached(self) -> tuple[int, int] | None:
        study = self._session.study
        if study is None or study.arriving is None:
            return None
        return len(study.arriving), len(study.nuclei)

    def _on_study(self) -> None:
        study = self._session.study
        if study is self._study:
            return
        self._give_up()
        self._stopped = None
        self._study = study
        if study is not None:
            self._links.connect(study.nuclei_changed, self._on_nuclei)
            self._links.connect(study.model_changed, self._on_model)

    def _on_nuclei(self) -> None:
        if self._session.study is not self._study:
            # A study that left the screen is still corrected by someone.
            return
        study = self._session.study
        if study is None:
            return
        if study.arriving is None:
            # Other nuclei altogether: how far those before had come means nothing.
            self._stopped = None
        shown = study.predicted is not None and self.follow_corrections
        if self._task is not None and study.arriving is None:
            # What is still to come belongs to none of them.
            self._start_anew()
        elif self._task is not None or shown:
            self._again.start()

    def _on_corrected(self) -> None:
        study = self._session.study
        if study is None or study.nuclei is self._nuclei:
            return
        if self._task is None:
            if study.predicted is not None and self.follow_corrections:
                self.start()
        elif self._session.jobs.stopping(self._task):
            # Cancelled a moment after the correction: it must not begin again for that.
            return
        elif not self._session.jobs.held(self._tag):
            self._start_anew()

    def _on_model(self) -> None:
        if self._task is not None:
            self._start_anew()
        else:
            self._stopped = None

    def _on_paused(self, tag: str, held: bool) -> None:
        # A paused job stays paused while its nuclei are corrected.
        if tag == self._tag and not held and self._task is not None:
            self._on_corrected()

    def _start_anew(self) -> None:
        study = self._session.study
        if study is not None and study.model is not None and len(study.nuclei):
            self.start()
        else:
            self._give_up()
            self.changed.emit()


def _expects(study: Study, model: ModelBundle) -> bool:
    """Whether cells of these nuclei, by this model, are awaited already."""
    arriving = study.arriving
    if arriving is None or arriving.model_hash != model.hash:
        return False
    return bool(np.isin(study.nuclei.ids, arriving.nuclei.ids).all())


def _timer(pause: int, slot: Callable[[], None]) -> QTimer:
    # Without an owner: a job goes on, and is painted, when its panel is closed.
    timer = QTimer()
    timer.setInterval(pause)
    timer.setSingleShot(True)
    timer.timeout.connect(slot)
    return timer
