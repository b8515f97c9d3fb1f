"""Predicted and measured cells side by side without copying either: what a region is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.analysis.alignment import TRAIN, align
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

PREDICTED, MEASURED = "predicted", "measured"


@dataclass(frozen=True, eq=False)
class Side:
    """One table's share in a pair.

    Parameters
    ----------
    name : str
        ``"predicted"`` or ``"measured"``.
    values : array or sparse matrix
        ``X`` of the table, not copied.
    rows : ndarray of int, shape (cells,)
        Row of each cell of the pair.
    columns : ndarray of int, shape (genes,), or None
        Column of each gene of the pair; None if they are the table's own, in its order.
    """

    name: str
    values: Any
    rows: NDArray[np.intp]
    columns: NDArray[np.intp] | None

    def block(self, cells: NDArray[np.intp]) -> NDArray[np.float32]:
        """Take some cells as they stand in the table, (cells, genes).

        Raises
        ------
        ExpressionError
            If a value is negative or no number.
        """
        taken = self.values[self.rows[cells]]
        if self.columns is not None:
            taken = taken[:, self.columns]
        dense = taken.toarray() if hasattr(taken, "toarray") else taken
        block = np.asarray(dense, np.float32)
        # NaN fails the comparison too.
        if block.size and not block.min() >= 0:
            raise ExpressionError(
                f"The {self.name} expression has values that are negative or no numbers: give "
                "counts, not scaled or corrected values."
            )
        return block


@dataclass(frozen=True, eq=False)
class Paired:
    """The cells and genes that both tables have; of a single table, all of them.

    Made by :func:`pair` once for two tables and used for any number of regions.

    Parameters
    ----------
    ids : ndarray of int64, shape (cells,)
        Nuclei, ascending.
    genes : tuple of str
        Names, in the order of the prediction.
    predicted, measured : Side or None
        At least one of them.
    places_um : ndarray of float64, shape (cells, 2), or None
        (row, column); None if the tables hold no places or no pixel size.
    trained : ndarray of bool, shape (cells,)
        Cells that the model was trained on.
    mpp : float or None
        Micrometres per level-0 pixel, if a table says so.
    held_out : bool
        Whether only cells of the region left out of training are in.
    """

    ids: NDArray[np.int64]
    genes: tuple[str, ...]
    predicted: Side | None
    measured: Side | None
    places_um: NDArray[np.float64] | None
    trained: NDArray[np.bool_]
    mpp: float | None
    held_out: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sides(self) -> tuple[Side, ...]:
        """Those that are there."""
        return tuple(side for side in (self.predicted, self.measured) if side is not None)

    def cells_of(self, ids: ArrayLike) -> NDArray[np.intp]:
        """Positions of those of some nuclei that are in the pair, ascending."""
        return np.flatnonzero(np.isin(self.ids, np.asarray(ids, np.int64)))


def pair(predicted: AnnData | None, measured: AnnData | None, only_scored: bool = False) -> Paired:
    """Put two tables side by side.

    Parameters
    ----------
    predicted, measured : AnnData or None
        Counts with ``obs["id"]``; one of them may be missing.
    only_scored : bool
        Whether to take, of a prediction that marks a region left out of training, the cells of
        that region alone, as :func:`~napari_prts.analysis.evaluate` does. By default all are
        taken, trained on or not: a person asks of the cells that lie there.

    Raises
    ------
    ExpressionError
        If both are missing, or they share no cells or no genes, or are of different slides or
        nuclei.
    """
    if predicted is None and measured is None:
        raise ExpressionError("There is no expression to ask: predict or measure cells first.")
    if predicted is None or measured is None:
        return _alone(predicted, measured)
    both = align(predicted if only_scored else _without_parts(predicted), measured)
    return Paired(
        np.asarray(predicted.obs["id"], np.int64)[both.predicted_rows],
        both.genes,
        _side(PREDICTED, predicted, both.predicted_rows, both.predicted_columns),
        _side(MEASURED, measured, both.measured_rows, both.measured_columns),
        _places_um(predicted, both.predicted_rows, _mpp(predicted, measured)),
        _trained(predicted)[both.predicted_rows],
        _mpp(predicted, measured),
        both.held_out,
    )


def _alone(predicted: AnnData | None, measured: AnnData | None) -> Paired:
    table, name = (predicted, PREDICTED) if measured is None else (measured, MEASURED)
    assert table is not None
    if "id" not in table.obs:
        raise ExpressionError(
            f"The {name} cells have no column 'id' in obs that names their nuclei: make the table "
            "again with napari-prts."
        )
    rows = np.argsort(np.asarray(table.obs["id"], np.int64), kind="stable")
    side = Side(name, table.X, rows, None)
    mpp = _mpp(table)
    return Paired(
        np.asarray(table.obs["id"], np.int64)[rows],
        tuple(str(gene) for gene in table.var_names),
        side if name == PREDICTED else None,
        side if name == MEASURED else None,
        _places_um(table, rows, mpp),
        _trained(table)[rows],
        mpp,
    )


def _side(name: str, table: AnnData, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Side:
    own = np.array_equal(columns, np.arange(table.n_vars))
    return Side(name, table.X, rows, None if own else columns)


def _without_parts(predicted: AnnData) -> AnnData:
    """The table's frame without its expression, and without the word on what was left out."""
    from anndata import AnnData

    columns = [name for name in predicted.obs if name != "split"]
    frame = AnnData(obs=predicted.obs[columns], var=predicted.var[[]], uns=dict(predicted.uns))
    if "spatial" in predicted.obsm:
        frame.obsm["spatial"] = predicted.obsm["spatial"]
    return frame


def _trained(table: AnnData) -> NDArray[np.bool_]:
    if "split" not in table.obs:
        return np.zeros(table.n_obs, np.bool_)
    return np.asarray(table.obs["split"].astype(str) == TRAIN)


def _mpp(*tables: AnnData) -> float | None:
    for table in tables:
        for key in ("prts", "visium_hd"):
            mpp = table.uns.get(key, {}).get("mpp")
            if mpp is not None:
                return float(mpp)
    return None


def _places_um(
    table: AnnData, rows: NDArray[np.intp], mpp: float | None
) -> NDArray[np.float64] | None:
    if mpp is None or "spatial" not in table.obsm:
        return None
    places: NDArray[np.float64] = np.asarray(table.obsm["spatial"], np.float64)[rows, 1::-1]
    return places * mpp
