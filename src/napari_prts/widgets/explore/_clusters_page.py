"""Explore, Clusters: cells grouped by expression, on predicted, measured or both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_prts.study.group_tables import (
    cells_of,
    legend,
    resolutions_of,
    small_below,
    with_hidden,
    with_names,
)
from napari_prts.widgets._panel import Panel, button
from napari_prts.widgets.explore._cluster_controls import ClusterControls
from napari_prts.widgets.explore._cluster_fold import Fold
from napari_prts.widgets.explore._cluster_legend import ClusterLegend
from napari_prts.widgets.explore._cluster_names import NamesButton
from napari_prts.widgets.explore._cluster_plots import ClusterPlots
from napari_prts.widgets.explore._cluster_reading import ClusterReading
from napari_prts.widgets.explore._cluster_work import ClusterWork, tables_of
from napari_prts.widgets.explore._umap_colours import side_words
from napari_prts.widgets.explore._umap_section import UmapSection

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.study import Study

# Against the stretch below a page's controls: the list takes the room.
_ALL_ROOM = 1000


class ClustersPage(Panel):
    """Groups cells, paints the groups, names them, and tells what they are."""

    tag = "clusters"
    script_does = "groups these cells"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.work = ClusterWork(self.session, self.tag)
        self.controls = ClusterControls()
        self.cluster_button = self.controls.find_button
        self.legend = ClusterLegend()
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.names_button = NamesButton()
        self.save_button = button(
            "Save tables…", "Write sizes, cells, confusion and markers of the clusters as .csv"
        )
        self.umap = UmapSection(self.session)
        self.plots = ClusterPlots(self.session.viewer)
        self.reading = ClusterReading(self.session, self.tag)
        column.addWidget(self.controls)
        column.addWidget(self._scrolled(), _ALL_ROOM)
        self._connect()

    def _scrolled(self) -> QScrollArea:
        """The list, and folded what not everybody asks for; together they may be too tall."""
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.names_button, 1)
        row.addWidget(self.save_button)
        layout.addWidget(self.legend, 1)
        layout.addWidget(self.note)
        layout.addLayout(row)
        sections: tuple[tuple[str, QWidget, str], ...] = (
            ("UMAP", self.umap, "Cells laid out so that those alike lie together"),
            ("Markers", self.reading.markers, "The genes that tell a cluster from the others"),
            ("Proportions and confusion", self.plots, "Clusters of both sides, compared"),
            ("Score a set of genes", self.reading.scores, "Paint how much of a set a cell has"),
        )
        self.sections: dict[str, Fold] = {}
        # After Qt has laid out what a section shows.
        self._to_unfolded = QTimer(self)
        self._to_unfolded.setSingleShot(True)
        self._to_unfolded.setInterval(0)
        self._to_unfolded.timeout.connect(self._show_unfolded)
        self._opened = ""
        for title, widget, tooltip in sections:
            section = self.sections[title] = Fold(title, widget, tooltip)
            section.toggled.connect(self._on_toggled)
            section.grown.connect(self._to_unfolded.start)
            layout.addWidget(section)
        area = self._area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inner)
        return area

    def _on_toggled(self, opened: bool) -> None:
        """Fold what was open before: two would not fit on a small screen."""
        now = [title for title, section in self.sections.items() if section.is_open]
        if opened:
            before, self._opened = self._opened, next(t for t in now if t != self._opened)
            if before in now:
                self.sections[before].open(False)
            self._to_unfolded.start()
        elif not now:
            self._opened = ""

    def _show_unfolded(self) -> None:
        """Scroll to the section that is open, to its head if it is taller than the page."""
        if not self._opened:
            return
        section, area = self.sections[self._opened], self._area
        viewport, bar = area.viewport(), area.verticalScrollBar()
        assert viewport is not None
        assert bar is not None
        area.ensureWidgetVisible(section, 0, 0)
        if section.height() > viewport.height():
            bar.setValue(section.y())

    def _connect(self) -> None:
        self.controls.asked.connect(self.cluster)
        self.controls.moved.connect(self._on_moved)
        self.controls.way.currentIndexChanged.connect(self._on_way)
        self.legend.picked.connect(self.choose_cluster)
        self.legend.renamed.connect(self.rename)
        self.legend.hidden.connect(self.hide_clusters)
        self.names_button.chosen.connect(self.reading.find_names)
        self.names_button.picked_file.connect(self.reading.find_names_in)
        self.save_button.clicked.connect(self._ask_where)
        self.umap.asked.connect(self.work.lay_out)
        self.links.connect(self.work.grouped, self._on_grouped)
        # Not a method of the page: Qt calls none of a page that it deletes.
        self.destroyed.connect(self.work.close)

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self.refresh)
        self.links.connect(study.measured_changed, self.refresh)
        self.links.connect(study.clusters_changed, self.refresh)
        self.controls.show_resolutions(resolutions_of(study.clusters))

    def refresh(self) -> None:
        """Show what can be grouped, and what has been found."""
        study = self.study
        clusters: Mapping[str, AnnData] = {} if study is None else study.clusters
        sides = {} if study is None else tables_of(study)
        words = {} if study is None else side_words(study)
        found = {side: word for side, word in words.items() if side in clusters}
        self.controls.offer(sides, words)
        self.legend.show_rows(legend(clusters), found)
        for widget in (self.names_button, self.save_button):
            widget.setEnabled(bool(clusters))
        self.umap.offer([name for name in self.controls.names if name in self.work.graphs])
        self.plots.show_clusters(clusters, found)
        self.reading.show(study)
        self.state.setText(self._words(sides, found))
        self.note.setText(_note(clusters))
        self.note.setVisible(bool(self.note.text()))

    def _words(self, sides: Mapping[str, AnnData], found: Mapping[str, str]) -> str:
        study = self.study
        if study is None:
            return "Open a slide first."
        if not sides:
            return "Nothing to group yet: predict, or open a Visium HD folder (Predict panel)."
        if not found:
            return "Press Find clusters: cells that express alike get one colour."
        counts = []
        for side, word in found.items():
            labels = study.clusters[side].obs["leiden"]
            counts.append(f"{labels.nunique()} {word}")
        return f"Clusters: {', '.join(counts)}. Move the resolution for more or fewer."

    def cluster(self) -> None:
        """Group the cells as chosen, then paint the clusters."""
        self.work.group(self.controls.request())

    def as_python(self) -> str:
        """Write what *Find clusters* would do as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, with_cells
        from napari_prts.study.recipe_exploring import group_lines

        request = self.controls.request()
        steps = group_lines(self.study, request.way, request.resolutions)
        return script(*with_cells(self.study), *steps)

    def choose_cluster(self, name: str, side: str = "") -> None:
        """Choose a cluster's cells: on one side, or those that are in it on either."""
        study = self.study
        if study is None:
            return
        sides = [side] if side else list(study.clusters)
        ids: list[Any] = []
        for each in sides:
            ids.extend(cells_of(study.clusters[each], name))
        study.choose(ids)

    def rename(self, old: str, new: str) -> None:
        """Name a cluster, on both sides; clusters of one name become one."""
        if self.study is not None:
            self.study.set_grouping(with_names(self.study.clusters, {old: new}))

    def hide_clusters(self, names: list[str]) -> None:
        """Paint all clusters but these."""
        if self.study is not None:
            self.study.set_grouping(with_hidden(self.study.clusters, names))

    def save_tables(self, path: Path) -> None:
        """Write the clusters as .csv files; see :func:`save_tables_job`."""
        self.reading.save_tables(path)

    def _on_grouped(self) -> None:
        painting = self.session.brush.painting
        # What is painted already follows the study.
        if painting is None or not painting.clusters:
            self.session.brush.paint_clusters()
        self.refresh()

    def _on_moved(self) -> None:
        study = self.study
        # Before the first clusters, the button asks for them.
        if study is not None and study.clusters and self.controls.find_button.isEnabled():
            self.cluster()

    def _on_way(self) -> None:
        if self.study is not None and self.work.knows(self.controls.request()):
            self._on_moved()
        self.refresh()

    def _ask_where(self) -> None:
        study = self.study
        name = "clusters.csv" if study is None else f"{Path(study.slide.name).stem}-clusters.csv"
        path, _ = QFileDialog.getSaveFileName(self, "Save tables", name, "Tables (*.csv)")
        if path:
            self.save_tables(Path(path))


def _note(clusters: Mapping[str, AnnData]) -> str:
    if not any(row.small for row in legend(clusters)):
        return ""
    # Both sides have about as many cells.
    few = max(small_below(clusters).values())
    return f"Grey: removed as in the paper: fewer than {few:,} cells."
