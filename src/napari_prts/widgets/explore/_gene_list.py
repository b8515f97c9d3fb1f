"""Type to find a gene: thousands of names, keyboard only if one likes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QModelIndex, QObject, Qt, QTimer
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QAbstractItemView, QLineEdit, QListView, QVBoxLayout, QWidget

from napari_prts.widgets.explore._gene_delegate import GeneDelegate, star_place
from napari_prts.widgets.explore._gene_rows import GeneRows, Where

if TYPE_CHECKING:
    from napari_prts.analysis import GeneSearch

# More than anyone reads of what a few letters find.
_MOST = 200
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class GeneList(QWidget):
    """A search line over a list of genes.

    Typing finds, best first; only if no name holds what was typed are similar ones shown. Up
    and Down move, Enter or a click picks, Esc clears; a click on the star, or Ctrl+Enter,
    makes a favourite.

    Attributes
    ----------
    picked : qtpy.QtCore.Signal
        Emitted with the gene's name.
    starred : qtpy.QtCore.Signal
        Emitted with the name of a gene whose star was clicked.
    """

    picked = QtSignal(str)
    starred = QtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Type a gene")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip(
            "Type a part of a name; Up and Down move, Enter paints, Esc clears,\n"
            "Ctrl+Enter makes a favourite. Capitals and hyphens do not matter."
        )
        self.view = _GeneView()
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setUniformItemSizes(True)
        self.view.setMinimumHeight(96)
        self._names: tuple[str, ...] = ()
        self._found_in: GeneSearch | None = None
        # Thousands of names take a moment to make ready: before the first key, not at it.
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.timeout.connect(self._make_ready)
        self._rows = GeneRows(self)
        self._delegate = GeneDelegate(self)
        self.view.setModel(self._rows)
        self.view.setItemDelegate(self._delegate)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.search)
        layout.addWidget(self.view)
        self.search.textChanged.connect(self._on_text)
        self.search.installEventFilter(self)
        self.view.installEventFilter(self)
        self.view.clicked.connect(self._pick)
        self.view.star_clicked.connect(self._star)

    @property
    def names(self) -> tuple[str, ...]:
        """All genes of the list, also those that the search leaves out."""
        return self._names

    def set_names(self, names: Sequence[str]) -> None:
        """Set the genes, each once, keeping the search if they are the same."""
        if tuple(names) != self._names:
            self._names, self._found_in = tuple(names), None
            self._idle.start(0)
            self._on_text(self.search.text())

    def say_where(self, where: Where) -> None:
        """Take who tells on which sides a gene is: empty for none, which greys it."""
        self._rows.say_where(where)

    def set_stars(self, stars: Collection[str]) -> None:
        """Mark favourites, given without capitals."""
        self._rows.mark(stars)

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """Write a few figures beside genes."""
        self._rows.note(notes)

    def shown(self) -> list[str]:
        """Genes that match the search, best first."""
        return list(self._rows.names)

    def point_at(self, gene: str) -> None:
        """Make a gene the current row, if it is shown; nothing is picked."""
        if gene in self._rows.names:
            self.view.setCurrentIndex(self._rows.index(self._rows.names.index(gene)))

    def after(self, gene: str | None, by: int) -> str | None:
        """Return the gene so many places on from another, round the ends.

        Those that are not on the slide are left out; None if none is left.
        """
        here = [name for name in self._names if self._rows.known(name)]
        if not here:
            return None
        if gene not in here:
            return here[0] if by > 0 else here[-1]
        return here[(here.index(gene) + by) % len(here)]

    def _on_text(self, text: str) -> None:
        self._delegate.typed = text
        self._rows.show(self._find(text) if text.strip() else self._names)
        if self._rows.names:
            self.view.setCurrentIndex(self._rows.index(0))

    def _make_ready(self) -> GeneSearch | None:
        from napari_prts.analysis.gene_search import GeneSearch

        if self._found_in is None and self._names:
            self._found_in = GeneSearch.of(self._names)
        return self._found_in

    def _find(self, text: str) -> list[str]:
        from napari_prts.analysis.gene_search import SIMILAR

        ready = self._make_ready()
        hits = () if ready is None else ready.find(text, _MOST)
        return [hit.gene for hit in hits if hit.found_by != SIMILAR] or [hit.gene for hit in hits]

    def _pick(self, index: QModelIndex) -> None:
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsEnabled:
            self.picked.emit(str(index.data()))

    def _star(self, index: QModelIndex) -> None:
        if index.isValid():
            self.starred.emit(str(index.data()))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let keys in the search line move through the list."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return bool(super().eventFilter(watched, event))
        return self._on_key(event, watched is self.search)

    def _on_key(self, event: QKeyEvent, in_search: bool) -> bool:
        current, key = self.view.currentIndex(), Qt.Key(event.key())
        if key in _ENTER:
            control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            (self._star if control else self._pick)(current)
            return True
        if key == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
            return True
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(key)
        if step is None or not in_search:
            return False
        row = current.row() + step
        if 0 <= row < self._rows.rowCount():
            self.view.setCurrentIndex(self._rows.index(row))
        return True


class _GeneView(QListView):
    """A list in which the end of a row, its star, is a place of its own."""

    star_clicked = QtSignal(QModelIndex)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take a click on a star."""
        index = self._star_at(event)
        if index is not None:
            self.star_clicked.emit(index)
        else:
            super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Do not take a star's click for the row's."""
        if self._star_at(event) is None:
            super().mouseReleaseEvent(event)

    def _star_at(self, event: QMouseEvent | None) -> QModelIndex | None:
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return None
        place = event.position().toPoint()
        index = self.indexAt(place)
        on_star = index.isValid() and star_place(self.visualRect(index)).contains(place)
        return index if on_star else None
