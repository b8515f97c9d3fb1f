"""A section: train a model on the measured cells, watch it learn, stop it when it is good."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_prts.errors import PrtsError
from napari_prts.jobs import Progress
from napari_prts.study.trained import TrainedHere
from napari_prts.widgets._copy_python import CopyPython
from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button, folded
from napari_prts.widgets._session import Session
from napari_prts.widgets._training_curves import TrainingCurves

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle
    from napari_prts.jobs import Job
    from napari_prts.study import Study, StudyTrainRequest

TAG = "training"
ENCODERS = ("morphology", "texture", "unet", "morphology+texture", "hipt-vit256")
_LOSSES = {"the paper's": "paper", "the authors' scripts'": "focal"}
_USES = {"nucleus and surroundings": "both", "nucleus alone": "local", "surroundings": "global"}
_STANDARDISE = {"all training cells": "all", "each section's own": "section"}
_TILES = {"One for each nucleus": "exact", "Shared": "grid"}


class TrainingSection(QWidget):
    """Trains a model on the study's measured cells, in the background.

    Parameters
    ----------
    session : Session
        Whose study and jobs.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._stop = threading.Event()
        self._others: list[Path] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.start_button = button(
            "Train a model on it", "Train PRTS on this slide's measured cells"
        )
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setVisible(False)
        self.job_line = JobLine(session.jobs, TAG, self)
        self.curves = TrainingCurves(self)
        self.copy_python = CopyPython("trains a model on these cells", self.as_python)
        row = QHBoxLayout()
        row.addWidget(self.start_button, 1)
        row.addWidget(self.copy_python)
        layout.addLayout(row)
        for part in (self.job_line, self.words, self.curves):
            layout.addWidget(part)
        layout.addWidget(self._build_settings())
        self.start_button.clicked.connect(self.train)
        self._turn_cancel_into_stop()
        self._links = links = Links(self)
        links.connect(session.study_changed, self._on_study)
        links.connect(session.jobs.started, self._on_jobs)
        links.connect(session.jobs.ended, self._on_jobs)
        self._on_study()

    def _build_settings(self) -> QWidget:
        section, _, layout = folded("How to train")
        self.encoder = QComboBox()
        self.encoder.addItems(ENCODERS)
        self.encoder.setEditable(True)
        self.encoder.setToolTip(
            "What training looks at. morphology, texture and unet need no weights, and A+B is both "
            "side by side; hipt-vit256 is the paper's; any timm vision transformer works by name "
            "or file."
        )
        self.epochs = QSpinBox()
        self.epochs.setRange(1, 1000)
        self.epochs.setValue(100)
        self.epochs.setToolTip("At most; training stops when it no longer gets better.")
        self.seed = QSpinBox()
        self.seed.setToolTip("The same seed gives the same model.")
        self.use = _choice(_USES, "Which part of the features the network sees")
        self.loss = _choice(_LOSSES, "What training makes small")
        self.standardise = _choice(
            _STANDARDISE,
            "Features by mean and spread of all training cells, or of each section's own nuclei, "
            "which evens out stain and scanner",
        )
        self.tiles = _choice(
            _TILES,
            "What a vision transformer looks at: a tile around each nucleus, as in the paper, or "
            "shared tiles, many times quicker. The model is then used so, too.",
        )
        self.add_button = button(
            "Add a section…", "A study saved with its measured counts: both slides train one model"
        )
        self.clear_button = button("Only this slide", "Leave the other sections out again")
        self.others_label = QLabel()
        self.others_label.setWordWrap(True)
        form = QFormLayout()
        for name, widget in (
            ("Encoder", self.encoder),
            ("Epochs", self.epochs),
            ("Seed", self.seed),
            ("Look at", self.use),
            ("Loss", self.loss),
            ("Standardise by", self.standardise),
            ("Tiles", self.tiles),
        ):
            form.addRow(name, widget)
        layout.addLayout(form)
        for part in (self.add_button, self.others_label, self.clear_button):
            layout.addWidget(part)
        self.add_button.clicked.connect(self._choose_study)
        self.clear_button.clicked.connect(self.only_this_slide)
        return section

    def _turn_cancel_into_stop(self) -> None:
        """Let the job end in its own thread, where the best model is scored and handed over."""
        cancel = self.job_line.cancel
        cancel.clicked.disconnect()
        cancel.setText("Stop")
        cancel.setToolTip("Stop and use the best model so far; training again goes on from here.")
        cancel.clicked.connect(self.stop)

    def refresh(self) -> None:
        """Show what can be done now."""
        study = self._session.study
        running = self._session.jobs.running
        busy = running is not None and running.tag == TAG
        ready = study is not None and study.measured is not None and len(study.nuclei) > 0
        self.start_button.setEnabled(ready and not busy)
        many = len(self._others)
        self.clear_button.setVisible(many > 0)
        self.others_label.setVisible(many > 0)
        names = ", ".join(folder.name for folder in self._others)
        self.others_label.setText(f"Trains on this slide and on {names}.")

    def add_section(self, folder: Path | str) -> None:
        """Train on a saved study too."""
        folder = Path(folder)
        if not (folder / "study.json").is_file():
            show_error(f"{folder} holds no saved study: choose a folder that Save made.")
            return
        if folder not in self._others:
            self._others.append(folder)
        self.refresh()

    def only_this_slide(self) -> None:
        """Train on no other section."""
        self._others.clear()
        self.refresh()

    def train(self) -> None:
        """Train in the background; the study gets the model when it ends or is stopped."""
        study = self._session.study
        if study is None or study.measured is None:
            return
        others, nuclei = tuple(self._others), study.nuclei
        try:
            request = self._request()
            make = _training(study, others, request, self._stop)
        except PrtsError as error:
            show_error(str(error))
            return
        self._stop.clear()
        self.curves.clear()
        self.words.setVisible(False)

        def done(model: ModelBundle | None) -> None:
            if model is not None:
                # What was stopped by hand no script can do again.
                whole = not model.card["training"]["cancelled"]
                made = TrainedHere.by(nuclei, model, request, others) if whole else None
                study.set_model(model, made)
            self._tell(model)

        self._session.jobs.submit(Task(TAG, "Training", make, done, self._on_progress))

    def as_python(self) -> str:
        """Write what the button would do as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, train_line, with_measured

        study = self._session.study
        steps = with_measured(study)
        if study is None or study.measured is None:
            steps.append('study.measure("outs")')
        return script(*steps, train_line(self._request(), self._others))

    def stop(self) -> None:
        """End training within a moment and use the best model so far."""
        self._stop.set()
        self.job_line.cancel.setEnabled(False)
        self.job_line.label.setText("Training: stopping, scoring the best model so far…")

    def _request(self) -> StudyTrainRequest:
        from napari_prts.expression import TrainRequest
        from napari_prts.files import cache_folder
        from napari_prts.study import StudyTrainRequest

        return StudyTrainRequest(
            encoder=self.encoder.currentText().strip(),
            tiles=self.tiles.currentData(),
            training=TrainRequest(
                epochs=self.epochs.value(),
                seed=self.seed.value(),
                use=self.use.currentData(),
                loss=self.loss.currentData(),
                standardise=self.standardise.currentData(),
                checkpoints=cache_folder() / "training",
            ),
        )

    def _tell(self, model: ModelBundle | None) -> None:
        words = describe_training(model)
        self.words.setText(words)
        self.words.setVisible(True)
        show_info(words)

    def _on_progress(self, report: Progress) -> None:
        # Before the epochs come windows of the slide and nuclei, with results of their own.
        if report.unit == "epochs" and report.partial is not None:
            self.curves.add(report.partial)

    def _choose_study(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add a saved study")
        if folder:
            self.add_section(folder)

    def _on_study(self) -> None:
        study = self._session.study
        if study is not None:
            for signal in (study.nuclei_changed, study.measured_changed):
                self._links.connect(signal, self.refresh)
        self.refresh()

    def _on_jobs(self, tag: str, _: str) -> None:
        if tag == TAG:
            self.refresh()


def describe_training(model: ModelBundle | None) -> str:
    """Say in a sentence what came of a training."""
    if model is None:
        return "Stopped before the first epoch was over: no model was made."
    metrics, training = model.card["metrics"], model.card["training"]
    score, cells = metrics["test_pcc"], training["cells"].get("test", 0)
    words = f"Model of {len(model.genes):,} genes from epoch {metrics['best_epoch']}"
    words += f" of {metrics['epochs_run']}"
    words += " (stopped by you)" if training["cancelled"] else ""
    if score is None:
        return f"{words}; no cells were left out to score it."
    return f"{words}; mean PCC {score:.3f} on the {cells:,} cells left out."


def _choice(names: dict[str, str], tooltip: str) -> QComboBox:
    box = QComboBox()
    for name, value in names.items():
        box.addItem(name, value)
    box.setToolTip(tooltip)
    return box


def _training(
    study: Study, others: tuple[Path, ...], request: StudyTrainRequest, stop: threading.Event
) -> Callable[[], Job[ModelBundle | None]]:
    """Make the job; what the user edits while it runs plays no part."""
    slide, nuclei, measured, store = study.slide, study.nuclei, study.measured, study.store
    assert measured is not None

    def make() -> Job[ModelBundle | None]:
        from dataclasses import replace

        from napari_prts.expression import load_bundle
        from napari_prts.study import open_study
        from napari_prts.study.jobs import MeasuredSlide, train_sections_job

        slides = [MeasuredSlide(slide, nuclei, measured)]
        for folder in others:
            other = open_study(folder)
            slides.append(MeasuredSlide(other.slide, other.nuclei, other.expression("measured")))
        with tempfile.TemporaryDirectory() as folder_name:
            keep = Path(folder_name) / "model"
            kept = replace(request, training=replace(request.training, keep=keep))
            job = train_sections_job(slides, kept, store)
            try:
                while not stop.is_set():
                    try:
                        yield next(job)
                    except StopIteration as ended:
                        model: ModelBundle = ended.value
                        return model
            finally:
                job.close()
            return load_bundle(keep) if keep.is_dir() else None

    return make
