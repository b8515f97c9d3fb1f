"""Explore, Trust: which genes are predicted well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLabel, QVBoxLayout

from napari_prts.widgets._gene_scores import TAG as SCORING
from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button
from napari_prts.widgets._tables import Tables
from napari_prts.widgets.explore._figures import number, pcc, share, side_word
from napari_prts.widgets.explore._gene_table import Column, GeneTable

if TYPE_CHECKING:
    from napari_prts.analysis import GeneTrust
    from napari_prts.jobs import Job
    from napari_prts.study import Study

# A gene below it follows the tissue too loosely to be read cell by cell; the paper counts
# genes above it.
GOOD_PCC = 0.3


class TrustPage(Panel):
    """A table of all genes, scored when it is first needed, here or on the Gene page.

    Attributes
    ----------
    trust : GeneTrust or None
        What is shown.
    """

    tag = "trust"
    script_does = "scores all genes"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.trust: GeneTrust | None = None
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.genes = GeneTable()
        self.dim = QCheckBox("Dim cells the model is unsure of")
        self.dim.setToolTip(
            "Predicted cells recede the less they look like those that the model was trained on"
        )
        self.save_button = button("Save table...", "Write all genes with their figures to a CSV")
        self.scoring = JobLine(self.session.beside, SCORING, self)
        column.addWidget(self.words)
        column.addWidget(self.scoring)
        column.addWidget(self.genes, 1000)
        column.addWidget(self.dim)
        column.addWidget(self.save_button)
        self.genes.picked.connect(self.session.brush.paint_gene)
        self.dim.toggled.connect(self._on_dim)
        self.save_button.clicked.connect(self._on_save)
        self.links.connect(self.session.brush.changed, self._on_brush)
        self.links.connect(self.session.scores.changed, self._on_scores)
        self._on_brush()

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self.refresh)
        self.links.connect(study.measured_changed, self.refresh)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Score the genes when somebody looks."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Show the genes' scores, made anew if a table has changed."""
        study, tables = self.study, Tables.of(self.study)
        self.session.scores.check()
        self.state.setText(self._ask_for(study))
        self.state.setVisible(not tables.both)
        for widget in (self.words, self.genes, self.save_button):
            widget.setVisible(tables.both)
        self.dim.setVisible(tables.predicted is not None)
        if tables.both and self.isVisible():
            self.session.scores.want()
        self._on_scores()

    def as_python(self) -> str:
        """Write how the genes are scored as a script, from opening the slide on."""
        from napari_prts.study.recipe import script, with_cells

        return script(*with_cells(self.study), "study.trust().genes")

    def _on_scores(self) -> None:
        scores = self.session.scores
        if scores.trust is not self.trust:
            self._show(scores.trust)
        if scores.trust is None:
            self.words.setText(scores.problem)

    def _ask_for(self, study: Study | None) -> str:
        if study is None:
            return "Open a slide first."
        if study.predicted is None and study.measured is None:
            return "Nothing to score yet: predict, and open a Visium HD folder (Predict panel)."
        if study.predicted is None:
            return "Only measured cells so far: predict, to see which genes to trust."
        if study.measured is None:
            return "Only predicted cells so far: open a Visium HD folder to score them against."
        return ""

    def _show(self, trust: GeneTrust | None) -> None:
        self.trust = trust
        self.save_button.setEnabled(trust is not None)
        if trust is None or self.study is None:
            self.genes.set_table([], [])
            return
        self.words.setText(trust_words(trust, side_word(self.study, "measured")))
        columns = trust_columns(trust, side_word(self.study, "measured"))
        self.genes.set_table(list(trust.genes.index), columns, by=0)

    def _on_dim(self, on: bool) -> None:
        self.session.brush.restyle(dim_unsure=on)

    def _on_brush(self) -> None:
        self.dim.setChecked(self.session.brush.style.dim_unsure)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save table", "genes.csv", "CSV (*.csv)")
        if path:
            self.save(path)

    def save(self, path: Path | str) -> None:
        """Write the table in the background."""
        trust = self.trust
        if trust is None:
            return

        def make() -> Job[Path]:
            return trust.to_csv(path)
            yield

        task = Task(self.tag, "Saving table", make, lambda saved: show_info(f"Saved {saved}"))
        self.session.jobs.submit(task)


def trust_words(trust: GeneTrust, measured: str) -> str:
    """Say how many genes are predicted well, and on which cells that was found.

    Parameters
    ----------
    trust : GeneTrust
        The genes.
    measured : str
        ``"measured"`` or ``"simulated"``.
    """
    values = trust.genes["pcc"].to_numpy()
    good, known = int((values > GOOD_PCC).sum()), int(np.isfinite(values).sum())
    words = [f"<b>{good:,} of {known:,} genes</b> have a PCC above {GOOD_PCC:g}"]
    words[0] += f" (predicted against {measured}), over {trust.cells:,} "
    if trust.held_out:
        words[0] += "cells that were left out of training."
    else:
        words[0] += "cells."
    if trust.trained_on_some:
        words.append("The model was trained on some of them: there it looks better than it is.")
    if measured == "simulated":
        words.append("Simulated counts say nothing of real tissue.")
    return " ".join(words)


def trust_columns(trust: GeneTrust, measured: str) -> list[Column]:
    """Lay the figures of all genes out as columns of a table."""
    genes = trust.genes
    what = f"predicted with {measured} expression over cells"
    return [
        Column("PCC", genes["pcc"].to_numpy(), f"Correlation of log1p of {what}", pcc),
        Column(
            "of best",
            genes["share_of_ceiling"].to_numpy(),
            "Share of ceiling: PCC as a share of what the best possible prediction would "
            "reach, since counts are noisy themselves; empty where the ceiling is below 0.1",
            share,
        ),
        Column("RMSE", genes["rmse"].to_numpy(), f"Error of log1p of {what}", number),
        Column(
            "mean",
            genes["mean_measured"].to_numpy(),
            f"{measured.capitalize()} counts per cell, on average",
            number,
        ),
        Column(
            "zeros",
            genes["sparsity"].to_numpy(),
            f"Sparsity: share of cells without any {measured} count of the gene",
            share,
        ),
    ]
