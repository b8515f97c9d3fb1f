"""Counts to log-normalised expression, in a table of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData


def log_normalised(table: AnnData) -> AnnData:
    """Total-count normalise and log1p a copy that holds expression alone.

    Genes without any count are left out; a cell without counts stays at zero.

    Raises
    ------
    ExpressionError
        If there is no expression, or it is negative or no number.
    """
    from anndata import AnnData

    counts = sparse.csr_matrix(table.X, dtype=np.float32)
    if counts.nnz and (not np.isfinite(counts.data).all() or counts.data.min() < 0):
        raise ExpressionError(
            "The expression has values that are negative or no numbers: give counts, not scaled or "
            "corrected values."
        )
    found = np.asarray(counts.sum(0)).ravel() > 0
    if not found.any():
        raise ExpressionError("The cells have no counts at all: there is nothing to group.")
    counts = counts[:, found]
    totals = np.asarray(counts.sum(1)).ravel()
    # The median of cells with counts, as scanpy's normalize_total does.
    factors = np.median(totals[totals > 0]) / np.where(totals > 0, totals, 1)
    normalised = sparse.csr_matrix(sparse.diags(factors.astype(np.float32)) @ counts)
    normalised.data = np.log1p(normalised.data)
    return AnnData(normalised, obs=table.obs[[]].copy(), var=table.var.loc[found, []].copy())
