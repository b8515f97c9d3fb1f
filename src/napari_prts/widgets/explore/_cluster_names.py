"""Names for clusters from lists of marker genes: a button with a menu, and its job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_prts.analysis.broad_types import MARKERS
from napari_prts.jobs import Job
from napari_prts.widgets.explore._gene_lists_memory import GeneMemory

if TYPE_CHECKING:
    from anndata import AnnData

Lists = Mapping[str, tuple[str, ...]]
_FILES = "Lists of genes (*.txt *.csv *.tsv *.gmt *.grp);;All files (*)"


class NamesButton(QPushButton):
    """Chooses by which lists of genes the clusters are named.

    Attributes
    ----------
    chosen : qtpy.QtCore.Signal
        Emitted with lists of genes by name.
    picked_file : qtpy.QtCore.Signal
        Emitted with the path of a file of lists.
    """

    chosen = QtSignal(object)
    picked_file = QtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText("Name from markers")
        self.setToolTip(
            "Name each cluster by the list of marker genes that it has most of; names can be "
            "changed by a double-click"
        )
        menu = QMenu(self)
        self.broad, self.own = QAction("Broad cell types", menu), QAction("My lists", menu)
        self.file = QAction("From a file…", menu)
        menu.addActions([self.broad, self.own, self.file])
        self.broad.setToolTip(", ".join(MARKERS))
        self.own.setToolTip("The lists that were loaded on the Gene page")
        self.file.setToolTip("A .gmt file, which holds several lists; or text, one gene a line")
        menu.setToolTipsVisible(True)
        self.setMenu(menu)
        menu.aboutToShow.connect(self._on_menu)
        self.broad.triggered.connect(self._on_broad)
        self.own.triggered.connect(self._on_own)
        self.file.triggered.connect(self._ask)

    def _on_menu(self) -> None:
        self.own.setEnabled(bool(GeneMemory().lists))

    def _on_broad(self) -> None:
        self.chosen.emit(MARKERS)

    def _on_own(self) -> None:
        self.chosen.emit(GeneMemory().lists)

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Lists of marker genes", filter=_FILES)
        if path:
            self.picked_file.emit(Path(path))


def names_job(clusters: Mapping[str, AnnData], lists: Lists) -> Job[dict[str, str]]:
    """Name the clusters of all sides.

    A cluster of both sides is named by what is predicted; one that is only measured by what is
    measured.

    Parameters
    ----------
    clusters : mapping of AnnData
        By side.
    lists : mapping of tuple of str
        Genes by the list's name.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    dict of str
        New names by the old ones, all different.

    Raises
    ------
    ExpressionError
        If there are no clusters, or no list has two genes in the tables.
    """
    from napari_prts.analysis import name_clusters

    names: dict[str, str] = {}
    for side in ("predicted", "measured"):
        if side not in clusters:
            continue
        found = yield from name_clusters(clusters[side], lists)
        already = {str(name) for name in _known(clusters, side)}
        for cluster, name in found.names.items():
            if cluster not in already:
                names[cluster] = _free(name, names)
    return names


def _known(clusters: Mapping[str, AnnData], side: str) -> set[str]:
    """Clusters that the side before has."""
    if side == "predicted" or "predicted" not in clusters:
        return set()
    return {str(name) for name in clusters["predicted"].obs["leiden"].unique()}


def _free(name: str, taken: Mapping[str, str]) -> str:
    """A second cluster of a kind stays apart: ``"neuron 2"``."""
    kind, number, free = re.sub(r" \d+$", "", name), 1, name
    while free in taken.values():
        number += 1
        free = f"{kind} {number}"
    return free
