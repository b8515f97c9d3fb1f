"""Explore, Gene: pick a gene and paint it, predicted beside measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout
from superqt import QLabeledSlider

from napari_prts.errors import PrtsError
from napari_prts.viewer.expression_view import is_simulated
from napari_prts.viewer.painting import COLORMAPS
from napari_prts.widgets._gene_list import GeneList
from napari_prts.widgets._panel import Panel, folded

if TYPE_CHECKING:
    from napari_prts.analysis import Agreement
    from napari_prts.study import Study


class GenePage(Panel):
    """Picks what is painted and how."""

    tag = "gene"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.genes = GeneList()
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.fade = QLabeledSlider(Qt.Orientation.Horizontal)
        self.fade.setRange(0, 100)
        self.fade.setValue(45)
        self.fade.setToolTip("How far the H&E steps back behind the colours, in per cent")
        form = QFormLayout()
        form.addRow("Fade H&&E", self.fade)
        column.addWidget(self.genes, 1)
        column.addWidget(self.facts)
        column.addLayout(form)
        column.addWidget(self._build_advanced())
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
        form = QFormLayout()
        form.addRow("Colours", self.colormap)
        form.addRow("Dot size", self.dot_size)
        layout.addLayout(form)
        layout.addWidget(self.shared)
        return section

    def _connect(self) -> None:
        self.genes.picked.connect(self.paint_gene)
        self.shared.toggled.connect(self._restyle)
        self.fade.valueChanged.connect(self._restyle)
        self.dot_size.valueChanged.connect(self._restyle)
        self.colormap.currentTextChanged.connect(self._restyle)
        self.links.connect(self.session.brush.changed, self.refresh)

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self._on_tables)
        self.links.connect(study.measured_changed, self._on_tables)
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
        self.state.setText(self._words(study, bool(names)))
        self.facts.setText(self._facts())

    def _words(self, study: Study | None, known: bool) -> str:
        if study is None:
            return "Open a slide first."
        if not known:
            return "Nothing to show yet: predict, or open a Visium HD folder (Predict panel)."
        return f"{len(self.genes.names):,} genes. Type one, Enter paints it."

    def _facts(self) -> str:
        study, gene = self.study, self.session.brush.gene
        if study is None or gene is None:
            return ""
        if study.predicted is None or study.measured is None:
            return gene
        scores = self._scores(study).get(gene)
        if scores is None or scores.get("pcc") is None:
            return f"{gene}: cannot be scored here"
        agreement = self._agreement
        where = agreement.cells_scored if agreement is not None else ""
        word = "simulated" if is_simulated(study.measured, "measured") else "measured"
        return f"{gene}: predicted and {word} agree with PCC {scores['pcc']:.2f} ({where})"

    def _scores(self, study: Study) -> dict[str, dict[str, Any]]:
        if self._agreement is None:
            try:
                self._agreement = study.agreement()
            except PrtsError:
                return {}
        scores: dict[str, dict[str, Any]] = self._agreement.as_dict()["per_gene"]
        return scores

    def paint_gene(self, gene: str) -> None:
        """Paint a gene on every side that has it."""
        self.session.brush.paint_gene(gene)

    def _restyle(self, *_: Any) -> None:
        self.session.brush.restyle(
            colormap=self.colormap.currentText(),
            shared_limits=self.shared.isChecked(),
            size_um=self.dot_size.value(),
            slide_opacity=1 - self.fade.value() / 100,
        )


def gene_names(tables: list[list[str]]) -> list[str]:
    """Genes of tables: those in all of them first, then the others, each in order."""
    if not tables:
        return []
    sets = [set(names) for names in tables]
    shared = sorted(set.intersection(*sets))
    return shared + sorted(set.union(*sets) - set(shared))
