"""Explore: genes and clusters over the tissue, predicted beside measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
)
from superqt import QLabeledSlider

from napari_prts.errors import PrtsError
from napari_prts.viewer.expression_view import Painting, is_simulated
from napari_prts.viewer.painting import COLORMAPS
from napari_prts.widgets._gene_list import GeneList
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button, folded

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import Agreement
    from napari_prts.jobs import Job
    from napari_prts.study import Study


class ExplorePanel(Panel):
    """Picks what is painted and how."""

    tag = "explore"

    def build(self, column: QVBoxLayout) -> None:
        """Add the panel's controls."""
        self.genes = GeneList()
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.side_by_side = QCheckBox("Measured left, predicted right")
        self.side_by_side.setChecked(True)
        self.side_by_side.setToolTip("Two canvases with linked cameras; off: one over the other")
        self.cluster_button = button(
            "Clusters", "Group cells by expression (Leiden) and paint them"
        )
        self.clear_button = button("H&&E only", "Take the painting away")
        self.fade = QLabeledSlider(Qt.Orientation.Horizontal)
        self.fade.setRange(0, 100)
        self.fade.setValue(45)
        self.fade.setToolTip("How far the H&E steps back behind the colours, in per cent")
        row = QHBoxLayout()
        row.addWidget(self.cluster_button)
        row.addWidget(self.clear_button)
        form = QFormLayout()
        form.addRow("Fade H&&E", self.fade)
        column.addWidget(self.genes, 1)
        column.addWidget(self.facts)
        column.addWidget(self.side_by_side)
        column.addLayout(form)
        column.addLayout(row)
        column.addWidget(self._build_advanced())
        self._gene: str | None = None
        self._agreement: Agreement | None = None
        self._connect()

    def _build_advanced(self) -> Any:
        section, _, layout = folded("Advanced")
        self.colormap = QComboBox()
        self.colormap.addItems(COLORMAPS)
        self.colormap.setToolTip("Colours from low to high; zeros are a faint grey")
        self.shared = QCheckBox("Same colour limits on both sides")
        self.shared.setChecked(True)
        self.dot_size = QDoubleSpinBox()
        self.dot_size.setRange(1.0, 50.0)
        self.dot_size.setValue(9.0)
        self.dot_size.setSuffix(" um")
        self.dot_size.setToolTip("Diameter of a cell's dot")
        self.resolution = QDoubleSpinBox()
        self.resolution.setRange(0.05, 5.0)
        self.resolution.setSingleStep(0.1)
        self.resolution.setValue(0.6)
        self.resolution.setToolTip("Higher gives more clusters; the paper uses 0.6")
        form = QFormLayout()
        form.addRow("Colours", self.colormap)
        form.addRow("Dot size", self.dot_size)
        form.addRow("Cluster resolution", self.resolution)
        layout.addLayout(form)
        layout.addWidget(self.shared)
        return section

    def _connect(self) -> None:
        self.genes.picked.connect(self.paint_gene)
        self.cluster_button.clicked.connect(self.cluster)
        self.clear_button.clicked.connect(self.clear)
        self.side_by_side.toggled.connect(self._again)
        self.shared.toggled.connect(self._again)
        self.fade.valueChanged.connect(self._again)
        self.dot_size.valueChanged.connect(self._again)
        self.colormap.currentTextChanged.connect(self._again)

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self._on_tables)
        self.links.connect(study.measured_changed, self._on_tables)
        self.links.connect(study.clusters_changed, self.refresh)
        self.links.connect(study.arriving_changed, self._on_tables)

    def _on_tables(self) -> None:
        self._agreement = None
        self.refresh()

    def refresh(self) -> None:
        """Show the genes and what is painted."""
        study = self.study
        tables = [] if study is None else [study.predicted, study.measured]
        known = [table for table in tables if table is not None]
        arriving = study.arriving if study is not None else None
        names = [list(table.var_names) for table in known]
        names += [list(arriving.genes)] if arriving is not None else []
        self.genes.set_names(gene_names(names))
        self.genes.setEnabled(bool(names))
        self.cluster_button.setEnabled(bool(known))
        self.state.setText(self._words(study, bool(names)))
        self.facts.setText(self._facts())

    def _words(self, study: Study | None, known: bool) -> str:
        if study is None:
            return "Open a slide first."
        if not known:
            return "Nothing to show yet: predict, or open a Visium HD folder (Predict panel)."
        return f"{len(self.genes.names):,} genes. Type one, Enter paints it."

    def _facts(self) -> str:
        study = self.study
        if study is None or self._gene is None:
            return ""
        if study.predicted is None or study.measured is None:
            return self._gene
        scores = self._scores(study).get(self._gene)
        if scores is None or scores.get("pcc") is None:
            return f"{self._gene}: cannot be scored here"
        agreement = self._agreement
        where = agreement.cells_scored if agreement is not None else ""
        word = "simulated" if is_simulated(study.measured, "measured") else "measured"
        return f"{self._gene}: predicted and {word} agree with PCC {scores['pcc']:.2f} ({where})"

    def _scores(self, study: Study) -> dict[str, dict[str, Any]]:
        if self._agreement is None:
            try:
                self._agreement = study.agreement()
            except PrtsError:
                return {}
        scores: dict[str, dict[str, Any]] = self._agreement.as_dict()["per_gene"]
        return scores

    def painting(self, gene: str | None) -> Painting:
        """Collect the controls into what the view wants to know."""
        return Painting(
            gene=gene,
            colormap=self.colormap.currentText(),
            shared_limits=self.shared.isChecked(),
            size_um=self.dot_size.value(),
            slide_opacity=1 - self.fade.value() / 100,
            side_by_side=self.side_by_side.isChecked(),
        )

    def paint_gene(self, gene: str) -> None:
        """Paint a gene on every side that has it."""
        if self.session.view is None:
            return
        self._gene = gene
        self.session.view.expression.paint(self.painting(gene))
        self.refresh()

    def cluster(self) -> None:
        """Cluster predicted and measured cells in the background, then paint the clusters."""
        study, view = self.study, self.session.view
        if study is None or view is None:
            return
        resolution = self.resolution.value()
        sides = [s for s in ("measured", "predicted") if getattr(study, s) is not None]

        def make() -> Job[dict[str, AnnData]]:
            from napari_prts.analysis import ClusterRequest, cluster

            found = {}
            for side in sides:
                request = ClusterRequest(resolution=resolution)
                found[side] = yield from cluster(study.expression(side), request)
            return found

        def done(found: dict[str, AnnData]) -> None:
            for side, clustered in found.items():
                study.set_clusters(side, clustered)
            self._gene = None
            view.expression.paint(self.painting(None))
            self.refresh()

        self.session.jobs.submit(Task(self.tag, "Clustering", make, done))

    def clear(self) -> None:
        """Show the H&E alone."""
        self._gene = None
        if self.session.view is not None:
            self.session.view.expression.clear()
        self.refresh()

    def _again(self, *_: Any) -> None:
        view = self.session.view
        if view is None:
            return
        shown = view.expression.painting
        # What a prediction is painted as when nothing was chosen yet.
        view.expression.arriving_painting = replace(self.painting(None), total=True)
        if shown is not None:
            view.expression.paint(replace(self.painting(shown.gene), total=shown.total))


def gene_names(tables: list[list[str]]) -> list[str]:
    """Genes of tables: those in all of them first, then the others, each in order."""
    if not tables:
        return []
    sets = [set(names) for names in tables]
    shared = sorted(set.intersection(*sets))
    return shared + sorted(set.union(*sets) - set(shared))
