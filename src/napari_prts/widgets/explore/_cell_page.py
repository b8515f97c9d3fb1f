"""Explore, Cell: what is known of one cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_prts.widgets._jobs import JobRunner, Task
from napari_prts.widgets._panel import Panel
from napari_prts.widgets.explore._cell_facts import Means, cell_words, gene_columns, gene_means
from napari_prts.widgets.explore._figures import SIDES
from napari_prts.widgets.explore._gene_table import GeneTable
from napari_prts.widgets.explore._hover import Hover
from napari_prts.widgets.explore._tile_picture import (
    CellTile,
    TilePicture,
    close_sight,
    model_sight,
    read_tile,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.jobs import Job
    from napari_prts.study import Study


class CellPage(Panel):
    """Shows the cell that was clicked.

    Attributes
    ----------
    cell : int or None
        Id of its nucleus.
    hover : Hover
        Follows the mouse over the canvas.
    asking : JobRunner
        Reads tiles, beside the session's jobs: nobody waits for a prediction to see a cell.
    """

    tag = "cell"
    script_does = "takes what is known of this cell"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.cell: int | None = None
        self._means: tuple[AnnData, Means] | None = None
        self._shown: tuple[object, ...] = ()
        self.asking = JobRunner()
        self.hover = Hover(self.session, self)
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.near = TilePicture("The nucleus and its nearest neighbours")
        self.tile = TilePicture("The square of tissue that the model looks at to predict this cell")
        self.pictures = QWidget()
        row = QHBoxLayout(self.pictures)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.near)
        row.addWidget(self.tile)
        row.addStretch(1)
        self.genes = GeneTable()
        column.addWidget(self.facts)
        column.addWidget(self.pictures)
        column.addWidget(self.genes, 1000)
        self.genes.picked.connect(self.session.brush.paint_gene)
        self.links.connect(self.hover.clicked, self._on_clicked)
        # A method of this widget would no longer be called once it is deleted.
        self.destroyed.connect(self.asking.shut_down)

    def listen(self, study: Study) -> None:
        """Follow what is chosen, the nuclei and the tables."""
        for signal in (
            study.predicted_changed,
            study.measured_changed,
            study.clusters_changed,
            study.nuclei_changed,
        ):
            self.links.connect(signal, self.refresh)
        self.links.connect(study.chosen_changed, self._on_chosen)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show what came while nobody looked."""
        super().showEvent(event)
        self.refresh()

    def open_cell(self, id_: int) -> None:
        """Show a cell, mark it on the canvas and bring this page to the front.

        The page comes to the front of Explore; a panel in front of Explore stays there.

        Parameters
        ----------
        id_ : int
            Of its nucleus.
        """
        if self.study is None:
            return
        self.cell = id_
        self.study.choose([id_])
        pages = self._pages()
        if pages is not None:
            pages.setCurrentWidget(self)
        self.refresh()

    def _on_clicked(self, id_: int) -> None:
        """Who is in another panel, correcting nuclei say, does not ask for a cell."""
        pages, window = self._pages(), self.window()
        if pages is None or window is None or pages.isVisibleTo(window):
            self.open_cell(id_)

    def _pages(self) -> QTabWidget | None:
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QTabWidget):
            parent = parent.parentWidget()
        return parent

    def _on_chosen(self) -> None:
        study = self.study
        if study is not None and len(study.chosen) == 1:
            self.cell = int(study.chosen[0])
            self.refresh()

    def refresh(self) -> None:
        """Show the cell as it is now."""
        study, lookup = self.study, self.hover.lookup
        gone = lookup is None or self.cell is None or lookup.nucleus(self.cell) is None
        self.cell = None if gone else self.cell
        known = self.cell is not None
        for widget in (self.facts, self.pictures, self.genes):
            widget.setVisible(known)
        self.state.setText(self._ask_for(study))
        self.state.setVisible(not known)
        if self.cell is None or study is None or lookup is None or not self.isVisible():
            return
        self.facts.setText(cell_words(lookup, self.cell))
        self._show_tiles(study)
        self._show_genes(study)

    def as_python(self) -> str:
        """Write how to look the cell up as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, with_cells
        from napari_prts.study.recipe_exploring import cell_lines

        return script(*with_cells(self.study), *cell_lines(self.study, self.cell))

    def _ask_for(self, study: Study | None) -> str:
        if study is None:
            return "Open a slide first."
        if not len(study.nuclei):
            return "No cells yet: find nuclei first (Nuclei panel)."
        return "Click a cell on the slide to see what is known of it."

    def _show_genes(self, study: Study) -> None:
        lookup = self.hover.lookup
        assert lookup is not None
        assert self.cell is not None
        side = next(
            (side for side in SIDES if lookup.row(getattr(study, side), self.cell) is not None),
            None,
        )
        table: AnnData | None = None if side is None else getattr(study, side)
        means = None
        if table is not None and self._means is not None and self._means[0] is table:
            means = self._means[1]
        genes, columns, by = gene_columns(lookup, self.cell, means)
        self.genes.set_table(genes, columns, by=by)
        self.genes.setVisible(bool(genes))
        if side is not None and table is not None and means is None:
            self._ask_means(study, side, table)

    def _ask_means(self, study: Study, side: str, table: AnnData) -> None:
        def make() -> Job[Means]:
            return side, gene_means(table)
            yield

        def done(means: Means) -> None:
            if self.study is study and getattr(study, side) is table:
                self._means = table, means
                self.refresh()

        if not self.asking.busy("means"):
            self.asking.submit(Task("means", "Averaging genes", make, done))

    def _show_tiles(self, study: Study) -> None:
        lookup, cell = self.hover.lookup, self.cell
        assert lookup is not None
        place = None if cell is None else lookup.nucleus(cell)
        if cell is None or place is None:
            return
        sights = (close_sight(study.slide), model_sight(study))
        polygon, slide = study.nuclei.polygon(place), study.slide
        wanted = (slide.fingerprint, slide.mpp, cell, sights, np.asarray(polygon).tobytes())
        if wanted == self._shown:
            return
        self._shown = wanted

        def make() -> Job[list[CellTile]]:
            return [read_tile(slide, polygon, sight) for sight in sights]
            yield

        def done(tiles: list[CellTile]) -> None:
            if self.study is study and self._shown == wanted:
                for widget, tile in zip((self.near, self.tile), tiles, strict=True):
                    widget.show_tile(tile)

        # Of cells that are clicked in quick succession only the last is looked at.
        self.asking.cancel("tile")
        self.asking.submit(Task("tile", "Reading the cell's tile", make, done))
