"""Predict: choose or train a model, predict each cell's expression, bring in measured counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGroupBox, QLabel, QVBoxLayout

from napari_prts.errors import PrtsError
from napari_prts.viewer.expression_view import is_simulated
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button, folded
from napari_prts.widgets._training import TrainingSection

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.jobs import Job
    from napari_prts.study import Study


class PredictPanel(Panel):
    """Models, measured counts and prediction."""

    tag = "predict"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.predict_button = button(
            "Predict", "Predict the expression of every nucleus in the background", main=True
        )
        self.model_label = QLabel()
        self.model_label.setWordWrap(True)
        self.model_button = button("Open model…", "A model folder made by Train")
        self.save_button = button("Save predicted…", "AnnData (.h5ad) for scanpy and squidpy")
        column.addWidget(self.predict_button)
        column.addWidget(self.model_label)
        column.addWidget(self.model_button)
        column.addWidget(self.save_button)
        column.addWidget(self._build_measured())
        column.addWidget(self._build_advanced())
        self.predict_button.clicked.connect(self.predict)
        self.model_button.clicked.connect(self._choose_model)
        self.save_button.clicked.connect(self._choose_save)
        self._warned: set[str] = set()
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(600)
        self._again.timeout.connect(self._predict_again)

    def _build_measured(self) -> QGroupBox:
        box = QGroupBox("Measured")
        layout = QVBoxLayout(box)
        self.measured_label = QLabel()
        self.measured_label.setWordWrap(True)
        self.measure_button = button(
            "Open Visium HD folder…", "Space Ranger's outs, binned_outputs or square_002um folder"
        )
        self.training = TrainingSection(self.session, self)
        for widget in (self.measured_label, self.measure_button, self.training):
            layout.addWidget(widget)
        self.measure_button.clicked.connect(self._choose_measured)
        return box

    def _build_advanced(self) -> Any:
        section, _, layout = folded("Advanced")
        self.automatic = QCheckBox("Predict again after corrections")
        self.automatic.setChecked(True)
        self.automatic.setToolTip("Only new and changed nuclei are encoded again.")
        layout.addWidget(self.automatic)
        return section

    def listen(self, study: Study) -> None:
        """Follow everything that prediction depends on."""
        for signal in (
            study.nuclei_changed,
            study.slide_changed,
            study.model_changed,
            study.measured_changed,
            study.predicted_changed,
        ):
            self.links.connect(signal, self.refresh)
        self.links.connect(study.nuclei_changed, self._on_corrected)

    def refresh(self) -> None:
        """Show what there is and what can be done now."""
        study = self.study
        cells = len(study.nuclei) if study is not None else 0
        idle = not (self.session.jobs.running and self.session.jobs.running.tag == self.tag)
        ready = cells > 0 and idle
        model = study.model if study is not None else None
        measured = study.measured if study is not None else None
        self.predict_button.setEnabled(ready and model is not None)
        self.model_button.setEnabled(study is not None)
        self.measure_button.setEnabled(ready)
        self.save_button.setEnabled(study is not None and study.predicted is not None)
        self.state.setText(self._words(study))
        self.model_label.setText(describe_model(model))
        self.measured_label.setText(describe_measured(measured))

    def _words(self, study: Study | None) -> str:
        if study is None:
            return "Open a slide first."
        if not len(study.nuclei):
            return "Find nuclei first (Nuclei panel)."
        if study.predicted is None:
            return f"{len(study.nuclei):,} nuclei, nothing predicted yet."
        predicted = study.predicted
        words = f"Predicted {predicted.n_obs:,} cells x {predicted.n_vars:,} genes"
        if is_simulated(predicted, "predicted"):
            words += " (by a model trained on simulated counts)"
        missing = len(study.nuclei) - len(study.rows_of_current_nuclei("predicted"))
        return words + (f"; {missing:,} nuclei not predicted yet" if missing > 0 else "")

    def predict(self) -> None:
        """Predict in the background with the study's model."""
        study = self.study
        if study is None or study.model is None:
            return
        from napari_prts.study import PredictionRequest

        slide, nuclei, request = study.slide, study.nuclei, PredictionRequest(study.model)

        def make() -> Job[AnnData]:
            from napari_prts.study.jobs import predict_job

            return predict_job(slide, nuclei, request, study.store)

        def done(predicted: AnnData) -> None:
            study.set_predicted(predicted)
            self._warn(predicted)

        self.session.jobs.submit(Task(self.tag, "Predicting", make, done))

    def _warn(self, predicted: AnnData) -> None:
        """Say once what the model has not seen, not again after each correction."""
        from napari_prts.expression import unlike_words

        warnings = [*predicted.uns["prts"].get("quality", {}).get("warnings", ())]
        warnings += filter(None, [unlike_words(predicted)])
        for warning in warnings:
            if warning not in self._warned:
                show_warning(warning)
        self._warned = set(warnings)

    def _on_corrected(self) -> None:
        study = self.study
        if study is not None and study.predicted is not None and self.automatic.isChecked():
            self._again.start()

    def _predict_again(self) -> None:
        study = self.study
        if study is not None and study.predicted is not None and len(study.nuclei):
            self.predict()

    def _choose_model(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open model folder")
        if folder:
            self.open_model(folder)

    def open_model(self, folder: Path | str) -> None:
        """Use the model of a folder."""
        if self.study is None:
            return
        try:
            self.study.set_model(folder)
        except PrtsError as error:
            show_error(str(error))

    def _choose_measured(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open Visium HD folder")
        if folder:
            self.measure(folder)

    def measure(self, folder: Path | str) -> None:
        """Sum the bins of a Space Ranger folder into the nuclei, in the background."""
        study = self.study
        if study is None:
            return
        slide, nuclei = study.slide, study.nuclei

        def make() -> Job[AnnData]:
            from napari_prts.visium_hd import MeasureRequest, measure, read_space_ranger

            found = read_space_ranger(folder)
            job: Job[AnnData] = measure(slide, nuclei, found, MeasureRequest())
            return job

        self.session.jobs.submit(Task(self.tag, "Reading Visium HD", make, study.set_measured))

    def _choose_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save predicted", "predicted.h5ad", "AnnData (*.h5ad)"
        )
        study = self.study
        if not path or study is None or study.predicted is None:
            return
        from napari_prts.jobs import Progress

        predicted = study.predicted

        def make() -> Job[None]:
            from napari_prts.h5ad import write_h5ad

            yield Progress(0, 1, "files")
            write_h5ad(predicted, Path(path))

        self.session.jobs.submit(
            Task(self.tag, "Saving", make, lambda _: show_info(f"Saved {path}"))
        )


def describe_model(model: ModelBundle | None) -> str:
    """Write a model's facts in one line."""
    if model is None:
        return "No model: open one, or train one on measured counts."
    words = f"Model: {len(model.genes):,} genes, encoder {model.encoder}"
    return words + (", trained on simulated counts" if model.trained_on == "simulated" else "")


def describe_measured(measured: AnnData | None) -> str:
    """Write what is known of the measured counts in one line."""
    if measured is None:
        return "No measured counts."
    word = "Simulated" if is_simulated(measured, "measured") else "Measured"
    return f"{word}: {measured.n_obs:,} cells x {measured.n_vars:,} genes"
