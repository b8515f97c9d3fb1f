"""Scores of sets of genes in every cell, painted like a gene."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_prts.viewer.cell_values import SCORE
from napari_prts.widgets._panel import button

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import GeneSetScores

_SHOWN = 3
_OWN = "Genes typed below"


class ScoreControls(QWidget):
    """A list of genes, chosen or typed, and a button.

    Attributes
    ----------
    asked : qtpy.QtCore.Signal
        Emitted with the set's name and its genes.
    """

    asked = QtSignal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sets = QComboBox()
        self.sets.setToolTip("A list of marker genes of a broad cell type, or your own genes")
        self.sets.addItem(_OWN, ())
        self.genes = QLineEdit()
        self.genes.setPlaceholderText("Genes, such as Cd3e Cd3d Cd2")
        self.genes.setToolTip("Gene names with blanks or commas between; capitals do not matter")
        self.genes.setClearButtonEnabled(True)
        self.score_button = button(
            "Score",
            "Score each cell: mean expression of the set less that of control genes (scanpy's "
            "score_genes), and paint it",
        )
        self.outcome = QLabel()
        self.outcome.setWordWrap(True)
        self.outcome.setVisible(False)
        row = QHBoxLayout()
        row.addWidget(self.genes, 1)
        row.addWidget(self.score_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sets)
        layout.addLayout(row)
        layout.addWidget(self.outcome)
        self.sets.currentIndexChanged.connect(self._on_set)
        self.genes.textEdited.connect(self._on_edited)
        self.genes.returnPressed.connect(self._on_score)
        self.score_button.clicked.connect(self._on_score)

    def set_lists(self, lists: Mapping[str, tuple[str, ...]]) -> None:
        """Offer lists of genes by name, beside the user's own."""
        offered = {self.sets.itemText(row): self.sets.itemData(row) for row in self._rows()}
        if offered == {name.capitalize(): genes for name, genes in lists.items()}:
            return
        blocked = self.sets.blockSignals(True)
        for row in reversed(self._rows()):
            self.sets.removeItem(row)
        for name, genes in lists.items():
            self.sets.addItem(name.capitalize(), genes)
        self.sets.blockSignals(blocked)

    def _rows(self) -> range:
        return range(1, self.sets.count())

    def tell(self, words: str) -> None:
        """Say what came out."""
        self.outcome.setText(words)
        self.outcome.setVisible(bool(words))

    def _on_set(self) -> None:
        genes = self.sets.currentData()
        if genes:
            self.genes.setText(" ".join(genes))

    def _on_edited(self) -> None:
        self.sets.setCurrentIndex(0)

    def _on_score(self) -> None:
        genes = genes_in(self.genes.text())
        if not genes:
            self.tell("Type at least one gene, or choose a list.")
            return
        name = self.sets.currentText().lower() if self.sets.currentData() else set_name(genes)
        self.asked.emit(name, genes)


def genes_in(text: str) -> tuple[str, ...]:
    """Take apart what was typed: names with blanks, commas or semicolons between."""
    return tuple(dict.fromkeys(part for part in re.split(r"[\s,;]+", text) if part))


def set_name(genes: tuple[str, ...]) -> str:
    """Name a set by its first genes: ``"CD3E, CD3D, CD2 and 4 more"``."""
    name = ", ".join(genes[:_SHOWN])
    return name if len(genes) <= _SHOWN else f"{name} and {len(genes) - _SHOWN} more"


def sides_with(
    sides: Mapping[str, AnnData], genes: tuple[str, ...]
) -> tuple[dict[str, AnnData], list[str]]:
    """Take the sides that have at least one of the genes; name the others."""
    wanted = {gene.upper() for gene in genes}
    having = {
        side: table
        for side, table in sides.items()
        if any(str(gene).upper() in wanted for gene in table.var_names)
    }
    return having, [side for side in sides if side not in having]


def keep_scores(
    sides: Mapping[str, AnnData], scores: Mapping[str, GeneSetScores], name: str
) -> str:
    """Write scores into ``obs``, beside all that were made before.

    Parameters
    ----------
    sides : mapping of AnnData
        The study's tables.
    scores : mapping of GeneSetScores
        Of each of them.
    name : str
        Of the set.

    Returns
    -------
    str
        What to paint: ``"score: neuron"``, with a number behind if that name is another set's.
    """
    column, number = f"{SCORE}{name}", 1
    while not all(_free(sides[side], column, found) for side, found in scores.items()):
        number += 1
        column = f"{SCORE}{name} ({number})"
    for side, found in scores.items():
        sides[side].obs[column] = found.values
    return column


def outcome_words(
    scores: Mapping[str, GeneSetScores], without: list[str], words: Mapping[str, str]
) -> str:
    """Say how many genes of a set each side has, and which it has not."""
    said = []
    for side, found in scores.items():
        total = len(found.genes) + len(found.missing)
        sentence = f"{words[side].capitalize()}: {len(found.genes)} of {total} genes"
        if found.missing:
            more = ", ..." if len(found.missing) > _SHOWN else ""
            sentence += f", not {', '.join(found.missing[:_SHOWN])}{more}"
        said.append(f"{sentence}.")
    said += [f"{words[side].capitalize()}: none of the genes." for side in without]
    return " ".join(said)


def _free(table: AnnData, column: str, found: GeneSetScores) -> bool:
    return column not in table.obs or np.array_equal(table.obs[column].to_numpy(), found.values)
