"""Bringing measured cells, nuclei and features together, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import ExpressionError, ModelError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# Half a nucleus: beyond it, an id stands for another nucleus than the one measured.
_FARTHEST_UM = 5.0


@dataclass(frozen=True, eq=False)
class MeasuredCells:
    """Measured cells whose nuclei and features are known.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Of the nuclei.
    features : ndarray of float32, shape (n, features)
        Those in use, not standardised.
    counts : csr matrix of float32, shape (n, genes)
        Raw counts.
    genes : tuple of str
        Names.
    centroids_um : ndarray of float64, shape (n, 2)
        (row, column).
    simulated : bool
        Whether the counts were simulated.
    rates : ndarray of float32, shape (n, genes), or None
        The true rates of simulated counts where they are known; NaN for a cell
        whose rate is not.
    """

    ids: NDArray[np.int64]
    features: NDArray[np.float32]
    counts: sparse.csr_matrix
    genes: tuple[str, ...]
    centroids_um: NDArray[np.float64]
    simulated: bool
    rates: NDArray[np.float32] | None = None


def chosen_features(features: Features, use: str) -> NDArray[np.float32]:
    """Features in use, (n, features): ``"both"`` (context, local), ``"local"`` or ``"global"``.

    Raises
    ------
    ModelError
        If there are none, or one is no number.
    """
    matrix = {
        "both": lambda: features.matrix,
        "local": lambda: features.local,
        "global": lambda: features.context,
    }[use]()
    if not matrix.shape[1]:
        raise ModelError(f"Encoder {features.encoder} gives no {use} features: use another part.")
    finite = np.isfinite(matrix).all(1)
    if not finite.all():
        raise ModelError(
            f"The features of {int((~finite).sum())} nuclei by encoder {features.encoder} are not "
            f"all numbers (the first is nucleus {features.ids[~finite][0]}): extract them again."
        )
    return np.asarray(matrix, np.float32)


def match_measured(
    features: Features,
    measured: AnnData,
    nuclei: Nuclei,
    slide: Slide,
    use: str = "both",
    genes: str = "selected",
    names: tuple[str, ...] | None = None,
) -> MeasuredCells:
    """Find the features and places of measured cells.

    Cells whose nucleus was removed since are left out.

    Parameters
    ----------
    features : Features
        Of the slide's nuclei.
    measured : AnnData
        Raw counts, ``obs["id"]``.
    nuclei : Nuclei
        The slide's nuclei.
    slide : Slide
        The slide; its mpp must be known.
    use, genes : str
        See :class:`~napari_prts.expression.TrainRequest`.
    names : tuple of str, optional
        The genes to take, in this order, in place of those that ``genes`` chooses; all
        of them must be there.

    Raises
    ------
    ExpressionError
        If the cells belong to another slide or to other nuclei, or are not raw counts.
    """
    mpp = slide.require_mpp()
    said: dict[str, Any] = dict(measured.uns.get("visium_hd", {}))
    _check_slide(said, slide)
    ids = _ids(measured)
    both, rows, feature_rows = np.intersect1d(ids, features.ids, return_indices=True)
    known = np.isin(both, nuclei.ids)
    both, rows, feature_rows = both[known], rows[known], feature_rows[known]
    if not len(both):
        raise ExpressionError(
            f"None of the {len(ids):,} measured cells is one of the {len(nuclei):,} nuclei of the "
            "slide: measure again with these nuclei."
        )
    centroids = nuclei.centroids[nuclei.positions_of(both)].astype(np.float64)
    _check_places(measured, rows, centroids, mpp)
    columns = (
        selected_genes(measured, genes)
        if names is None
        else measured.var_names.get_indexer(list(names))
    )
    return MeasuredCells(
        both,
        chosen_features(features.take(feature_rows), use),
        _raw_counts(measured, rows, columns),
        tuple(str(name) for name in measured.var_names[columns]),
        centroids * mpp,
        bool(said.get("simulated", False)),
        _true_rates(measured, rows, columns),
    )


def _ids(measured: AnnData) -> NDArray[np.int64]:
    if "id" not in measured.obs:
        raise ExpressionError(
            "The measured cells have no column 'id' in obs that names their nuclei: measure again."
        )
    return np.asarray(measured.obs["id"], np.int64)


def _check_slide(said: dict[str, Any], slide: Slide) -> None:
    fingerprint = said.get("slide_fingerprint")
    if fingerprint is not None and str(fingerprint) != slide.fingerprint:
        raise ExpressionError(
            f"The measured cells belong to another slide (fingerprint {fingerprint}, this one has "
            f"{slide.fingerprint}): open the slide they were measured on, or measure this one."
        )


def _check_places(
    measured: AnnData, rows: NDArray[np.intp], centroids: NDArray[np.float64], mpp: float
) -> None:
    if "spatial" not in measured.obsm:
        return
    then = np.asarray(measured.obsm["spatial"], np.float64)[rows][:, ::-1]
    moved = float(np.median(np.linalg.norm(then - centroids, axis=1))) * mpp
    if moved > _FARTHEST_UM:
        raise ExpressionError(
            f"The measured cells lie {moved:.0f} um (median) from the nuclei with their ids: they "
            "were measured with other nuclei. Measure again with these nuclei."
        )


def selected_genes(measured: AnnData, genes: str) -> NDArray[np.intp]:
    """Columns of the genes to learn: ``"selected"`` (if any are marked) or ``"all"``.

    Raises
    ------
    ExpressionError
        If genes are marked, but none as selected.
    """
    if genes == "all" or "selected" not in measured.var:
        return np.arange(measured.n_vars)
    columns = np.flatnonzero(measured.var["selected"].to_numpy(bool))
    if not len(columns):
        raise ExpressionError(
            "No gene of the measured cells is marked as selected: measure again, or train on all "
            "genes (genes='all')."
        )
    return columns


def _raw_counts(
    measured: AnnData, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> sparse.csr_matrix:
    counts = sparse.csr_matrix(measured.X, dtype=np.float32)[rows][:, columns]
    counts.eliminate_zeros()
    if counts.nnz and (counts.data.min() < 0 or (counts.data != np.round(counts.data)).any()):
        raise ExpressionError(
            "The measured expression is not raw counts (it has negative or fractional values): "
            "give the counts as measured, before normalising."
        )
    if not counts.nnz:
        raise ExpressionError("The measured cells have no counts of the genes to learn.")
    return counts


def _true_rates(
    measured: AnnData, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32] | None:
    if "true_rate" not in measured.layers:
        return None
    taken = measured.layers["true_rate"][rows][:, columns]
    return np.asarray(taken.toarray() if sparse.issparse(taken) else taken, np.float32)
