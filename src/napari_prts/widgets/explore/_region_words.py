"""What a region's answer says, in words and as columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_prts.widgets.explore._figures import number, pcc
from napari_prts.widgets.explore._gene_table import Column

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_prts.analysis import DifferingGenes, RegionAnswer

_UM2_IN_MM2 = 1e6
# Two-sided 95 % of a normal distribution.
_Z = 1.959964
# Fisher's z needs more than three.
_FEWEST = 4


def answer_words(answer: RegionAnswer, measured: str) -> str:
    """Say what a region holds, as rich text.

    Parameters
    ----------
    answer : RegionAnswer
        The answer.
    measured : str
        ``"measured"`` or ``"simulated"``.
    """
    sides = _sides(answer.genes, measured)
    counted = f"<b>{answer.name}</b>: {answer.nuclei:,} cells"
    if answer.cells != answer.nuclei:
        counted += f", {answer.cells:,} of them {' and '.join(sides)}"
    if answer.area_um2 is not None and answer.nuclei_per_mm2 is not None:
        counted += f"; {area(answer.area_um2)}, {answer.nuclei_per_mm2:,.0f} cells per mm²"
    said = [f"{counted}."]
    if len(sides) == 1:
        said.append(_lacking(sides[0]))
    else:
        said += _agreement(answer, measured)
    if answer.trained:
        said.append(
            f"The model was trained on {answer.trained:,} of these cells: it agrees too well here."
        )
    return "<br>".join(said)


def _lacking(side: str) -> str:
    if side == "predicted":
        return (
            "Nothing is measured, so there is no scatter: open a Visium HD folder (Predict "
            "panel) to compare."
        )
    return "Nothing is predicted, so there is no scatter: predict, to compare."


def _agreement(answer: RegionAnswer, measured: str) -> list[str]:
    genes = len(answer.genes)
    if answer.profile_pcc is None:
        return ["Its genes are too few, or too even, for a PCC."]
    said = f"Predicted and {measured} means agree with <b>PCC {pcc(answer.profile_pcc)}</b>"
    if genes >= _FEWEST:
        low, high = profile_interval(answer.profile_pcc, genes)
        said += f" (95 % interval {pcc(low)} to {pcc(high)})"
    lines = [f"{said} over {genes:,} genes."]
    values = answer.genes["pcc"].to_numpy()
    known = values[np.isfinite(values)]
    if len(known):
        middle = pcc(float(np.median(known)))
        lines.append(f"Cell by cell, half of the genes have a PCC above {middle}.")
    return lines


def profile_interval(pcc_of_means: float, genes: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a PCC over genes.

    Fisher's z, which takes genes as independent: genes that go together make it too narrow.

    Parameters
    ----------
    pcc_of_means : float
        The PCC.
    genes : int
        Over how many, four or more.
    """
    centre = np.arctanh(np.clip(pcc_of_means, -1 + 1e-12, 1 - 1e-12))
    reach = _Z / np.sqrt(genes - 3)
    return float(np.tanh(centre - reach)), float(np.tanh(centre + reach))


def area(um2: float) -> str:
    """Write an area in µm², or from 0.01 mm² on in mm²."""
    return f"{um2:,.0f} µm²" if um2 < 0.01 * _UM2_IN_MM2 else f"{um2 / _UM2_IN_MM2:.3g} mm²"


def answer_columns(answer: RegionAnswer, measured: str) -> list[Column]:
    """Lay the means of all genes out, and how predicted and measured agree.

    Parameters
    ----------
    answer : RegionAnswer
        The answer.
    measured : str
        ``"measured"`` or ``"simulated"``.
    """
    genes, columns = answer.genes, []
    for side, word in (("predicted", "predicted"), ("measured", measured)):
        if f"mean_{side}" in genes:
            tooltip = f"{word.capitalize()} counts per cell of the region, on average"
            columns.append(Column(word, genes[f"mean_{side}"].to_numpy(), tooltip))
    if len(columns) == 2:
        gap = columns[0].values - columns[1].values
        columns.append(
            Column("diff.", gap, f"predicted less {measured} mean", _signed, "difference", True)
        )
        tooltip = f"Correlation of log1p of predicted with {measured} over the region's cells"
        columns.append(Column("PCC", genes["pcc"].to_numpy(), tooltip, pcc))
        tooltip = f"End of the 95 % interval of PCC, told from {answer.interval_from or 'nothing'}"
        if answer.interval_from == "cells":
            tooltip += ": too narrow, since neighbouring cells are alike"
        for end, title in (("pcc_low", "from"), ("pcc_high", "to")):
            name = f"PCC, {title}"
            columns.append(Column(title, genes[end].to_numpy(), tooltip, pcc, name, extra=True))
    return columns


def differing_columns(differing: DifferingGenes, word: str) -> list[Column]:
    """Lay out how far genes of one side differ between the region and the rest."""
    genes = differing.genes
    of = f"{word} expression, region against all other cells"
    columns = [
        Column("score", genes["score"].to_numpy(), f"Test statistic of {of}", _signed),
        Column(
            "log2",
            genes["log2_change"].to_numpy(),
            f"logarithm (base 2) of the ratio of {of}: 1 is twice as much",
            _signed,
            "log2 change",
        ),
    ]
    tooltip = "p value, adjusted for the number of genes (Benjamini and Hochberg)"
    columns.append(Column("p adj.", genes["p_adjusted"].to_numpy(), tooltip, _probability))
    return columns


def _sides(genes: DataFrame, measured: str) -> list[str]:
    words = {"predicted": "predicted", "measured": measured}
    return [word for side, word in words.items() if f"mean_{side}" in genes]


def _signed(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{'+' if value > 0 else ''}{number(value)}"


def _probability(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.2g}" if value >= 1e-99 else "< 1e-99"
