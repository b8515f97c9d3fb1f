"""A table of genes with figures: thousands of rows, sorted and searched at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QObject, QPoint, Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction, QFont, QKeyEvent  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QMenu,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_prts.widgets.explore._figures import number

# Pixels; a column is as wide as its title and values need, and the one that is sorted by has a
# mark too. All of them together fit into a dock of 330 pixels.
_GENE_WIDTH, _PADDING, _MARK = 64, 8, 11
_LEAST_HEIGHT = 120


@dataclass(frozen=True, eq=False)
class Column:
    """Figures of all genes.

    Parameters
    ----------
    title : str
        A word or two; short, for a narrow dock.
    values : ndarray of float, shape (genes,)
        NaN where it is not known: shown empty, and last however it is sorted.
    tooltip : str
        What it is, in a sentence.
    text : callable
        Writes a value.
    name : str
        The title in full, where that is short for something.
    extra : bool
        Not shown until the user asks for it, by a right click on a heading.
    """

    title: str
    values: NDArray[np.floating]
    tooltip: str
    text: Callable[[float], str] = number
    name: str = ""
    extra: bool = False

    @property
    def full_name(self) -> str:
        """What it is called where there is room."""
        return self.name or self.title

    @property
    def ends(self) -> list[str]:
        """The least and the greatest value as they are written; none if none is known."""
        known = self.values[np.isfinite(self.values)]
        return [self.text(float(end)) for end in (known.min(), known.max())] if known.size else []


class GeneTable(QWidget):
    """A search line over a table; a click on a row, or Enter, picks its gene.

    Attributes
    ----------
    picked : qtpy.QtCore.Signal
        Emitted with the gene's name.
    """

    picked = QtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Type a gene")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Type to search; Down goes to the table, Enter paints")
        self.model = GeneModel(self)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setToolTip("Click a gene to paint it, a heading to sort by it")
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setAlternatingRowColors(False)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setMinimumHeight(_LEAST_HEIGHT)
        self._dress_headers()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.search)
        layout.addWidget(self.view)
        self.search.textChanged.connect(self.model.look_for)
        self.search.returnPressed.connect(self._pick_first)
        self.search.installEventFilter(self)
        self.view.clicked.connect(self._on_row)
        self.view.activated.connect(self._on_row)

    def _dress_headers(self) -> None:
        rows, columns = self.view.verticalHeader(), self.view.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.setVisible(False)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 5)
        columns.setStretchLastSection(True)
        columns.setHighlightSections(False)
        columns.setSortIndicatorClearable(False)
        columns.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        columns.customContextMenuRequested.connect(self._on_heading_menu)
        columns.sortIndicatorChanged.connect(lambda *_: self._set_widths())

    def column_menu(self) -> QMenu:
        """Make the menu that shows and hides columns, as a right click on a heading does."""
        menu = QMenu(self)
        for place, column in enumerate(self.model.columns, 1):
            action = QAction(column.full_name, menu)
            action.setCheckable(True)
            action.setChecked(not self.view.isColumnHidden(place))
            action.setToolTip(column.tooltip)
            action.toggled.connect(partial(self._show_column, place))
            menu.addAction(action)
        menu.setToolTipsVisible(True)
        return menu

    def _on_heading_menu(self, place: QPoint) -> None:
        header = self.view.horizontalHeader()
        assert header is not None
        menu = self.column_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(header.mapToGlobal(place))

    def _show_column(self, place: int, on: bool) -> None:
        self.view.setColumnHidden(place, not on)

    def set_table(
        self,
        genes: Sequence[str],
        columns: Sequence[Column],
        by: int = -1,
        ascending: bool = False,
    ) -> None:
        """Show other figures; the order stays if the columns are those before.

        Parameters
        ----------
        genes : sequence of str
            Names, n of them.
        columns : sequence of Column
            Of n values each.
        by : int
            Column by which new columns are sorted; -1 leaves the genes as they are given.
        ascending : bool
            Whether the smallest comes first.
        """
        titles = [column.title for column in columns]
        same = titles == [column.title for column in self.model.columns]
        self.model.set_table(genes, columns)
        if not same:
            down, up = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
            self.view.setSortingEnabled(False)
            header = self.view.horizontalHeader()
            assert header is not None
            header.setSortIndicator(by + 1 if by >= 0 else -1, up if ascending else down)
            self.view.setSortingEnabled(True)
            for place, column in enumerate(columns, 1):
                self.view.setColumnHidden(place, column.extra)
            self._set_widths()

    def _set_widths(self) -> None:
        header = self.view.horizontalHeader()
        assert header is not None
        by = header.sortIndicatorSection()
        self.view.setColumnWidth(0, _GENE_WIDTH)
        for place, column in enumerate(self.model.columns, 1):
            mark = _MARK if place == by else 0
            title = header.fontMetrics().horizontalAdvance(column.title) + mark
            widest = max(map(self.fontMetrics().horizontalAdvance, column.ends), default=0)
            self.view.setColumnWidth(place, max(title, widest) + _PADDING)

    def show_only(self, mask: ArrayLike | None) -> None:
        """Show some of the genes, by a bool mask of shape (n,) in the order given; None all."""
        self.model.show_only(mask)

    def genes(self) -> list[str]:
        """Genes as they are shown, from the top."""
        return self.model.shown()

    def texts(self, column: int) -> list[str]:
        """What is written in a column (0 is the gene), from the top."""
        rows = range(self.model.rowCount())
        return [str(self.model.index(row, column).data()) for row in rows]

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let Down in the search line go to the table."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Down
            and self.model.rowCount()
        ):
            self.view.setFocus()
            self.view.setCurrentIndex(self.model.index(0, 0))
            return True
        return bool(super().eventFilter(watched, event))

    def _pick_first(self) -> None:
        if self.model.rowCount():
            self.view.selectRow(0)
            self._on_row(self.model.index(0, 0))

    def _on_row(self, index: QModelIndex) -> None:
        self.picked.emit(str(index.siblingAtColumn(0).data()))


class GeneModel(QAbstractTableModel):
    """Genes and their figures.

    It sorts and searches itself, whole columns at once: a proxy of Qt's would ask Python for
    each pair of rows.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.columns: Sequence[Column] = ()
        self._genes: NDArray[np.str_] = np.zeros(0, "U1")
        self._lower: NDArray[np.str_] = self._genes
        self._text = ""
        self._only: NDArray[np.bool_] | None = None
        self._by: tuple[int, bool] = (-1, True)
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._italic = QFont()
        self._italic.setItalic(True)

    def set_table(self, genes: Sequence[str], columns: Sequence[Column]) -> None:
        """Show other genes and figures."""
        self.beginResetModel()
        self._genes = np.asarray(list(genes), np.str_) if len(genes) else np.zeros(0, "U1")
        self._lower = np.char.lower(self._genes)
        self.columns, self._only = columns, None
        self._rows = self._found()
        self.endResetModel()

    def look_for(self, text: str) -> None:
        """Show the genes that contain a text, whatever its case."""
        self._text = text.strip().lower()
        self._arrange()

    def show_only(self, mask: ArrayLike | None) -> None:
        """Show some of the genes; see :meth:`GeneTable.show_only`."""
        self._only = None if mask is None else np.asarray(mask, np.bool_)
        self._arrange()

    def shown(self) -> list[str]:
        """Genes from the top."""
        return [str(gene) for gene in self._genes[self._rows]]

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is not known comes last."""
        self._by = (column, order == Qt.SortOrder.AscendingOrder)
        self._arrange()

    def _arrange(self) -> None:
        self.layoutAboutToBeChanged.emit()
        self._rows = self._found()
        self.layoutChanged.emit()

    def _found(self) -> NDArray[np.intp]:
        """Rows that match, in order."""
        match = np.char.find(self._lower, self._text) >= 0
        if self._only is not None:
            match &= self._only
        rows = np.flatnonzero(match)
        column, ascending = self._by
        if column == 0:
            order = np.argsort(self._lower[rows], kind="stable")
            return rows[order if ascending else order[::-1]]
        if not 0 < column <= len(self.columns):
            return rows
        values = np.asarray(self.columns[column - 1].values, np.float64)[rows]
        return rows[np.argsort(values if ascending else -values, kind="stable")]

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Genes that are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """The gene, and its figures."""
        return 0 if parent is not None and parent.isValid() else len(self.columns) + 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell of the table."""
        row, column = int(self._rows[index.row()]), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            if column == 0:
                return str(self._genes[row])
            figures = self.columns[column - 1]
            return figures.text(float(figures.values[row]))
        if role == Qt.ItemDataRole.FontRole and column == 0:
            return self._italic
        if role == Qt.ItemDataRole.TextAlignmentRole and column:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def _about(self, section: int) -> str:
        """What a heading stands for."""
        if section == 0:
            return "Its symbol"
        column = self.columns[section - 1]
        name = column.name[:1].upper() + column.name[1:]
        words = f"{name}: {column.tooltip}" if name else column.tooltip
        return f"{words}\nRight-click for other columns."

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """A column's title, and what it means."""
        if orientation != Qt.Orientation.Horizontal or section > len(self.columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return "Gene" if section == 0 else self.columns[section - 1].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._about(section)
        return None
