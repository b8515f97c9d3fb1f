"""The clusters as a list: colour, name, cells on each side; hidden, renamed, chosen by a click."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qtpy.QtCore import Qt, QTimer
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QIcon, QPalette, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_prts.study.group_tables import LegendRow

_NAME = Qt.ItemDataRole.UserRole
_SWATCH = 12
_TOOLTIP = (
    "Click a name to choose the cluster's cells, a number for those of one side alone; "
    "double-click a name to change it (two of one name become one, until clusters are found "
    "again); take the tick away to hide it on the canvas"
)


class ClusterLegend(QTreeWidget):
    """One row a cluster.

    Attributes
    ----------
    picked : qtpy.QtCore.Signal
        Emitted with the name of a cluster that was clicked, and the side, ``""`` for both.
    renamed : qtpy.QtCore.Signal
        Emitted with the old and the new name.
    hidden : qtpy.QtCore.Signal
        Emitted with the list of names that are not to be painted.
    """

    picked = QtSignal(str, str)
    renamed = QtSignal(str, str)
    hidden = QtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setToolTip(_TOOLTIP)
        self.setMinimumHeight(130)
        self.setHeaderLabels(["Cluster"])
        self._sides: tuple[str, ...] = ()
        self._shown: tuple[tuple[LegendRow, ...], dict[str, str]] = (), {}
        self._hidden: list[str] = []
        self._toggled = False
        # What is asked for shows other rows, and Qt is still busy with the one clicked.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._tell)
        self._to_tell: list[Callable[[], None]] = []
        self.itemClicked.connect(self._on_clicked)
        self.itemDoubleClicked.connect(self._on_double_clicked)
        self.itemChanged.connect(self._on_changed)

    def show_rows(self, rows: Sequence[LegendRow], words: Mapping[str, str]) -> None:
        """Show clusters.

        Parameters
        ----------
        rows : sequence of LegendRow
            The clusters.
        words : mapping of str
            What the sides are called: predicted, measured or simulated.
        """
        # Nothing is built anew under the hand that edits a name.
        if self._shown == (tuple(rows), dict(words)):
            return
        self._shown = tuple(rows), dict(words)
        chosen = self.currentItem()
        before = chosen.data(0, _NAME) if chosen is not None else None
        bar, header = self.verticalScrollBar(), self.header()
        assert bar is not None
        assert header is not None
        place = bar.value()
        self._sides = tuple(words)
        blocked = self.blockSignals(True)
        self.clear()
        self.setHeaderLabels(["Cluster", *(word.capitalize() for word in words.values())])
        for row in rows:
            item = self._item(row)
            self.addTopLevelItem(item)
            if row.name == before:
                self.setCurrentItem(item)
        self._hidden = self._unticked()
        self.blockSignals(blocked)
        header.setStretchLastSection(False)
        for column in range(self.columnCount()):
            fit, stretch = QHeaderView.ResizeMode.ResizeToContents, QHeaderView.ResizeMode.Stretch
            header.setSectionResizeMode(column, fit if column else stretch)
        bar.setValue(place)

    def names(self) -> list[str]:
        """Names of the clusters, as listed."""
        return [str(item.data(0, _NAME)) for item in self._items()]

    def item_of(self, name: str) -> QTreeWidgetItem:
        """Return the row of a cluster."""
        return next(item for item in self._items() if item.data(0, _NAME) == name)

    def _items(self) -> list[QTreeWidgetItem]:
        items = (self.topLevelItem(row) for row in range(self.topLevelItemCount()))
        return [item for item in items if item is not None]

    def _item(self, row: LegendRow) -> QTreeWidgetItem:
        counts = [_words(row.cells[side], row.share[side]) for side in self._sides]
        item = QTreeWidgetItem([row.name, *counts])
        item.setData(0, _NAME, row.name)
        item.setIcon(0, _swatch(row.colour))
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEditable)
        shown = Qt.CheckState.Unchecked if row.hidden else Qt.CheckState.Checked
        item.setCheckState(0, shown)
        faint = self.palette().brush(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        for column, side in enumerate(self._sides, 1):
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
            if side in row.small:
                item.setForeground(column, faint)
                item.setToolTip(column, "Grey on the canvas: the paper removes so few cells")
        if row.small and len(row.small) == sum(count > 0 for count in row.cells.values()):
            item.setForeground(0, faint)
        return item

    def _on_clicked(self, item: QTreeWidgetItem, column: int) -> None:
        # Qt tells a click on a tick as a click on the row, too.
        if self._toggled:
            return
        name, side = str(item.data(0, _NAME)), self._sides[column - 1] if column else ""
        self._soon(lambda: self.picked.emit(name, side))

    def _on_double_clicked(self, item: QTreeWidgetItem, column: int) -> None:
        # Only names can be changed, not numbers of cells.
        if column == 0:
            self.editItem(item, 0)

    def _on_changed(self, item: QTreeWidgetItem, column: int) -> None:
        if column:
            return
        old, new = str(item.data(0, _NAME)), item.text(0).strip()
        hidden = self._unticked()
        if hidden != self._hidden:
            self._toggled, self._hidden = True, hidden
            self._soon(lambda: self.hidden.emit(hidden))
        elif not new:
            item.setText(0, old)
        elif new != old:
            self._soon(lambda: self.renamed.emit(old, new))

    def _unticked(self) -> list[str]:
        ticked = Qt.CheckState.Checked
        return [str(i.data(0, _NAME)) for i in self._items() if i.checkState(0) != ticked]

    def _soon(self, tell: Callable[[], None]) -> None:
        self._to_tell.append(tell)
        self._later.start(0)

    def _tell(self) -> None:
        # The click on a tick has been heard by now; the next one is on a name.
        self._toggled = False
        tell, self._to_tell = self._to_tell, []
        for each in tell:
            each()


def _words(cells: int, share: float) -> str:
    if not cells:
        return "none"
    return f"{cells:,} ({100 * share:.0f} %)" if share >= 0.01 else f"{cells:,} (<1 %)"


def _swatch(colour: str) -> QIcon:
    pixels = QPixmap(_SWATCH, _SWATCH)
    pixels.fill(QColor(colour))
    return QIcon(pixels)
