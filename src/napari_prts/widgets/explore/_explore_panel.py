"""Explore: genes and clusters over the tissue, predicted beside measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_prts.widgets._session import Session, session_of
from napari_prts.widgets.explore._cell_page import CellPage
from napari_prts.widgets.explore._clusters_page import ClustersPage
from napari_prts.widgets.explore._compare_bar import CompareBar
from napari_prts.widgets.explore._gene_page import GenePage
from napari_prts.widgets.explore._region_page import RegionPage
from napari_prts.widgets.explore._trust_page import TrustPage

if TYPE_CHECKING:
    from napari import Viewer


class ExplorePanel(QWidget):
    """Pages for a gene, a cell, a region, all genes and the clusters.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The window.
    session : Session, optional
        Shared with other panels; the window's own by default.
    """

    def __init__(self, napari_viewer: Viewer, session: Session | None = None) -> None:
        super().__init__()
        self.session = session if session is not None else session_of(napari_viewer)
        self.compare = CompareBar(self.session)
        self.gene = GenePage(napari_viewer, self.session)
        self.cell = CellPage(napari_viewer, self.session)
        self.region = RegionPage(napari_viewer, self.session)
        self.trust = TrustPage(napari_viewer, self.session)
        self.clusters = ClustersPage(napari_viewer, self.session)
        self.pages = QTabWidget()
        for name, page, tooltip in (
            ("Gene", self.gene, "Pick a gene and paint it"),
            ("Cell", self.cell, "What is known of one cell"),
            ("Region", self.region, "What is known of the cells in a region"),
            ("Trust", self.trust, "Which genes are predicted well, and which are not"),
            ("Clusters", self.clusters, "Group cells that are alike"),
        ):
            place = self.pages.addTab(page, name)
            self.pages.setTabToolTip(place, tooltip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.compare)
        layout.addWidget(self.pages, 1)
