"""Type to find a gene: thousands of names, keyboard only if one likes."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QObject, QSortFilterProxyModel, QStringListModel, Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QLineEdit, QListView, QVBoxLayout, QWidget


class GeneList(QWidget):
    """A search line over a list of genes.

    Typing filters; names that begin with what was typed come first. Up and
    Down move, Enter or a click picks.

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
        self.search.setToolTip("Type to search; Up and Down move, Enter paints")
        self.view = QListView()
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setUniformItemSizes(True)
        self.view.setMinimumHeight(110)
        self._names: tuple[str, ...] = ()
        self._model = QStringListModel(self)
        self._filter = _StartsFirst(self)
        self._filter.setSourceModel(self._model)
        self._filter.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view.setModel(self._filter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addWidget(self.view)
        self.search.textChanged.connect(self._on_text)
        self.search.returnPressed.connect(self._pick_current)
        self.search.installEventFilter(self)
        self.view.clicked.connect(lambda index: self.picked.emit(index.data()))
        self.view.activated.connect(lambda index: self.picked.emit(index.data()))

    @property
    def names(self) -> tuple[str, ...]:
        """All genes."""
        return self._names

    def set_names(self, names: Sequence[str]) -> None:
        """Set the genes, keeping the search if they are the same."""
        if tuple(names) != self._names:
            self._names = tuple(names)
            self._model.setStringList(list(names))
            self._on_text(self.search.text())

    def shown(self) -> list[str]:
        """Genes that match the search, best first."""
        rows = range(self._filter.rowCount())
        return [str(self._filter.index(row, 0).data()) for row in rows]

    def _on_text(self, text: str) -> None:
        self._filter.look_for(text.strip())
        if self._filter.rowCount():
            self.view.setCurrentIndex(self._filter.index(0, 0))

    def _pick_current(self) -> None:
        index = self.view.currentIndex()
        if index.isValid():
            self.picked.emit(str(index.data()))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let Up and Down in the search line move through the list."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
            if step is not None:
                row = self.view.currentIndex().row() + step
                if 0 <= row < self._filter.rowCount():
                    self.view.setCurrentIndex(self._filter.index(row, 0))
                return True
        return bool(super().eventFilter(watched, event))


class _StartsFirst(QSortFilterProxyModel):
    """Filters by what a name contains, sorts those that begin with it first."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._text = ""

    def look_for(self, text: str) -> None:
        self._text = text.lower()
        self.setFilterFixedString(text)
        self.invalidate()
        self.sort(0)

    def lessThan(self, left: object, right: object) -> bool:
        return self._rank(left.data()) < self._rank(right.data())  # type: ignore[attr-defined]

    def _rank(self, name: str) -> tuple[bool, str]:
        return (not name.lower().startswith(self._text), name.lower())
