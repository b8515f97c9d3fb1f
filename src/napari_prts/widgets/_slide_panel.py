"""Slide: open one, see its pixel size and tissue, correct what the file does not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QMessageBox,
    QVBoxLayout,
)

from napari_prts.errors import PrtsError
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button

if TYPE_CHECKING:
    from napari_prts.slide import Slide
    from napari_prts.study import Study

SLIDES = "Slides (*.svs *.tif *.tiff *.btf *.ome.tif *.ome.tiff *.jpg *.jpeg *.png);;All files (*)"


class SlidePanel(Panel):
    """Opens slides and shows their facts."""

    tag = "slide"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.open_button = button("Open slide…", "Aperio SVS, TIFF, JPEG or PNG", main=True)
        self.open_zarr = button("Open OME-Zarr…", "A slide that is a folder (.zarr)")
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 20.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.01)
        self.mpp.setSpecialValueText("unknown")
        self.mpp.setSuffix(" um/px")
        self.mpp.setKeyboardTracking(False)
        self.mpp.setToolTip(
            "Microns per pixel at full resolution. Everything is measured with it: "
            "a wrong value gives wrong nuclei and wrong predictions."
        )
        form = QFormLayout()
        form.addRow("Pixel size", self.mpp)
        self.save_button = button("Save study…", "Nuclei, tables and model into one folder")
        self.load_button = button("Open study…", "A folder that Save study made")
        row = QHBoxLayout()
        row.addWidget(self.save_button)
        row.addWidget(self.load_button)
        column.addWidget(self.open_button)
        column.addWidget(self.open_zarr)
        column.addLayout(form)
        column.addLayout(row)
        self.open_button.clicked.connect(self._choose_slide)
        self.open_zarr.clicked.connect(self._choose_zarr)
        self.mpp.valueChanged.connect(self._on_mpp)
        self.save_button.clicked.connect(self._save)
        self.load_button.clicked.connect(self._load)
        self._tissue: str | None = None

    def listen(self, study: Study) -> None:
        """Follow the slide and measure its tissue."""
        self.links.connect(study.slide_changed, self.refresh)
        self._tissue = None
        self._measure_tissue(study)

    def refresh(self) -> None:
        """Show the slide's facts."""
        study = self.study
        self.mpp.setEnabled(study is not None)
        self.save_button.setEnabled(study is not None)
        if study is None:
            self.state.setText("Open a slide, or drop one on the window.")
            return
        slide = study.slide
        self.mpp.blockSignals(True)
        self.mpp.setValue(slide.mpp or 0.0)
        self.mpp.blockSignals(False)
        self.state.setText(describe_slide(slide, self._tissue))

    def _measure_tissue(self, study: Study) -> None:
        from napari_prts.jobs import Job, Progress

        def make() -> Job[float]:
            from napari_prts.slide import tissue_mask

            yield Progress(0, 1, "slides", "looking for tissue")
            return tissue_mask(study.slide).fraction

        def done(fraction: float) -> None:
            if self.study is study:
                self._tissue = f"tissue {fraction:.0%}"
                self.refresh()

        self.session.jobs.submit(Task(self.tag, "Looking for tissue", make, done))

    def _choose_slide(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open slide", "", SLIDES)
        if path:
            self.open(path)

    def _choose_zarr(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open OME-Zarr folder")
        if path:
            self.open(path)

    def open(self, path: Path | str) -> None:
        """Open a slide in the background, asking first if corrections would leave the screen."""
        if self.study is not None and self.study.history.can_undo and not self._agreed():
            return
        self.session.open(path)

    def _agreed(self) -> bool:
        answer = QMessageBox.question(
            self,
            "Another slide",
            "The nuclei of the present slide are saved and can be restored when it is opened "
            "again. Open another slide?",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_mpp(self, value: float) -> None:
        if self.study is None or value == 0:
            return
        try:
            self.study.set_mpp(value)
        except PrtsError as error:
            show_error(str(error))
            self.refresh()

    def _save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Save study into folder")
        study = self.study
        if folder and study is not None:
            from napari_prts.jobs import Job, Progress

            def make() -> Job[Path]:
                yield Progress(0, 1, "studies")
                saved: Path = study.save(folder)
                return saved

            self.session.jobs.submit(Task(self.tag, "Saving study", make, lambda _: self.refresh()))

    def _load(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open study folder")
        if folder:
            self.open_study(folder)

    def open_study(self, folder: Path | str) -> None:
        """Open a saved study in the background."""
        from napari_prts.jobs import Job, Progress

        def make() -> Job[Study]:
            from napari_prts.study import open_study

            yield Progress(0, 1, "studies")
            return open_study(folder)

        self.session.jobs.submit(Task(self.tag, "Opening study", make, self.session.show))


def describe_slide(slide: Slide, tissue: str | None = None) -> str:
    """Write the slide's facts in one line.

    Parameters
    ----------
    slide : Slide
        The slide.
    tissue : str, optional
        What is known of its tissue.
    """
    name = slide.path.name if slide.path else slide.format
    rows, columns = slide.shape
    if slide.mpp is None:
        size = "no pixel size in this file: enter microns per pixel"
    else:
        size = f"{slide.mpp:.4g} um/px ({slide.mpp_source})"
    parts = [name, f"{columns:,} x {rows:,} px", size]
    return ", ".join(parts + ([tissue] if tissue else []))
