"""Predict: choose or train a model, predict each cell's expression, bring in measured counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QLabel, QVBoxLayout

from napari_prts.errors import PrtsError
from napari_prts.viewer.expression_view import is_simulated
from napari_prts.widgets._getting_ready import GettingReady
from napari_prts.widgets._measured_section import MeasuredSection
from napari_prts.widgets._panel import Panel, button, folded
from napari_prts.widgets._predicting import How, Predicting
from napari_prts.widgets._store_line import StoreLine
from napari_prts.widgets._tiles_choice import TilesChoice
from napari_prts.widgets._training import TAG as TRAINING
from napari_prts.widgets.export._save_dialogs import SaveDialogs, table_words

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.study import Study

_DEVICES = {
    "auto": "the quickest there is",
    "cpu": "CPU",
    "cuda": "GPU (NVIDIA)",
    "mps": "GPU (Apple)",
}


class PredictPanel(Panel):
    """Models, measured counts and prediction."""

    tag = "predict"
    script_does = "predicts the expression of these cells"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.predict_button = button(
            "Predict", "Predict the expression of every nucleus in the background", main=True
        )
        self.tiles = TilesChoice(self)
        self.model_label = QLabel()
        self.model_label.setWordWrap(True)
        self.model_button = button("Open model…", "A model folder made by Train")
        self.saving = SaveDialogs(self.session, self)
        self.save_button = table_words("predicted").button(
            lambda: self.saving.save_table("predicted")
        )
        self.measured = MeasuredSection(self.session, self.tag, self)
        self.measured_label = self.measured.label
        self.measure_button = self.measured.open_button
        self.training = self.measured.training
        self.measure = self.measured.measure
        for part in (
            self.predict_button,
            self.tiles,
            self.model_label,
            self.model_button,
            self.save_button,
            self.measured,
            self._build_advanced(),
        ):
            column.addWidget(part)
        self._warned: set[str] = set()
        self.predicting = Predicting(self.session, self.tag, self._how, self)
        self.getting_ready = GettingReady(self.session, self._device, self)
        self._connect()

    def _build_advanced(self) -> Any:
        section, _, layout = folded("Advanced")
        self.automatic = QCheckBox("Predict again after corrections")
        self.automatic.setChecked(True)
        self.automatic.setToolTip("Only new and changed nuclei are encoded again.")
        self.device = QComboBox()
        self.device.setToolTip(
            "What computes. The quickest there is: a GPU if this computer has one, else the CPU."
        )
        self._offer_devices(("auto", "cpu"))
        self.kept = StoreLine(self.session, (self.tag, TRAINING), self)
        form = QFormLayout()
        form.addRow("Device", self.device)
        layout.addWidget(self.automatic)
        layout.addLayout(form)
        layout.addWidget(self.kept)
        return section

    def _connect(self) -> None:
        self.predict_button.clicked.connect(self.predict)
        self.model_button.clicked.connect(self._choose_model)
        self.automatic.toggled.connect(self._on_automatic)
        self.device.currentIndexChanged.connect(self.getting_ready.check)
        self.links.connect(self.predicting.changed, self.refresh)
        self.links.connect(self.predicting.finished, self._warn)
        self.links.connect(self.getting_ready.changed, self._on_ready)

    def listen(self, study: Study) -> None:
        """Follow everything that prediction depends on."""
        for signal in (
            study.nuclei_changed,
            study.slide_changed,
            study.measured_changed,
            study.predicted_changed,
        ):
            self.links.connect(signal, self.refresh)
        self.links.connect(study.model_changed, self._on_model)
        self._on_model()

    def refresh(self) -> None:
        """Show what there is and what can be done now."""
        study = self.study
        cells = len(study.nuclei) if study is not None else 0
        ready = cells > 0 and not self.session.jobs.busy(self.tag)
        model = study.model if study is not None else None
        self.predict_button.setEnabled(ready and model is not None)
        self.model_button.setEnabled(study is not None)
        self.save_button.setEnabled(study is not None and study.predicted is not None)
        self.state.setText(self._words(study))
        if model is None:
            self.tiles.forget()
        words = (describe_model(model), self.getting_ready.words)
        self.model_label.setText("\n".join(filter(None, words)))
        self.measured.refresh(ready=ready)

    def _words(self, study: Study | None) -> str:
        if study is None:
            return "Open a slide first."
        if not len(study.nuclei):
            return "Find nuclei first (Nuclei panel)."
        if self.predicting.running and study.predicted is None:
            return f"Predicting {len(study.nuclei):,} nuclei, those in view first."
        if (stopped := self.predicting.stopped) is not None:
            done, total = stopped
            again = " again" if study.predicted is not None else ""
            reached = f"{done:,} of {total:,} cells predicted{again}"
            return f"Stopped: {reached}; Predict goes on from there."
        if study.predicted is None:
            return f"{len(study.nuclei):,} nuclei, nothing predicted yet."
        predicted = study.predicted
        words = f"Predicted {predicted.n_obs:,} cells x {predicted.n_vars:,} genes"
        if is_simulated(predicted, "predicted"):
            words += " (by a model trained on simulated counts)"
        missing = len(study.nuclei) - len(study.rows_of_current_nuclei("predicted"))
        return words + (f"; {missing:,} nuclei not predicted yet" if missing > 0 else "")

    def predict(self) -> None:
        """Predict in the background with the study's model, the cells in view first."""
        self.predicting.start()

    def as_python(self) -> str:
        """Write what *Predict* would do as a script, from opening the slide on."""
        from dataclasses import asdict

        from napari_prts.study.recipe import script, with_prediction

        how, usual = asdict(self._how()), asdict(How())
        choices = {name: value for name, value in how.items() if value != usual[name]}
        return script(*with_prediction(self.study, **choices))

    def _device(self) -> str:
        return str(self.device.currentData())

    def _how(self) -> How:
        return How(self._device(), self.tiles.chosen)

    def _on_automatic(self, on: bool) -> None:
        self.predicting.follow_corrections = on

    def _on_model(self) -> None:
        study = self.study
        if study is not None and study.model is not None:
            self.tiles.use(study.model)
        self.refresh()

    def _on_ready(self) -> None:
        readiness = self.getting_ready.readiness
        if readiness is not None:
            self._offer_devices(readiness.devices)
            self.tiles.show_times(readiness.seconds)
        self.refresh()

    def _offer_devices(self, names: tuple[str, ...]) -> None:
        """Offer devices; the one chosen stays chosen."""
        if names == tuple(self.device.itemData(index) for index in range(self.device.count())):
            return
        before = self.device.currentData()
        self.device.blockSignals(True)
        self.device.clear()
        for name in names:
            self.device.addItem(_DEVICES[name], name)
        self.device.setCurrentIndex(max(self.device.findData(before), 0))
        self.device.blockSignals(False)

    def _warn(self, predicted: AnnData) -> None:
        """Say once what the model has not seen, not again after each correction."""
        from napari_prts.expression import unlike_words

        warnings = [*predicted.uns["prts"].get("quality", {}).get("warnings", ())]
        warnings += filter(None, [unlike_words(predicted)])
        for warning in warnings:
            if warning not in self._warned:
                show_warning(warning)
        self._warned = set(warnings)

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


def describe_model(model: ModelBundle | None) -> str:
    """Write a model's facts in one line."""
    if model is None:
        return "No model: open one, or train one on measured counts."
    words = f"Model: {len(model.genes):,} genes, encoder {model.encoder}"
    return words + (", trained on simulated counts" if model.trained_on == "simulated" else "")
