"""What is known of one cell, in words and as columns of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_prts.widgets.explore._figures import SIDES, number, side_word
from napari_prts.widgets.explore._gene_table import Column

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.widgets.explore._hover_lookup import CellLookup

# As in analysis.dimming: one in five ordinary cells is below it.
_UNUSUAL = 0.2

Means = tuple[str, "NDArray[np.float64]"]


def cell_words(lookup: CellLookup, id_: int) -> str:
    """Say in a few lines what is known of a cell, as rich text."""
    study = lookup.study
    lines = [f"<b>Nucleus {id_:,}</b>: {', '.join(lookup.shape_words(id_))}"]
    groups = [f"{name} ({side_word(study, side)})" for side, name in lookup.clusters(id_).items()]
    if groups:
        lines.append(f"Cluster {', '.join(groups)}")
    lines += confidence_words(study.predicted, lookup.row(study.predicted, id_))
    if study.predicted is not None and lookup.row(study.predicted, id_) is None:
        lines.append("Not predicted yet.")
    if study.measured is not None and lookup.row(study.measured, id_) is None:
        word = side_word(study, "measured")
        lines.append(f"Not {word}: no counts lie in it, or it was filtered out.")
    return "<br>".join(lines)


def confidence_words(predicted: AnnData | None, row: int | None) -> list[str]:
    """Say how far a cell's prediction may be believed.

    Parameters
    ----------
    predicted : AnnData or None
        Predicted cells; what a table does not hold is not told.
    row : int or None
        Which of them.
    """
    if predicted is None or row is None:
        return []
    obs, said = predicted.obs, []
    confidence = float(obs["confidence"].iloc[row]) if "confidence" in obs else np.nan
    unlike = bool(obs["unlike_training"].iloc[row]) if "unlike_training" in obs else False
    how = "like the training cells"
    if unlike:
        how = "<b>unlike the training cells</b>: do not rely on its predicted values"
    elif confidence < _UNUSUAL:
        how = "somewhat unusual beside the training cells"
    if np.isfinite(confidence):
        how = f"Confidence {confidence:.2f}: {how}"
    if "distance" in obs and np.isfinite(distance := float(obs["distance"].iloc[row])):
        how += f" (distance to the nearest one {number(distance)})"
    if np.isfinite(confidence) or unlike:
        said.append(f"{how}.")
    if "split" in obs and str(obs["split"].iloc[row]) == "train":
        said.append("The model was trained on this cell: it agrees too well here.")
    return said


def gene_columns(
    lookup: CellLookup, id_: int, means: Means | None
) -> tuple[list[str], list[Column], int]:
    """Lay a cell's values of all genes out.

    Parameters
    ----------
    lookup : CellLookup
        Finds the values.
    id_ : int
        Of the cell's nucleus.
    means : tuple, optional
        Of which side, and the mean of each of its genes over all cells, shape (genes,), in the
        order of its table.

    Returns
    -------
    genes : list of str
        Of the predicted table, or of the measured one where nothing is predicted.
    columns : list of Column
        Each side's values, and how far the cell stands above the slide's mean.
    by : int
        The column by which they are best sorted.
    """
    study = lookup.study
    tables = {side: getattr(study, side) for side in SIDES}
    values = {side: lookup.values(side, id_) for side in SIDES}
    first = next((side for side in SIDES if values[side] is not None), None)
    if first is None:
        return [], [], -1
    names = tables[first].var_names
    columns = []
    for side in SIDES:
        found = values[side]
        if found is None:
            continue
        word = side_word(study, side)
        places = tables[side].var_names.get_indexer_for(names)
        shown = np.where(places >= 0, found[places], np.nan)
        columns.append(Column(word, shown, f"{word.capitalize()} counts of this cell"))
    own = values[first]
    if means is not None and means[0] == first and own is not None:
        # As agreement is: of log1p, so that genes with hardly any counts do not come first.
        above = np.log1p(own) - np.log1p(means[1])
        word = side_word(study, first)
        tooltip = (
            f"How far the {word} value lies above the mean of all cells: the difference of log1p"
        )
        columns.append(Column("above mean", above, tooltip, _signed))
        return list(names), columns, len(columns) - 1
    return list(names), columns, 0


def gene_means(table: AnnData) -> NDArray[np.float64]:
    """Mean of each gene over all cells, shape (genes,)."""
    return np.asarray(table.X.mean(axis=0), np.float64).ravel()


def _signed(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.2f}"
