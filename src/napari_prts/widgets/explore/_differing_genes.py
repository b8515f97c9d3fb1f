"""Genes in which a region differs most from the rest, tested when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_prts.widgets._jobs import Task
from napari_prts.widgets.explore._figures import SIDES, side_word
from napari_prts.widgets.explore._gene_table import GeneTable
from napari_prts.widgets.explore._region_words import differing_columns

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import DifferingGenes, Region
    from napari_prts.jobs import Job
    from napari_prts.widgets._session import Session

_METHODS = {"wilcoxon": "Wilcoxon", "t-test_overestim_var": "t test"}


class DifferingPage(QWidget):
    """A table of the genes that stand out in a region.

    Parameters
    ----------
    session : Session
        Whose study.
    tag : str
        Of the job: the panel's that shows its progress.

    Attributes
    ----------
    found : DifferingGenes or None
        What is shown.
    """

    def __init__(self, session: Session, tag: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tag = tag
        self._region: Region | None = None
        self._asked: tuple[object, ...] = ()
        self.found: DifferingGenes | None = None
        self.side = QComboBox()
        self.side.setToolTip("Which expression is compared")
        self.words = QLabel()
        self.genes = GeneTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 3, 0, 0)
        column.addWidget(self.side)
        column.addWidget(self.words)
        column.addWidget(self.genes, 1)
        self.side.currentIndexChanged.connect(self._ask)

    def show_region(self, region: Region | None) -> None:
        """Compare another region: at once if this is looked at, otherwise when it will be."""
        self._region, self._asked = region, ()
        self._clear()
        self._offer_sides()
        self._ask()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Test the genes when somebody looks."""
        super().showEvent(event)
        self._ask()

    def _offer_sides(self) -> None:
        study = self._session.study
        sides = [] if study is None else [s for s in SIDES if getattr(study, s) is not None]
        if [self.side.itemData(place) for place in range(self.side.count())] == sides:
            return
        self.side.blockSignals(True)
        self.side.clear()
        for side in sides:
            assert study is not None
            self.side.addItem(f"{side_word(study, side).capitalize()} expression", side)
        self.side.blockSignals(False)

    def _clear(self, words: str = "") -> None:
        self.found = None
        self.words.setText(words)
        self.genes.set_table([], [])

    def _ask(self, _: object = None) -> None:
        study, region, side = self._session.study, self._region, self.side.currentData()
        if study is None or region is None or side is None or not self.isVisible():
            return
        table: AnnData = study.expression(side)
        asked = (region, side)
        if asked == self._asked:
            return
        self._asked = asked
        self._clear()
        word = side_word(study, side)

        def make() -> Job[DifferingGenes]:
            from napari_prts.analysis import differing_genes

            return differing_genes(table, region)

        def current() -> bool:
            return self._session.study is study and self._asked == asked

        def done(found: DifferingGenes) -> None:
            if current():
                self._show(found, word)

        def failed(words: str) -> None:
            if current():
                self._clear(words)

        self._session.jobs.submit(
            Task(self._tag, "Comparing with the rest", make, done, failed=failed)
        )

    def _show(self, found: DifferingGenes, word: str) -> None:
        self.found = found
        self.words.setText(
            f"{found.cells:,} cells against {found.rest:,} others, "
            f"{_METHODS.get(found.method, found.method)}"
        )
        self.genes.set_table(list(found.genes.index), differing_columns(found, word))
