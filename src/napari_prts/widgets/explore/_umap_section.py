"""The UMAP in the clusters page: made by a button, seen larger in a dock of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_prts.widgets._panel import button
from napari_prts.widgets.explore._cluster_markers import fill
from napari_prts.widgets.explore._umap_colours import laid_out, side_words, words_of
from napari_prts.widgets.explore._umap_view import UmapView

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session

DOCK = "UMAP"
_MAKE = "Lay the cells out so that those alike lie together; it can take minutes"
_FIRST = "Find clusters first: the UMAP is made from the same neighbours"
_HEIGHT = 250
_LARGE = (560, 520)


class UmapSection(QWidget):
    """A button that makes the UMAP, and the plot.

    Parameters
    ----------
    session : Session
        Whose study.

    Attributes
    ----------
    asked : qtpy.QtCore.Signal
        Emitted with the name of the graph that is to be laid out.
    """

    asked = QtSignal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.graph = QComboBox()
        self.graph.setToolTip("Whose cells")
        self.make_button = button("UMAP", _MAKE)
        self.larger_button = button(
            "Larger", "Show the plot in a window of its own, which can be docked"
        )
        self._graphs: tuple[str, ...] = ()
        self.view = UmapView(session, with_side=False)
        self.view.plot.setFixedHeight(_HEIGHT)
        row = QHBoxLayout()
        row.addWidget(self.graph, 1)
        row.addWidget(self.make_button)
        row.addWidget(self.larger_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.view)
        self.graph.currentIndexChanged.connect(self._on_graph)
        self.make_button.clicked.connect(self._on_make)
        self.larger_button.clicked.connect(self.show_larger)

    def offer(self, graphs: Collection[str]) -> None:
        """Let cells be laid out whose graphs are known; show those that have been."""
        study = self._session.study
        words = {} if study is None else side_words(study)
        names = [*graphs, *(() if study is None else laid_out(study))]
        fill(self.graph, {name: words_of(name, words) for name in dict.fromkeys(names)})
        self._graphs = tuple(graphs)
        self._on_graph()

    def _on_graph(self) -> None:
        name = str(self.graph.currentData())
        self.make_button.setEnabled(name in self._graphs)
        self.make_button.setToolTip(_MAKE if name in self._graphs else _FIRST)
        self.view.show_side(name)

    def show_larger(self) -> UmapView:
        """Show the plot in a dock of its own; once it is open, that one."""
        window = self._session.viewer.window
        for widget in window.dock_widgets.values():
            if isinstance(widget, UmapView):
                return widget
        view = UmapView(self._session)
        dock = window.add_dock_widget(view, name=DOCK, area="bottom")
        # Under a small screen's canvas it would be low and wide, and push the window out below.
        dock.setFloating(True)
        dock.resize(*_LARGE)
        view.show_side(str(self.graph.currentData()))
        view.colour.setCurrentIndex(self.view.colour.currentIndex())
        return view

    def _on_make(self) -> None:
        self.asked.emit(str(self.graph.currentData()))
