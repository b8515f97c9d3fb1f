"""Genes as the rows of a list: which are here, which are favourites, what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

# Of a row, beside its name: whether it is a favourite, and a few figures.
STAR = int(Qt.ItemDataRole.UserRole) + 1
NOTE = STAR + 1

Where = Callable[[str], str]


class GeneRows(QAbstractListModel):
    """Names of genes; those that are not on the slide cannot be chosen.

    Attributes
    ----------
    names : tuple of str
        The rows.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.names: tuple[str, ...] = ()
        self._where: Where = _everywhere
        self._stars: Collection[str] = ()
        self._notes: Mapping[str, str] = {}

    def show(self, names: Sequence[str]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.names = tuple(names)
        self.endResetModel()

    def say_where(self, where: Where) -> None:
        """Take who tells on which sides a gene is; an empty answer means on none."""
        self._where = where
        self._all_changed()

    def mark(self, stars: Collection[str]) -> None:
        """Mark favourites, given without capitals."""
        self._stars = stars
        self._all_changed()

    def note(self, notes: Mapping[str, str]) -> None:
        """Write a few figures beside genes."""
        self._notes = notes
        self._all_changed()

    def known(self, name: str) -> bool:
        """Whether a gene is on the slide."""
        return bool(self._where(name))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of genes."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Name, figures, star or tooltip of a row."""
        if not index.isValid():
            return None
        name = self.names[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return name
        if role == STAR:
            return name.casefold() in self._stars
        if role == NOTE:
            return self._notes.get(name, "")
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(name)
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let nobody choose what is not there."""
        if index.isValid() and self.known(self.names[index.row()]):
            return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return Qt.ItemFlag.NoItemFlags

    def _tooltip(self, name: str) -> str:
        where = self._where(name)
        if not where:
            return f"{name} is neither predicted nor measured on this slide"
        note = self._notes.get(name)
        return f"{name}: {where}" + (f", PCC {note}" if note else "")

    def _all_changed(self) -> None:
        if self.names:
            self.dataChanged.emit(self.index(0), self.index(len(self.names) - 1))


def _everywhere(_: str) -> str:
    return "here"
