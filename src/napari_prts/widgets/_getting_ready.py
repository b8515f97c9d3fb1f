"""Keeps the encoder of the study's model ready, and what is shown of it up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._session import Session

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle
    from napari_prts.jobs import Job
    from napari_prts.study import Study
    from napari_prts.widgets._warming import Readiness

TAG = "getting ready"
# Milliseconds: a new model and new nuclei often come together.
_PAUSE = 300
# Times are told in minutes: a few nuclei more change nothing.
_WORTH = 0.1


class GettingReady:
    """Loads and times a model's encoder when it is opened, beside whatever else runs.

    Parameters
    ----------
    session : Session
        Whose study.
    device : callable
        Gives the device that the user chose.
    owner : QWidget
        With which it ends.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted when :attr:`readiness` or :attr:`words` changed.
    readiness : Readiness or None
        What is known of the model in use; None until it is ready.
    words : str
        The same for the user; why, if it cannot be made ready.
    """

    changed = Signal()

    def __init__(self, session: Session, device: Callable[[], str], owner: QWidget) -> None:
        self._session, self._device = session, device
        self.readiness: Readiness | None = None
        self.words = ""
        self._of: tuple[str, str, str] | None = None
        self._nuclei = 0
        self._listened: Study | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.check)
        owner.destroyed.connect(self._timer.stop)
        self._links = Links(owner)
        self._links.connect(session.study_changed, self._on_study)
        self._links.connect(session.jobs.ended, self._on_job)
        self._on_study()

    def check(self) -> None:
        """Make ready what is in use now, unless it is, or is under way."""
        study = self._session.study
        model = study.model if study is not None else None
        if study is None or model is None or study.slide.mpp is None:
            self._forget()
            return
        of = (model.hash, self._device(), study.slide.fingerprint)
        if of == self._of and not self._many_more(len(study.nuclei)):
            return
        if of != self._of:
            self._forget()
            self.words = f"Loading {model.encoder}…"
            self.changed.emit()
        elif self._session.jobs.running is not None:
            # It is ready; only the times are to be told anew, and another job is timed by it.
            return
        self._of, self._nuclei = of, len(study.nuclei)
        self._session.beside.cancel(TAG)
        self._session.beside.submit(self._task(study, model, of))

    def _task(self, study: Study, model: ModelBundle, of: tuple[str, str, str]) -> Task:
        slide, nuclei = study.slide, study.nuclei

        def make() -> Job[Readiness]:
            from napari_prts.widgets._warming import warming_job

            return warming_job(model, of[1], slide, nuclei, study.encoders)

        def done(readiness: Readiness) -> None:
            if self._of == of:
                self.readiness = readiness
                self.words = f"Ready on {readiness.where}."
                self.changed.emit()

        def failed(words: str) -> None:
            # Predict says the same as a notification; nobody has asked for anything yet.
            if self._of == of:
                self.words = words
                self.changed.emit()

        return Task(TAG, "Loading the encoder", make, done, failed=failed)

    def _many_more(self, count: int) -> bool:
        return abs(count - self._nuclei) > _WORTH * max(self._nuclei, 1)

    def _forget(self) -> None:
        if self._of is None and not self.words:
            return
        self._session.beside.cancel(TAG)
        self.readiness, self.words, self._of = None, "", None
        self.changed.emit()

    def _on_study(self) -> None:
        study = self._session.study
        if study is not None and study is not self._listened:
            self._listened = study
            for signal in (study.model_changed, study.nuclei_changed, study.slide_changed):
                self._links.connect(signal, self._soon)
        self._soon()

    def _on_job(self, tag: str, outcome: str) -> None:
        self._soon()

    def _soon(self) -> None:
        self._timer.start()
