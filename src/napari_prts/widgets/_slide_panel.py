"""Slide: open one, see its pixel size and quality, correct what the file does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QDoubleSpinBox, QFileDialog, QFormLayout, QHBoxLayout, QVBoxLayout

from napari_prts.errors import PrtsError
from napari_prts.widgets._associated import AssociatedPictures, PictureDialog
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button, folded
from napari_prts.widgets._quality_view import QualityView
from napari_prts.widgets._slide_notices import SlideNotices
from napari_prts.widgets.export._save_dialogs import OPEN_SESSION, SAVE_SESSION, SaveDialogs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_prts.jobs import Job
    from napari_prts.slide import Slide
    from napari_prts.slide.quality import SlideQuality
    from napari_prts.study import Study

SLIDES = (
    "Slides (*.svs *.tif *.tiff *.btf *.ndpi *.bif *.scn *.mrxs *.svslide *.dcm "
    "*.jpg *.jpeg *.png);;All files (*)"
)


class SlidePanel(Panel):
    """Opens slides and shows their facts."""

    tag = "slide"
    script_does = "opens this slide"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.setAcceptDrops(True)
        self.open_button = button(
            "Open slide…", "Any slide scanner's file, TIFF, JPEG or PNG", main=True
        )
        self.open_folder = button("Open folder…", "A slide that is a folder: OME-Zarr or DICOM")
        self._build_size()
        self.quality_view = QualityView()
        self.saving = SaveDialogs(self.session, self)
        self.save_button = SAVE_SESSION.button(self.saving.save_session)
        self.load_button = OPEN_SESSION.button(self.saving.open_session)
        row = QHBoxLayout()
        row.addWidget(self.save_button)
        row.addWidget(self.load_button)
        form = QFormLayout()
        form.addRow("Pixel size", self.mpp)
        section, _, inner = folded("Advanced")
        self.associated = AssociatedPictures(self._read_picture)
        inner.addWidget(self.open_folder)
        inner.addWidget(self.as_in_file)
        inner.addWidget(self.associated)
        column.addWidget(self.open_button)
        column.addLayout(form)
        column.addWidget(self.quality_view)
        column.addLayout(row)
        column.addWidget(section)
        self.open_button.clicked.connect(self._choose_slide)
        self.open_folder.clicked.connect(self._choose_folder)
        self.notices = SlideNotices(self)
        self._quality: SlideQuality | None = None
        self._picture: NDArray[np.uint8] | None = None

    def _build_size(self) -> None:
        self.mpp = QDoubleSpinBox()
        self.mpp.setRange(0.0, 20.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.01)
        self.mpp.setSpecialValueText("unknown")
        self.mpp.setSuffix(" um/px")
        self.mpp.setKeyboardTracking(False)
        self.mpp.setToolTip(
            "Microns per pixel at full resolution. Everything is measured with it: "
            "a wrong value gives wrong nuclei and wrong predictions. A correction is "
            "remembered for this slide."
        )
        self.as_in_file = button("", "Forget the correction of the pixel size")
        self.mpp.valueChanged.connect(self._on_mpp)
        self.as_in_file.clicked.connect(lambda: self._set_mpp(None))

    def listen(self, study: Study) -> None:
        """Follow the slide, measure its quality."""
        self.links.connect(study.slide_changed, self._on_slide)
        self.links.connect(study.model_changed, self._show_quality)
        self.notices.follow(study)
        self.associated.show_slide(study.slide)
        self._measure(study)

    def _on_slide(self) -> None:
        self.refresh()
        if self.study is not None:
            # Focus and tissue are measured in microns: another pixel size, other numbers.
            self._measure(self.study)

    def refresh(self) -> None:
        """Show the slide's facts."""
        study = self.study
        self.mpp.setEnabled(study is not None)
        self.save_button.setEnabled(study is not None)
        self.as_in_file.setVisible(False)
        if study is None:
            self.state.setText("Open a slide, or drop one on the window.")
            return
        slide = study.slide
        self.mpp.blockSignals(True)
        self.mpp.setValue(slide.mpp or 0.0)
        self.mpp.blockSignals(False)
        if slide.stated_mpp is not None and slide.mpp != slide.stated_mpp:
            self.as_in_file.setText(f"Pixel size as in the file: {slide.stated_mpp:.4g} um/px")
            self.as_in_file.setVisible(True)
        self.state.setText(describe_slide(slide, self._quality))

    def as_python(self) -> str:
        """Write how the slide is opened as a script."""
        from napari_prts.study.recipe import opening, script

        return script(opening(self.study))

    def _measure(self, study: Study) -> None:
        """Measure tissue and quality in the background, once for each pixel size."""
        self._quality = None
        self.quality_view.clear()
        slide = study.slide

        def make() -> Job[Any]:
            from napari_prts.slide import tissue_mask
            from napari_prts.slide.quality import slide_quality_job
            from napari_prts.viewer.quality_picture import quality_picture

            quality = yield from slide_quality_job(slide)
            return quality, quality_picture(slide, quality, tissue_mask(slide))

        def done(found: tuple[SlideQuality, NDArray[np.uint8]]) -> None:
            if study.slide is slide and self.study is study:
                self._quality, self._picture = found
                self._show_quality()
                self.refresh()

        self.session.jobs.submit(Task("quality", "Measuring quality", make, done))

    def _show_quality(self) -> None:
        """Show what was measured, and what of it the chosen model has not seen."""
        if self._quality is None or self._picture is None:
            return
        model = self.study.model if self.study is not None else None
        reference = model.quality_reference if model is not None else None
        warnings = reference.compare(self._quality) if reference is not None else ()
        self.quality_view.show_quality(self._quality, self._picture, warnings)

    def _read_picture(self, name: str, read: Callable[[], NDArray[np.uint8]]) -> None:
        study = self.study
        title = name if study is None else f"{name.capitalize()} of {study.slide.name}"

        def make() -> Job[Any]:
            return read()
            yield

        def done(image: NDArray[np.uint8]) -> None:
            PictureDialog(title, image, self).show()

        self.session.jobs.submit(Task(self.tag, f"Reading {name}", make, done))

    def dragEnterEvent(self, event: Any) -> None:
        """Take files and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open what is dropped on the panel as a slide, whatever its name."""
        for url in event.mimeData().urls():
            if url.isLocalFile():
                self.open(url.toLocalFile())
        event.acceptProposedAction()

    def _choose_slide(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open slide", "", SLIDES)
        if path:
            self.open(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open OME-Zarr or DICOM folder")
        if path:
            self.open(path)

    def open(self, path: Path | str) -> None:
        """Open a slide in the background; asks first if another one would leave the screen."""
        self.session.open(path)

    def _on_mpp(self, value: float) -> None:
        if value > 0:
            self._set_mpp(value)

    def _set_mpp(self, mpp: float | None) -> None:
        if self.study is None:
            return
        try:
            self.study.set_mpp(mpp)
        except PrtsError as error:
            show_error(str(error))
            self.refresh()


def describe_slide(slide: Slide, quality: SlideQuality | None = None) -> str:
    """Write the slide's facts in one line.

    Parameters
    ----------
    slide : Slide
        The slide.
    quality : SlideQuality, optional
        What is known of its quality.
    """
    rows, columns = slide.shape
    if slide.mpp is None:
        size = "no pixel size in this file: enter microns per pixel"
    else:
        size = f"{slide.mpp:.4g} um/px ({slide.mpp_source})"
    parts = [slide.name, f"{columns:,} x {rows:,} px", size]
    if quality is not None:
        parts += [f"tissue {quality.tissue:.0%}", f"focus {quality.focus_word}"]
    if slide.broken:
        count = len(slide.broken)
        parts.append(f"{count:,} {'tile' if count == 1 else 'tiles'} cannot be read")
    return ", ".join(parts)
