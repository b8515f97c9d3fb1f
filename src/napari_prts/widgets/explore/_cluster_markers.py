"""Marker genes of each cluster, as a list that paints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_prts.study.group_tables import labels_of
from napari_prts.widgets._panel import button

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.analysis import Marker

# The paper scores and draws the five strongest markers of a cluster.
SHOWN = 5
_HEIGHT = 210


@dataclass(frozen=True, eq=False)
class FoundMarkers:
    """Markers that stay true when clusters are only renamed or hidden.

    Parameters
    ----------
    codes : ndarray of int, shape (cells,)
        Clusters that they were found for.
    markers : tuple
        Of each cluster, by its code.
    """

    codes: NDArray[np.integer]
    markers: tuple[tuple[Marker, ...], ...]

    @classmethod
    def of(cls, table: AnnData, found: Mapping[str, tuple[Marker, ...]]) -> FoundMarkers:
        """Keep what was found for a table's clusters."""
        return cls(labels_of(table).cat.codes.to_numpy(), tuple(found.values()))

    def named(self, table: AnnData) -> dict[str, tuple[Marker, ...]] | None:
        """Return them by the clusters' names of now; None if the clusters are others."""
        labels = labels_of(table).cat
        if not np.array_equal(labels.codes.to_numpy(), self.codes):
            return None
        return dict(zip(map(str, labels.categories), self.markers, strict=True))


class MarkerList(QWidget):
    """A choice of the side, a button, and the strongest genes of each cluster.

    Attributes
    ----------
    asked : qtpy.QtCore.Signal
        Emitted with the side whose markers are to be found.
    gene_picked : qtpy.QtCore.Signal
        Emitted with a gene's name.
    """

    asked = QtSignal(str)
    gene_picked = QtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.side = QComboBox()
        self.side.setToolTip("By which expression clusters are compared")
        self.find_button = button(
            "Find markers",
            "Find the genes that are highest in each cluster (Wilcoxon, as in the paper)",
        )
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Gene", "log2 change", "z"])
        self.tree.setToolTip(f"The {SHOWN} strongest genes of each cluster; a click paints one")
        self.tree.setFixedHeight(_HEIGHT)
        self.tree.setVisible(False)
        header = self.tree.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        row = QHBoxLayout()
        row.addWidget(self.side, 1)
        row.addWidget(self.find_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.tree)
        self.find_button.clicked.connect(self._on_find)
        self.tree.itemClicked.connect(self._on_clicked)

    def offer(self, words: Mapping[str, str]) -> None:
        """Let a side be chosen, by the words for it."""
        fill(self.side, words)
        self.find_button.setEnabled(bool(words))

    def show_markers(self, markers: Mapping[str, tuple[Marker, ...]] | None) -> None:
        """Show the strongest of each cluster; None shows nothing."""
        self.tree.clear()
        self.tree.setVisible(markers is not None)
        for name, found in (markers or {}).items():
            words = f"Cluster {name}" if name.isdigit() else name
            parent = QTreeWidgetItem([words if found else f"{words}: none"])
            self.tree.addTopLevelItem(parent)
            parent.setFirstColumnSpanned(True)
            for marker in found[:SHOWN]:
                parent.addChild(_gene_row(marker))
            parent.setExpanded(True)

    def _on_find(self) -> None:
        self.asked.emit(str(self.side.currentData()))

    def _on_clicked(self, item: QTreeWidgetItem, _: int) -> None:
        if item.parent() is not None:
            self.gene_picked.emit(item.text(0))


def fill(combo: QComboBox, words: Mapping[str, str]) -> None:
    """Offer the sides in a combo box, keeping the choice if it is still there."""
    now = [(combo.itemData(row), combo.itemText(row)) for row in range(combo.count())]
    wanted = [(side, word.capitalize()) for side, word in words.items()]
    if now == wanted:
        return
    before, blocked = combo.currentData(), combo.blockSignals(True)
    combo.clear()
    for side, word in wanted:
        combo.addItem(word, side)
    combo.setCurrentIndex(max(combo.findData(before), 0) if wanted else -1)
    combo.blockSignals(blocked)


def _gene_row(marker: Marker) -> QTreeWidgetItem:
    change = f"{marker.log2_change:.1f}" if np.isfinite(marker.log2_change) else "only here"
    item = QTreeWidgetItem([marker.gene, change, f"{marker.score:.1f}"])
    item.setToolTip(0, f"Adjusted p = {marker.p_adjusted:.2g}. Click to paint {marker.gene}.")
    for column in (1, 2):
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
    return item
