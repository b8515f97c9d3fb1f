"""Nuclei: find them, correct them, bring them in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
)

from napari_prts.errors import PrtsError
from napari_prts.study import Autosave
from napari_prts.viewer.editing_window import LIMIT
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button, folded

if TYPE_CHECKING:
    from napari_prts.jobs import Job, Progress
    from napari_prts.nuclei import Nuclei
    from napari_prts.segmentation import SegmentRequest
    from napari_prts.study import Study
    from napari_prts.study.state import Region

WHOLE, VIEW, DRAWN = "the whole slide", "the view", "a drawn region"


class NucleiPanel(Panel):
    """Finds nuclei with StarDist and edits them by hand."""

    tag = "nuclei"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.find_button = button("Find nuclei", "Find nuclei with StarDist", main=True)
        self.where = QComboBox()
        self.where.addItems([WHOLE, VIEW, DRAWN])
        self.where.setToolTip("Where to look; nuclei elsewhere stay as they are.")
        form = QFormLayout()
        form.addRow("in", self.where)
        self.draw_button = button("Draw", "Draw a nucleus: click its corners, Enter ends (D)")
        self.select_button = button("Select", "Click a nucleus; Delete removes it")
        self.vertices_button = button("Reshape", "Drag the points of an outline")
        self.undo_button = button("Undo", "Take back the last correction (Z)")
        self.redo_button = button("Redo", "Do it again (Shift+Ctrl+Z)")
        self.restore_button = button("Restore", "Bring back the nuclei saved automatically")
        self.import_button = button("Import…", "GeoJSON (QuPath, Space Ranger) or label image")
        self.export_button = button("Export…", "GeoJSON that QuPath opens")
        column.addWidget(self.find_button)
        column.addLayout(form)
        column.addLayout(_row(self.draw_button, self.select_button, self.vertices_button))
        column.addLayout(_row(self.undo_button, self.redo_button))
        column.addWidget(self.restore_button)
        column.addLayout(_row(self.import_button, self.export_button))
        column.addWidget(self._build_advanced())
        self._connect()
        self._region: Region | None = None
        self._drawn: Nuclei | None = None
        self._follow = QTimer(self)
        self._follow.setSingleShot(True)
        self._follow.setInterval(250)
        self._follow.timeout.connect(self._follow_view)
        camera = self.session.viewer.scene.camera.events
        self.links.connect(camera.center, self._on_camera)
        self.links.connect(camera.zoom, self._on_camera)

    def _build_advanced(self) -> Any:
        section, _, layout = folded("Advanced")
        self.model = QComboBox()
        self.model.addItems(["he-open", "2D_versatile_he"])
        self.model.setEditable(True)
        self.model.setToolTip(
            "he-open ships with the plugin. 2D_versatile_he is StarDist's own (downloaded "
            "once). A path to a model folder, zip or h5 file works too."
        )
        self.probability = _fraction("Higher finds fewer, surer nuclei.")
        self.overlap = _fraction("Higher allows nuclei to overlap more.")
        form = QFormLayout()
        form.addRow("Model", self.model)
        form.addRow("Probability", self.probability)
        form.addRow("Overlap", self.overlap)
        layout.addLayout(form)
        return section

    def _connect(self) -> None:
        self.find_button.clicked.connect(self.find_nuclei)
        self.where.currentTextChanged.connect(self._on_where)
        self.draw_button.clicked.connect(lambda: self._edit("add_polygon"))
        self.select_button.clicked.connect(lambda: self._edit("select"))
        self.vertices_button.clicked.connect(lambda: self._edit("direct"))
        self.undo_button.clicked.connect(lambda: self.study and self.study.undo())
        self.redo_button.clicked.connect(lambda: self.study and self.study.redo())
        self.restore_button.clicked.connect(self.restore)
        self.import_button.clicked.connect(self._choose_import)
        self.export_button.clicked.connect(self._choose_export)

    def listen(self, study: Study) -> None:
        """Follow the nuclei."""
        self.links.connect(study.nuclei_changed, self.refresh)
        self.links.connect(study.slide_changed, self.refresh)

    def refresh(self) -> None:
        """Show counts and what can be done now."""
        study = self.study
        has = study is not None and len(study.nuclei) > 0
        ready = study is not None and study.slide.mpp is not None
        running = self.session.jobs.running
        self.find_button.setEnabled(ready and not (running and running.tag == self.tag))
        self.import_button.setEnabled(study is not None)
        self.export_button.setEnabled(has)
        for edit in (self.draw_button, self.select_button, self.vertices_button):
            edit.setEnabled(study is not None)
        self.undo_button.setEnabled(study is not None and study.history.can_undo)
        self.redo_button.setEnabled(study is not None and study.history.can_redo)
        saved = Autosave.of(study.slide).saved_at if study is not None else None
        self.restore_button.setVisible(saved is not None and not has)
        if saved is not None:
            self.restore_button.setText(f"Restore nuclei of {saved.astimezone():%d %b %H:%M}")
        self.state.setText(self._words(study))

    def _words(self, study: Study | None) -> str:
        if study is None:
            return "Open a slide first."
        if study.slide.mpp is None:
            return "Enter the slide's pixel size first (Slide panel)."
        count = len(study.nuclei)
        if not count:
            return "No nuclei yet. Find them, import them, or draw them."
        edits = study.history.counts()
        words = f"{count:,} nuclei"
        done = [(edits.added, "added"), (edits.edited, "edited"), (edits.removed, "removed")]
        if by_hand := ", ".join(f"{number:,} {what}" for number, what in done if number):
            words += f"; by hand: {by_hand}"
        if count > LIMIT:
            words += f". Zoom in until fewer than {LIMIT:,} are in view to edit them."
        return words

    def find_nuclei(self) -> None:
        """Find nuclei where the user said."""
        study, view = self.study, self.session.view
        if study is None or view is None:
            return
        try:
            region = self._chosen_region()
            request = self._request(region)
        except PrtsError as error:
            show_error(str(error))
            return
        self._region, self._drawn = region, None

        slide = study.slide

        def make() -> Job[tuple[Nuclei, dict[str, Any]]]:
            from napari_prts.segmentation import provenance, segment

            found = yield from segment(slide, request)
            # It measures stain and focus: not for the window's own thread.
            return found, provenance(slide, request)

        def done(made: tuple[Nuclei, dict[str, Any]]) -> None:
            self._take_over(study, *made, region)

        self.session.jobs.submit(Task(self.tag, "Finding nuclei", make, done, self._on_partial))

    def _chosen_region(self) -> Region | None:
        view = self.session.view
        assert view is not None
        where = self.where.currentText()
        region: Region | None = None
        if where == VIEW:
            region = view.region.in_view()
        elif where == DRAWN:
            region = view.region.drawn()
        return region

    def _request(self, region: Region | None) -> SegmentRequest:
        from napari_prts.segmentation import SegmentRequest

        view = self.session.view
        assert view is not None
        row, column, height, width = view.region.in_view()
        return SegmentRequest(
            model=self.model.currentText().strip(),
            region=region,
            prob_threshold=self.probability.value() or None,
            nms_threshold=self.overlap.value() or None,
            order_from=(row + height / 2, column + width / 2),
        )

    def _on_partial(self, report: Progress) -> None:
        view = self.session.view
        if view is not None and report.partial is not None and len(report.partial):
            self._drawn = view.nuclei.show_partial(report.partial, self._drawn)

    def _take_over(
        self, study: Study, found: Nuclei, record: dict[str, Any], region: Region | None
    ) -> None:
        if not len(found):
            show_info("No nuclei found there. Check the pixel size, or lower the probability.")
        study.set_segmented(found, region, record)
        for warning in record.get("quality", {}).get("warnings", ()):
            show_warning(warning)

    def _on_where(self, where: str) -> None:
        if where == DRAWN and self.session.view is not None:
            self.session.view.region.start_drawing()

    def _edit(self, mode: str) -> None:
        view = self.session.view
        if view is None:
            return
        view.nuclei.start_editing()
        if view.nuclei.window is not None:
            view.nuclei.window.layer.mode = mode

    def restore(self) -> None:
        """Bring back the automatically saved nuclei of this slide."""
        study = self.study
        if study is None:
            return
        try:
            nuclei, provenance = Autosave.of(study.slide).read(study.slide)
            study.set_nuclei(nuclei, provenance, "restore nuclei")
        except PrtsError as error:
            show_error(str(error))

    def _choose_import(self) -> None:
        kinds = "Nuclei (*.geojson *.json *.png *.tif *.tiff *.npy)"
        path, _ = QFileDialog.getOpenFileName(self, "Import nuclei", "", kinds)
        if path:
            self.import_nuclei(path)

    def import_nuclei(self, path: Path | str) -> None:
        """Replace the nuclei by those of a file."""
        study = self.study
        if study is None:
            return
        from napari_prts.jobs import Progress

        def make() -> Job[Nuclei]:
            from napari_prts.nuclei import read_nuclei

            yield Progress(0, 1, "files")
            return read_nuclei(path, study.slide.shape)

        def done(nuclei: Nuclei) -> None:
            study.set_nuclei(nuclei, {"imported_from": str(path)}, "import nuclei")

        self.session.jobs.submit(Task(self.tag, "Importing nuclei", make, done))

    def _choose_export(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Export nuclei", "nuclei.geojson", "GeoJSON (*.geojson)"
        )
        if path:
            self.export_nuclei(path)

    def export_nuclei(self, path: Path | str) -> None:
        """Write the nuclei as GeoJSON."""
        study = self.study
        if study is None:
            return
        from napari_prts.jobs import Progress

        def make() -> Job[None]:
            from napari_prts.nuclei import write_geojson

            yield Progress(0, 1, "files")
            write_geojson(study.nuclei, Path(path), study.nuclei_provenance)

        self.session.jobs.submit(
            Task(self.tag, "Exporting nuclei", make, lambda _: show_info(f"Saved {path}"))
        )

    def _on_camera(self, _: Any) -> None:
        self._follow.start()

    def _follow_view(self) -> None:
        if self.session.view is not None:
            self.session.view.nuclei.follow_view()


def _row(*widgets: Any) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _fraction(tooltip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.0, 0.99)
    box.setSingleStep(0.05)
    box.setSpecialValueText("the model's own")
    box.setToolTip(tooltip)
    return box
