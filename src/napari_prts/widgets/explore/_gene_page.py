"""Explore, Gene: pick a gene and paint it, predicted beside measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_prts.viewer.expression_view import is_simulated
from napari_prts.widgets._panel import Panel
from napari_prts.widgets.explore._colour_limits import ColourLimits
from napari_prts.widgets.explore._gene_list import GeneList
from napari_prts.widgets.explore._gene_lists import ALL, BEST, FAVOURITES, GeneLists
from napari_prts.widgets.explore._gene_looks import GeneLooks

if TYPE_CHECKING:
    from napari_prts.study import Study

# Milliseconds between two looks at cells that arrive: the histogram need not follow each.
_ARRIVING_PAUSE = 1000


class GenePage(Panel):
    """Picks what is painted and how."""

    tag = "gene"
    script_does = "shows in napari what is painted now"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.lists = GeneLists()
        self.genes = GeneList()
        self.facts = QLabel()
        self.facts.setWordWrap(True)
        self.limits = ColourLimits(self.session)
        self.looks = GeneLooks(self.session)
        self.scores = self.session.scores
        for widget in (self.lists, self.genes, self.facts, self.limits, self.looks):
            # The list takes what room there is, before the panel's empty end.
            column.addWidget(widget, 100 if widget is self.genes else 0)
        self._predicted: frozenset[str] = frozenset()
        self._measured: frozenset[str] = frozenset()
        self._here: list[str] = []
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_ARRIVING_PAUSE)
        self._later.timeout.connect(self.limits.refresh)
        self._connect()

    def _connect(self) -> None:
        self.genes.say_where(self._where)
        self.genes.set_stars(self.lists.stars())
        self.genes.picked.connect(self.paint_gene)
        self.genes.starred.connect(self.lists.toggle)
        self.lists.changed.connect(self._on_list)
        self.links.connect(self.session.brush.changed, self._on_brush)
        self.links.connect(self.scores.changed, self._on_scores)

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self.refresh)
        self.links.connect(study.measured_changed, self.refresh)
        self.links.connect(study.arriving_changed, self.refresh)
        self.links.connect(study.arrived, self._on_arrived)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Find out what was not needed while nobody looked."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Show the genes and what is painted."""
        self.scores.check()
        self._read_tables()
        self.genes.say_where(self._where)
        self._show_list()
        self._on_brush()

    def paint_gene(self, gene: str) -> None:
        """Paint a gene on every side that has it."""
        self.session.brush.paint_gene(gene)

    def as_python(self) -> str:
        """Write how to paint what is painted now as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, with_cells
        from napari_prts.study.recipe_exploring import group_steps
        from napari_prts.widgets._show import show_line

        painting = self.session.brush.painting
        before = with_cells(self.study)
        if painting is not None and painting.clusters and self.study is not None:
            before += group_steps(self.study)
        return script(*before, show_line(painting))

    def step(self, by: int) -> None:
        """Paint the gene so many places on in the list that is chosen, round its ends.

        Parameters
        ----------
        by : int
            1 for the next gene, -1 for the one before.
        """
        gene = self.genes.after(self.session.brush.gene, by)
        if gene is not None:
            self.paint_gene(gene)
            self.genes.point_at(gene)

    def _on_arrived(self) -> None:
        if not self._later.isActive():
            self._later.start()

    def _on_list(self) -> None:
        self.genes.set_stars(self.lists.stars())
        self._show_list()

    def _on_scores(self) -> None:
        self.genes.set_notes({gene: f"{pcc:.2f}" for gene, pcc in self.scores.pcc.items()})
        self._show_list()
        self._show_facts()

    def _on_brush(self) -> None:
        if self.session.brush.gene is not None and not self.genes.search.text():
            self.genes.point_at(self.session.brush.gene)
        self._want_scores()
        self._show_facts()
        self.limits.refresh()
        self.looks.refresh()

    def _read_tables(self) -> None:
        study = self.study
        predicted = measured = frozenset[str]()
        if study is not None:
            predicted = _genes_of(study.predicted)
            measured = _genes_of(study.measured)
            if study.arriving is not None:
                predicted |= frozenset(study.arriving.genes)
        if (predicted, measured) != (self._predicted, self._measured):
            self._predicted, self._measured = predicted, measured
            self._here = gene_names([list(side) for side in (predicted, measured) if side])

    def _where(self, gene: str) -> str:
        """On which sides a gene is, in words; empty for none."""
        sides = []
        if gene in self._predicted:
            sides.append("predicted")
        if gene in self._measured:
            sides.append(self._measured_word())
        return " and ".join(sides)

    def _measured_word(self) -> str:
        study = self.study
        simulated = study is not None and is_simulated(study.measured, "measured")
        return "simulated" if simulated else "measured"

    def _want_scores(self) -> None:
        """Score genes only for who looks: it takes seconds at hundreds of thousands of cells."""
        asked = self.lists.chosen[0] == BEST
        looked_at = self.isVisible() and self.session.brush.gene is not None
        if asked or looked_at:
            self.scores.want()

    def _show_list(self) -> None:
        if self.lists.chosen[0] == BEST:
            self.scores.want()
        self.genes.set_names(self.lists.names(self._here, self.scores.pcc))
        self.genes.setEnabled(bool(self._here))
        self.state.setText(self._words())

    def _words(self) -> str:
        study, kind, count = self.study, self.lists.chosen[0], len(self.genes.names)
        if study is None:
            return "Open a slide first."
        if not self._here:
            return "Nothing to show yet: predict, or open a Visium HD folder (Predict panel)."
        if kind == BEST and not count:
            return self._words_of_scores(study)
        if kind == BEST:
            return f"{count:,} genes, the best correlated (PCC) with {self._measured_word()} first."
        if kind == FAVOURITES and not count:
            return "No favourites yet: click the star beside a gene."
        if kind == ALL:
            return f"{count:,} genes. Type one, Enter paints it."
        there = sum(bool(self._where(gene)) for gene in self.genes.names)
        return f"{there:,} of these {count:,} genes are on this slide."

    def _words_of_scores(self, study: Study) -> str:
        if study.predicted is None or study.measured is None:
            return "Needs predicted and measured cells: use the Predict panel for both."
        return self.scores.under_way or self.scores.problem or "No gene can be scored here."

    def _show_facts(self) -> None:
        gene = self.session.brush.gene
        self.facts.setVisible(gene is not None)
        if gene is not None:
            self.facts.setText(self._facts(gene))
            self.facts.setToolTip(self.scores.problem)

    def _facts(self, gene: str) -> str:
        if gene not in self._predicted or gene not in self._measured:
            where = self._where(gene)
            return f"{gene}: {where} only" if where else gene
        if not self.scores.known:
            reason = self.scores.under_way or "cannot be scored here"
            return f"{gene}: {reason}"
        pcc = self.scores.pcc.get(gene)
        if pcc is None:
            return f"{gene}: the same in all cells of one side, so there is no correlation"
        word = self._measured_word()
        return f"{gene}: predicted and {word} agree with PCC {pcc:.2f} ({self.scores.where})"


def gene_names(tables: list[list[str]]) -> list[str]:
    """Genes of tables: those in all of them first, then the others, each in order."""
    if not tables:
        return []
    sets = [set(names) for names in tables]
    shared = sorted(set.intersection(*sets))
    return shared + sorted(set.union(*sets) - set(shared))


def _genes_of(table: Any) -> frozenset[str]:
    return frozenset() if table is None else frozenset(str(name) for name in table.var_names)
