"""Nuclei: find them, correct them, bring them in and out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
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
from napari_prts.segmentation.user_models import list_models
from napari_prts.viewer.editing_window import LIMIT
from napari_prts.viewer.tools_list import Tool
from napari_prts.widgets._correct_tools import CorrectTools
from napari_prts.widgets._fine_tune import FineTuneSection
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button, folded
from napari_prts.widgets._review_bar import ReviewBar
from napari_prts.widgets._saving import saving_words

if TYPE_CHECKING:
    from napari_prts.jobs import Job, Progress
    from napari_prts.nuclei import Nuclei
    from napari_prts.nuclei.formats.report import ReadReport
    from napari_prts.segmentation import SegmentRequest
    from napari_prts.segmentation.local import Replacement
    from napari_prts.study import Study
    from napari_prts.study.recovery import Restored
    from napari_prts.study.state import Region

WHOLE, VIEW, DRAWN = "the whole slide", "the view", "a drawn region"


# Files of a zarr folder by which the user chooses it.
_ZARR_METADATA = (".zgroup", ".zarray", ".zattrs", "zarr.json")


class NucleiPanel(Panel):
    """Finds nuclei with StarDist and edits them by hand."""

    tag = "nuclei"
    script_does = "finds the nuclei of this slide"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.find_button = button("Find nuclei", "Find nuclei with StarDist", main=True)
        self.where = QComboBox()
        self.where.addItems([WHOLE, VIEW, DRAWN])
        self.where.setToolTip("Where to look; nuclei elsewhere stay as they are.")
        form = QFormLayout()
        form.addRow("in", self.where)
        self.correct = CorrectTools(self.session, lambda: self.model.currentText().strip())
        self.review = ReviewBar(self.session, self.correct)
        self.draw_button = self.correct.buttons[Tool.DRAW]
        self.select_button = self.correct.buttons[Tool.SELECT]
        self.vertices_button = self.correct.buttons[Tool.RESHAPE]
        self.undo_button = self.correct.undo_button
        self.redo_button = self.correct.redo_button
        self.restore_button = button("Restore", "Bring back the nuclei saved automatically")
        self.import_button = button(
            "Import…", "GeoJSON (QuPath, Space Ranger), GeoParquet, WKT table or label image"
        )
        self.export_button = button(
            "Export…", "GeoJSON for QuPath, GeoParquet, WKT table or label image"
        )
        column.addWidget(self.find_button)
        column.addLayout(form)
        column.addWidget(self.correct)
        column.addWidget(self.review)
        column.addWidget(self.restore_button)
        column.addLayout(_row(self.import_button, self.export_button))
        column.addWidget(self._build_advanced())
        self.improve = FineTuneSection(
            self.session, lambda: self.model.currentText().strip(), self._on_model_made
        )
        column.addWidget(self.improve)
        self._connect()
        self._said = ""
        self._in_view = LIMIT + 1
        self._region: Region | None = None
        self._drawn: Nuclei | None = None
        self._follow = QTimer(self)
        self._follow.setSingleShot(True)
        self._follow.setInterval(250)
        self._follow.timeout.connect(self._follow_view)
        camera = self.session.viewer.scene.camera.events
        self.links.connect(camera.center, self._on_camera)
        self.links.connect(camera.zoom, self._on_camera)
        self.links.connect(self.session.saving_changed, self._show_state)
        self.links.connect(self.session.jobs.ended, self._on_ended)

    def _build_advanced(self) -> Any:
        section, _, layout = folded("Advanced")
        self.model = QComboBox()
        self.model.addItems([entry.name for entry in list_models()])
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

    def _on_model_made(self, name: str, better: bool) -> None:
        """Offer a model of the user's own; nothing is switched unasked."""
        if self.model.findText(name) < 0:
            self.model.addItem(name)
        if better:
            show_info(f"{name!r} is in the list of models under Advanced.")

    def _connect(self) -> None:
        self.find_button.clicked.connect(self.find_nuclei)
        self.where.currentTextChanged.connect(self._on_where)
        self.correct.again_button.clicked.connect(self.find_again)
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
        self.correct.refresh()
        self.review.refresh()
        kept = study.recoverable if study is not None and not has else None
        self.restore_button.setVisible(kept is not None)
        if kept is not None:
            self.restore_button.setText(f"Restore nuclei of {kept.words}")
        self._said = self._words(study)
        self._show_state()
        # How many are in view has changed with them.
        self._follow.start()

    def _show_state(self) -> None:
        words = self._said
        saving = saving_words(self.study.saved) if self.study is not None else ""
        self.state.setText(f"{words}\n{saving}" if saving else words)

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
        if count > LIMIT and not 0 < self._in_view <= LIMIT:
            words += f". Zoom in until no more than {LIMIT:,} are in view to edit them."
        elif count > LIMIT:
            words += f". The {self._in_view:,} in view can be edited."
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
            from napari_prts.study.recipe import asked_of

            found = yield from segment(slide, request)
            # It measures stain and focus: not for the window's own thread.
            return found, {**provenance(slide, request), **asked_of(request)}

        def done(made: tuple[Nuclei, dict[str, Any]]) -> None:
            self._take_over(study, *made, region)

        self.session.jobs.submit(Task(self.tag, "Finding nuclei", make, done, self._on_partial))

    def as_python(self) -> str:
        """Write what *Find nuclei* would do as a script."""
        from napari_prts.study.recipe import opening, script, segment_line, with_nuclei

        region, steps = None, [opening(self.study)]
        if self.session.view is not None:
            # No region is drawn yet, or no slide is in view: where to look is left open.
            with suppress(PrtsError):
                region = self._chosen_region()
        if region is not None and self.study is not None and len(self.study.nuclei):
            # Nuclei beside a region stay as they are.
            steps = with_nuclei(self.study)
        find = segment_line(self._choices(region))
        return script(*(step for step in steps if step != find), find)

    def _on_ended(self, tag: str, outcome: str) -> None:
        view = self.session.view
        if tag == self.tag and outcome != "done" and view is not None:
            # What a job drew that did not come to its end is none of the study's.
            view.nuclei.refresh()

    def find_again(self) -> None:
        """Find the nuclei of the drawn region, or of the view, again; corrected ones stay."""
        study, view = self.study, self.session.view
        if study is None or view is None:
            return
        try:
            drawn = self.where.currentText() == DRAWN
            region = view.region.drawn() if drawn else view.region.in_view()
            request = self._request(region)
        except PrtsError as error:
            show_error(str(error))
            return

        def make() -> Job[Replacement]:
            from napari_prts.segmentation.local import resegment

            return (yield from resegment(study.slide, study.nuclei, region, request))

        def done(replacement: Replacement) -> None:
            from napari_prts.study.correcting import find_again

            before = len(study.nuclei)
            came = len(find_again(study, replacement))
            went = before + came - len(study.nuclei)
            kept = f" {len(replacement.kept):,} corrected by hand stay." * bool(
                len(replacement.kept)
            )
            show_info(f"Found {came:,} nuclei in the place of {went:,}.{kept}")

        self.session.jobs.submit(Task(self.tag, "Finding nuclei again", make, done))

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
        view = self.session.view
        assert view is not None
        row, column, height, width = view.region.in_view()
        return replace(self._choices(region), order_from=(row + height / 2, column + width / 2))

    def _choices(self, region: Region | None) -> SegmentRequest:
        from napari_prts.segmentation import SegmentRequest

        return SegmentRequest(
            model=self.model.currentText().strip(),
            region=region,
            prob_threshold=self.probability.value() or None,
            nms_threshold=self.overlap.value() or None,
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

    def restore(self) -> None:
        """Bring back the nuclei of this slide that an earlier session left, with their undo."""
        study = self.study
        if study is None:
            return
        autosave = study.autosave

        def done(restored: Restored) -> None:
            study.take_restored(restored)
            if restored.problem:
                show_warning(restored.problem)

        self.session.jobs.submit(Task(self.tag, "Restoring nuclei", autosave.restoring, done))

    def _choose_import(self) -> None:
        # A zarr is a folder, which this dialog cannot choose: its metadata file stands for it.
        kinds = (
            "Nuclei (*.geojson *.json *.parquet *.geoparquet *.csv *.tsv *.png *.tif *.tiff *.btf "
            "*.npy .zgroup .zarray zarr.json);;All files (*)"
        )
        path, _ = QFileDialog.getOpenFileName(self, "Import nuclei", "", kinds)
        if path:
            self.import_nuclei(path)

    def import_nuclei(self, path: Path | str) -> None:
        """Replace the nuclei by those of a file; what was mended or left out is said."""
        study = self.study
        if study is None:
            return
        from napari_prts.jobs import Progress

        chosen = Path(path)
        source = chosen.parent if chosen.name in _ZARR_METADATA else chosen

        def make() -> Job[ReadReport]:
            from napari_prts.nuclei.formats.reading import read_nuclei_reported

            yield Progress(0, 1, "files")
            return read_nuclei_reported(source, study.slide.shape)

        def done(report: ReadReport) -> None:
            about = {"imported_from": str(source.absolute())}
            study.set_nuclei(report.nuclei, about, "import nuclei")
            if said := report.sentences():
                show_warning("\n".join([f"{source.name}:", *said]))

        self.session.jobs.submit(Task(self.tag, "Importing nuclei", make, done))

    def _choose_export(self) -> None:
        kinds = (
            "GeoJSON, for QuPath (*.geojson);;GeoParquet, for geopandas (*.parquet);;"
            "Table of WKT polygons (*.csv);;Label image, TIFF (*.tif);;"
            "Label image, OME-Zarr (*.zarr);;Label image, numpy (*.npy)"
        )
        path, _ = QFileDialog.getSaveFileName(self, "Export nuclei", "nuclei.geojson", kinds)
        if path:
            self.export_nuclei(path)

    def export_nuclei(self, path: Path | str) -> None:
        """Write the nuclei in the format of the file's ending; what it cannot hold is said."""
        study = self.study
        if study is None:
            return
        from napari_prts.jobs import Progress

        def make() -> Job[tuple[str, ...]]:
            from napari_prts.nuclei.formats.writing import write_nuclei

            yield Progress(0, 1, "files")
            return write_nuclei(
                study.nuclei, Path(path), study.nuclei_provenance, study.slide.shape
            )

        def done(missing: tuple[str, ...]) -> None:
            show_info(" ".join([f"Saved {path}.", *missing]))

        self.session.jobs.submit(Task(self.tag, "Exporting nuclei", make, done))

    def _on_camera(self, _: Any) -> None:
        self._follow.start()

    def _follow_view(self) -> None:
        if self.session.view is not None:
            self._in_view = self.session.view.nuclei.follow_view()
            self._said = self._words(self.study)
            self._show_state()


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
