"""Bringing predicted and measured cells together, cell by cell and gene by gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

TEST, TRAIN = "test", "train"

# Half a nucleus: beyond it, an id stands for another nucleus than the one measured.
_FARTHEST_UM = 5.0


@dataclass(frozen=True, eq=False)
class Aligned:
    """Rows and columns of two tables that belong together.

    Parameters
    ----------
    predicted_rows, measured_rows : ndarray of int, shape (cells,)
        Rows of the same nuclei.
    predicted_columns, measured_columns : ndarray of int, shape (genes,)
        Columns of the same genes, in the order of the prediction.
    genes : tuple of str
        Their names.
    held_out : bool
        Whether only cells of the region left out of training are in.
    trained_on_some : bool
        Whether cells of the training region are among them.
    """

    predicted_rows: NDArray[np.intp]
    measured_rows: NDArray[np.intp]
    predicted_columns: NDArray[np.intp]
    measured_columns: NDArray[np.intp]
    genes: tuple[str, ...]
    held_out: bool
    trained_on_some: bool


def align(predicted: AnnData, measured: AnnData) -> Aligned:
    """Find shared cells (by ``obs["id"]``) and genes (by name).

    If the prediction marks cells of a region left out (``obs["split"]`` is
    ``"test"``), only those are taken.

    Raises
    ------
    ExpressionError
        If the tables are of different slides or nuclei, or share no cell or no gene.
    """
    _check_same_slide(predicted, measured)
    ids, measured_ids = _ids(predicted, "predicted"), _ids(measured, "measured")
    _, rows, measured_rows = np.intersect1d(ids, measured_ids, return_indices=True)
    if not len(rows):
        raise ExpressionError(
            f"None of the {len(ids):,} predicted cells is among the {len(measured_ids):,} measured "
            "ones: predict and measure with the same nuclei."
        )
    _check_places(predicted, measured, rows, measured_rows)
    parts = _parts(predicted)
    held_out = bool((parts == TEST).any())
    if held_out:
        kept = parts[rows] == TEST
        rows, measured_rows = rows[kept], measured_rows[kept]
        if not len(rows):
            raise ExpressionError(
                "None of the predicted cells in the region left out of training was measured: "
                "there is nothing to score."
            )
    columns, measured_columns, genes = _genes(predicted, measured)
    trained = bool((parts[rows] == TRAIN).any())
    return Aligned(rows, measured_rows, columns, measured_columns, genes, held_out, trained)


def dense(values: Any, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Take rows and columns of a dense or sparse table, (rows, columns)."""
    if hasattr(values, "toarray"):
        return np.asarray(values[rows][:, columns].toarray(), np.float32)
    return np.asarray(np.asarray(values)[np.ix_(rows, columns)], np.float32)


def _ids(table: AnnData, which: str) -> NDArray[np.int64]:
    if "id" not in table.obs:
        raise ExpressionError(
            f"The {which} cells have no column 'id' in obs that names their nuclei: make the table "
            "again with napari-prts."
        )
    ids = np.asarray(table.obs["id"], np.int64)
    if len(np.unique(ids)) < len(ids):
        raise ExpressionError(f"Several {which} cells have the same id in obs: make it unique.")
    return ids


def _parts(predicted: AnnData) -> NDArray[np.str_]:
    if "split" not in predicted.obs:
        return np.full(predicted.n_obs, "")
    return np.asarray(predicted.obs["split"].astype(str), str)


def _genes(
    predicted: AnnData, measured: AnnData
) -> tuple[NDArray[np.intp], NDArray[np.intp], tuple[str, ...]]:
    for which, table in (("predicted", predicted), ("measured", measured)):
        if not table.var_names.is_unique:
            raise ExpressionError(f"The {which} cells name a gene more than once: make it unique.")
    found = measured.var_names.get_indexer(predicted.var_names)
    columns = np.flatnonzero(found >= 0)
    if not len(columns):
        raise ExpressionError(
            f"None of the {predicted.n_vars:,} predicted genes ({predicted.var_names[0]} ...) is "
            f"among the {measured.n_vars:,} measured ones ({measured.var_names[0]} ...): the model "
            "is for other genes."
        )
    return columns, found[columns], tuple(str(name) for name in predicted.var_names[columns])


def _check_same_slide(predicted: AnnData, measured: AnnData) -> None:
    first = predicted.uns.get("prts", {}).get("slide_fingerprint")
    second = measured.uns.get("visium_hd", {}).get("slide_fingerprint")
    if first is not None and second is not None and str(first) != str(second):
        raise ExpressionError(
            f"The predicted cells are of slide {first}, the measured ones of slide {second}: "
            "choose two tables of the same slide."
        )


def _check_places(
    predicted: AnnData, measured: AnnData, rows: NDArray[np.intp], others: NDArray[np.intp]
) -> None:
    mpp = predicted.uns.get("prts", {}).get("mpp")
    if mpp is None or "spatial" not in predicted.obsm or "spatial" not in measured.obsm:
        return
    first = np.asarray(predicted.obsm["spatial"], np.float64)[rows]
    second = np.asarray(measured.obsm["spatial"], np.float64)[others]
    apart = float(np.median(np.linalg.norm(first - second, axis=1))) * float(mpp)
    if apart > _FARTHEST_UM:
        raise ExpressionError(
            f"Predicted and measured cells with the same id lie {apart:.0f} um apart (median): "
            "they were made with different nuclei. Predict and measure with the same ones."
        )
