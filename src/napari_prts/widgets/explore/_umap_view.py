"""The UMAP of a study's cells: coloured by cluster or gene, lassoed, lit up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_prts.widgets._links import Links
from napari_prts.widgets.explore._cluster_markers import fill
from napari_prts.widgets.explore._lasso_plot import LassoPlot
from napari_prts.widgets.explore._umap_colours import (
    UmapCells,
    cluster_colours,
    gene_colours,
    laid_out,
    side_words,
    title,
    words_of,
)

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session

_CLUSTERS, _GENE = "clusters", "gene"


class UmapView(QWidget):
    """A plot of cells that are alike, with a choice of the side and of the colours.

    Parameters
    ----------
    session : Session
        Whose study, brush and choice of cells.
    with_side : bool
        Whether the side is chosen here; otherwise by :meth:`show_side`.
    """

    def __init__(
        self, session: Session, with_side: bool = True, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._with_side = with_side
        self._side = ""
        self._session = session
        self._cells: UmapCells | None = None
        self._listened: Study | None = None
        self._stale = True
        self.side = QComboBox()
        self.side.setToolTip("Whose cells are shown")
        self.colour = QComboBox()
        self.colour.addItem("Clusters", _CLUSTERS)
        self.colour.addItem("Painted gene", _GENE)
        self.colour.setToolTip("What the colours show: clusters, or the gene painted on the canvas")
        self.plot = LassoPlot(session.viewer)
        self.plot.setToolTip(
            "Each dot is a cell; those alike lie together. Drag around cells to choose them, "
            "here and on the canvas; a click chooses none"
        )
        self.empty = QLabel("No UMAP of these cells yet: find clusters, then press UMAP.")
        self.empty.setWordWrap(True)
        self._build()
        self._links = Links(self)
        self._links.connect(session.study_changed, self._on_study)
        self._links.connect(session.brush.changed, self._on_brush)
        self._on_study()

    def _build(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.side, 1)
        row.addWidget(self.colour, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.empty)
        layout.addWidget(self.plot, 1)
        self.side.currentIndexChanged.connect(self._draw)
        self.colour.currentIndexChanged.connect(self._draw)
        self.plot.lassoed.connect(self._on_lasso)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what has changed while nobody saw it."""
        super().showEvent(event)
        if self._stale:
            self.refresh()

    def refresh(self) -> None:
        """Show the study's UMAP as it is now; later, if it cannot be seen."""
        study = self._session.study
        self._stale = not self.isVisible()
        if self._stale:
            return
        shown = {} if study is None else laid_out(study)
        words = {} if study is None else side_words(study)
        fill(self.side, {side: words_of(side, words) for side in shown})
        there = bool(shown) if self._with_side else self._side in shown
        self.empty.setVisible(not there)
        self.side.setVisible(there and self._with_side)
        self.colour.setVisible(there)
        self.plot.setVisible(there)
        self._draw()

    def show_side(self, side: str) -> None:
        """Show a side, ``"predicted"``, ``"measured"`` or ``"together"``, if it is laid out."""
        self._side = side
        self.side.setCurrentIndex(max(self.side.findData(side), 0))
        self.refresh()

    def _draw(self) -> None:
        study = self._session.study
        shown = {} if study is None else laid_out(study)
        side = self.side.currentData() if self._with_side else self._side
        self._cells = None
        if study is None or side not in shown:
            return
        cells = self._cells = shown[side]
        painting = self._session.brush.painting
        by_gene = self.colour.currentData() == _GENE
        if by_gene and painting is not None and painting.gene is not None:
            colours = gene_colours(study, cells, painting)
            words = title(study, cells, painting)
        else:
            colours, words = cluster_colours(cells), title(study, cells, None)
            words += ": no gene is painted" if by_gene else ""
        self.plot.set_points(cells.places, colours, title=words)
        self._light_up()

    def _light_up(self) -> None:
        study = self._session.study
        if self._cells is not None and study is not None:
            self.plot.set_chosen(self._chosen(study, self._cells))

    def _chosen(self, study: Study, cells: UmapCells) -> NDArray[np.bool_] | None:
        return np.isin(cells.ids, study.chosen) if len(study.chosen) else None

    def _on_lasso(self, mask: NDArray[np.bool_]) -> None:
        study = self._session.study
        if study is not None and self._cells is not None:
            study.choose(self._cells.ids[mask])

    def _on_study(self) -> None:
        study = self._session.study
        if study is not None and study is not self._listened:
            self._listened = study
            self._links.connect(study.clusters_changed, self.refresh)
            self._links.connect(study.predicted_changed, self.refresh)
            self._links.connect(study.measured_changed, self.refresh)
            self._links.connect(study.chosen_changed, self._on_chosen)
        self.refresh()

    def _on_chosen(self) -> None:
        if not self._stale:
            self._light_up()

    def _on_brush(self) -> None:
        if self.colour.currentData() == _GENE:
            self.refresh()
