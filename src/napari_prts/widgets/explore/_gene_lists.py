"""Which genes one looks through: all, favourites, the best predicted, markers, one's own list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QMenu, QToolButton, QWidget

from napari_prts.analysis.broad_types import MARKERS
from napari_prts.errors import PrtsError
from napari_prts.widgets.explore._gene_lists_files import read_gene_lists
from napari_prts.widgets.explore._gene_lists_memory import GeneMemory

# Kinds of lists; those of markers and one's own have a name besides.
ALL, FAVOURITES, BEST, MARKER, LOADED = "all", "favourites", "best", "marker", "loaded"
_FILES = "Lists of genes (*.txt *.csv *.tsv *.gmt *.grp);;All files (*)"

Choice = tuple[str, str]


class GeneLists(QWidget):
    """Chooses a list; loads lists from files and remembers them, and the favourites.

    Parameters
    ----------
    memory : GeneMemory, optional
        The user's own by default.

    Attributes
    ----------
    changed : qtpy.QtCore.Signal
        Emitted after another list was chosen, or its genes are others.
    """

    changed = QtSignal()

    def __init__(self, memory: GeneMemory | None = None) -> None:
        super().__init__()
        self.memory = memory if memory is not None else GeneMemory()
        self.combo = QComboBox()
        self.combo.setToolTip(
            "Which genes are listed. Best predicted: by correlation (PCC) of predicted\n"
            "with measured cells of this slide. Markers tell broad cell types."
        )
        self.more = QToolButton()
        self.more.setText("…")
        self.more.setToolTip("Load a list of genes from a file, or forget one")
        self.more.setMinimumWidth(28)
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none }")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        load, self.forget_action = QAction("Load a list…", self), QAction("Forget this", self)
        menu = QMenu(self.more)
        menu.addActions([load, self.forget_action])
        self.more.setMenu(menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.more)
        self._fill()
        load.triggered.connect(self._ask)
        self.forget_action.triggered.connect(self._forget)
        self.combo.currentIndexChanged.connect(self._on_choice)

    @property
    def chosen(self) -> Choice:
        """Kind and name of the list."""
        kind, _, name = str(self.combo.currentData()).partition(":")
        return kind, name

    def choose(self, kind: str, name: str = "") -> None:
        """Choose a list."""
        # Qt does not find tuples.
        self.combo.setCurrentIndex(self.combo.findData(f"{kind}:{name}"))

    def names(self, here: Sequence[str], scores: Mapping[str, float]) -> list[str]:
        """Genes of the list, as the slide's tables write them.

        Parameters
        ----------
        here : sequence of str
            Genes of the tables.
        scores : mapping of str to float
            PCC of genes, for the best predicted; those without are left out of that list.
        """
        kind, name = self.chosen
        if kind == ALL:
            return list(here)
        if kind == BEST:
            return sorted(scores, key=lambda gene: -scores[gene])
        lists = {FAVOURITES: lambda: self.memory.favourites, MARKER: lambda: MARKERS[name]}
        return written_as(lists.get(kind, lambda: self.memory.lists.get(name, ()))(), here)

    def load(self, path: Path | str) -> None:
        """Load lists from a file, remember them, and choose the first; see
        :func:`~napari_prts.widgets.explore._gene_lists_files.read_gene_lists`.
        """
        try:
            lists = read_gene_lists(path)
            self.memory.keep(lists)
        except PrtsError as error:
            show_error(str(error))
            return
        self._fill()
        self.choose(LOADED, next(iter(lists)))
        self.changed.emit()

    def toggle(self, gene: str) -> None:
        """Make a gene a favourite, or no longer one."""
        try:
            self.memory.toggle(gene)
        except PrtsError as error:
            show_error(str(error))
            return
        self.changed.emit()

    def stars(self) -> frozenset[str]:
        """Favourites, without capitals."""
        return frozenset(name.casefold() for name in self.memory.favourites)

    def _fill(self) -> None:
        before = self.combo.blockSignals(True)
        self.combo.clear()
        self.combo.addItem("All genes", f"{ALL}:")
        self.combo.addItem("Favourites ★", f"{FAVOURITES}:")
        self.combo.addItem("Best predicted here", f"{BEST}:")
        self.combo.insertSeparator(self.combo.count())
        for name in MARKERS:
            self.combo.addItem(f"Markers: {name}", f"{MARKER}:{name}")
        lists = self.memory.lists
        if lists:
            self.combo.insertSeparator(self.combo.count())
        for name in lists:
            self.combo.addItem(name, f"{LOADED}:{name}")
        self.combo.setCurrentIndex(0)
        self.combo.blockSignals(before)
        self.forget_action.setEnabled(False)

    def _on_choice(self) -> None:
        self.forget_action.setEnabled(self.chosen[0] == LOADED)
        self.changed.emit()

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a list of genes", filter=_FILES)
        if path:
            self.load(path)

    def _forget(self) -> None:
        kind, name = self.chosen
        if kind != LOADED:
            return
        try:
            self.memory.forget(name)
        except PrtsError as error:
            show_error(str(error))
            return
        self._fill()
        self.changed.emit()


def written_as(genes: Iterable[str], here: Sequence[str]) -> list[str]:
    """Write genes as tables do: those of other species differ in capitals alone.

    Parameters
    ----------
    genes : iterable of str
        Genes, in any capitals.
    here : sequence of str
        Genes of the tables. What is not among them is capitalised as most of these are.
    """
    known = {gene.casefold(): gene for gene in reversed(here)}
    shouted = sum(gene.isupper() for gene in here)
    mouse = bool(here) and shouted < len(here) / 2
    found = (
        known.get(gene.casefold()) or (gene.capitalize() if mouse and gene.isupper() else gene)
        for gene in genes
    )
    return list(dict.fromkeys(found))
