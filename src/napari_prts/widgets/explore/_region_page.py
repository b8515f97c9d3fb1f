"""Explore, Region: what is known of the cells in a region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QLabel, QTabWidget, QVBoxLayout

from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button
from napari_prts.widgets._tables import Tables
from napari_prts.widgets.explore._differing_genes import DifferingPage
from napari_prts.widgets.explore._figures import side_word
from napari_prts.widgets.explore._gene_table import GeneTable
from napari_prts.widgets.explore._lasso_plot import LassoPlot
from napari_prts.widgets.explore._region_source import RegionSource
from napari_prts.widgets.explore._region_words import answer_columns, answer_words

if TYPE_CHECKING:
    from napari_prts.analysis import Paired, Region, RegionAnswer
    from napari_prts.jobs import Job
    from napari_prts.study import Study


class RegionPage(Panel):
    """Asks a region, and shows the answer as words, a scatter of genes and tables.

    Attributes
    ----------
    region : Region or None
        What was asked last.
    answer : RegionAnswer or None
        What is shown.
    """

    tag = "region"
    script_does = "asks these cells again"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.region: Region | None = None
        self.answer: RegionAnswer | None = None
        self._of = Tables()
        self._paired: tuple[Tables, Paired] | None = None
        self.source = RegionSource(self.session)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.scatter = LassoPlot(self.session.viewer)
        self.genes = GeneTable()
        self.differing = DifferingPage(self.session, self.tag)
        self.save_button = button("Save table...", "Write the genes that are shown to a CSV")
        self.pages = QTabWidget()
        for name, page, tooltip in (
            ("Scatter", self.scatter, "Mean of each gene, predicted against measured"),
            ("Genes", self.genes, "Mean of each gene in the region"),
            ("Differs", self.differing, "Genes in which the region differs most from the rest"),
        ):
            self.pages.setTabToolTip(self.pages.addTab(page, name), tooltip)
        column.addWidget(self.source)
        column.addWidget(self.words)
        column.addWidget(self.pages, 1000)
        column.addWidget(self.save_button)
        self._connect()

    def _connect(self) -> None:
        self.source.made.connect(self.ask)
        self.genes.picked.connect(self.session.brush.paint_gene)
        self.differing.genes.picked.connect(self.session.brush.paint_gene)
        self.scatter.clicked.connect(self._on_point)
        self.scatter.lassoed.connect(self._on_lassoed)
        self.save_button.clicked.connect(self._on_save)

    def listen(self, study: Study) -> None:
        """Follow the tables, the clusters and what is chosen."""
        for signal in (
            study.predicted_changed,
            study.measured_changed,
            study.clusters_changed,
        ):
            self.links.connect(signal, self.refresh)
        self.links.connect(study.chosen_changed, self.source.refresh)

    def refresh(self) -> None:
        """Show what can be asked, and forget an answer that other tables gave."""
        study = self.study
        tables, before = Tables.of(study), self._of
        self._of = tables
        if not tables.same(before) and (self.answer is not None or self._paired is not None):
            self._paired = None
            self._show(None)
            return
        known = tables.some
        self.source.setEnabled(known)
        self.source.refresh()
        self.state.setText(self._ask_for(study, known))
        self.state.setVisible(self.answer is None)
        for widget in (self.words, self.pages, self.save_button):
            widget.setVisible(self.answer is not None)

    def _ask_for(self, study: Study | None, known: bool) -> str:
        if study is None:
            return "Open a slide first."
        if not known:
            return "Nothing to ask yet: predict, or open a Visium HD folder (Predict panel)."
        return (
            "Which cells? Draw around them, or take those in view, those lit up in a plot, or a "
            "cluster."
        )

    def ask(self, region: Region) -> None:
        """Choose a region's cells, and ask of them in the background.

        Parameters
        ----------
        region : Region
            Which cells.
        """
        study = self.study
        if study is None:
            return
        self.region = region
        study.choose(region.ids)
        tables, kept = Tables.of(study), self._paired

        def make() -> Job[tuple[Paired, RegionAnswer]]:
            from napari_prts.analysis import ask_region, pair

            if kept is not None and tables.same(kept[0]):
                paired = kept[1]
            else:
                paired = pair(tables.predicted, tables.measured)
            return paired, (yield from ask_region(paired, region))

        def done(found: tuple[Paired, RegionAnswer]) -> None:
            same = self.study is study and tables.same(Tables.of(study))
            if same and self.region is region:
                self._of, self._paired = tables, (tables, found[0])
                self._show(found[1])

        self.session.jobs.cancel(self.tag)
        self.session.jobs.submit(Task(self.tag, f"Asking {region.name.lower()}", make, done))

    def as_python(self) -> str:
        """Write what was asked last as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, with_cells
        from napari_prts.study.recipe_exploring import ask_line

        return script(*with_cells(self.study), ask_line(self.study, self.region))

    def _show(self, answer: RegionAnswer | None) -> None:
        self.answer = answer
        self.differing.show_region(None if answer is None else self.region)
        if answer is None or self.study is None:
            self.words.setText("")
        else:
            measured = side_word(self.study, "measured")
            self.words.setText(answer_words(answer, measured))
            columns = answer_columns(answer, measured)
            self.genes.set_table(list(answer.genes.index), columns, by=0)
            self._show_scatter(answer, measured)
        self.refresh()

    def _show_scatter(self, answer: RegionAnswer, measured: str) -> None:
        genes = answer.genes
        both = "mean_predicted" in genes and "mean_measured" in genes
        self.pages.setTabVisible(self.pages.indexOf(self.scatter), both)
        if both:
            self.scatter.set_points(
                np.stack([genes["mean_measured"], genes["mean_predicted"]], axis=1),
                None,
                f"{measured} counts per cell",
                "predicted counts per cell",
                names=list(genes.index),
                diagonal=True,
                counts=True,
            )

    def _on_point(self, number: int) -> None:
        if self.answer is not None:
            self.session.brush.paint_gene(str(self.answer.genes.index[number]))

    def _on_lassoed(self, mask: NDArray[np.bool_]) -> None:
        """List the genes inside the lasso; a click beside them lists all again."""
        self.scatter.set_chosen(mask)
        self.genes.show_only(mask if mask.any() else None)
        self.genes.search.clear()
        title = f"Genes ({int(mask.sum()):,} lassoed)" if mask.any() else "Genes"
        self.pages.setTabText(self.pages.indexOf(self.genes), title)
        if mask.any():
            self.pages.setCurrentWidget(self.genes)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save table", "region.csv", "CSV (*.csv)")
        if path:
            self.save(path)

    def save(self, path: Path | str) -> None:
        """Write the answer's genes, or those that differ where they are shown, in the background.

        Parameters
        ----------
        path : path
            Of a CSV file.
        """
        differing = self.differing.found if self.pages.currentWidget() is self.differing else None
        table = differing or self.answer
        if table is None:
            return

        def make() -> Job[Path]:
            return table.to_csv(path)
            yield

        task = Task(self.tag, "Saving table", make, lambda saved: show_info(f"Saved {saved}"))
        self.session.jobs.submit(task)
