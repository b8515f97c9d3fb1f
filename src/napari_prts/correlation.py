"""Pearson correlation of each gene over cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Columns taken at once, so that 60,000 cells need no second copy of all genes.
_BLOCK = 256


def pcc_per_gene(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson correlation coefficient (PCC) of each column.

    Parameters
    ----------
    first, second : ndarray, shape (cells, genes)
        For the figures of the paper, log1p of expression.

    Returns
    -------
    ndarray of float64, shape (genes,)
        NaN where a column is the same in all cells on either side: correlation
        is not defined there.
    """
    found = [
        _pcc(first[:, start : start + _BLOCK], second[:, start : start + _BLOCK])
        for start in range(0, first.shape[1], _BLOCK)
    ]
    return np.concatenate(found) if found else np.empty(0)


def mean_pcc(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Mean over genes of :func:`pcc_per_gene`; a gene where it is not defined counts 0."""
    return float(np.nan_to_num(pcc_per_gene(first, second)).mean())


def _pcc(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    if not len(first):
        return np.full(first.shape[1], np.nan)
    defined = (np.ptp(first, axis=0) > 0) & (np.ptp(second, axis=0) > 0)
    a = first.astype(np.float64) - first.mean(0, dtype=np.float64)
    b = second.astype(np.float64) - second.mean(0, dtype=np.float64)
    scale = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    pcc = np.full(first.shape[1], np.nan)
    np.divide((a * b).sum(0), scale, out=pcc, where=defined & (scale > 0))
    bounded: NDArray[np.float64] = np.clip(pcc, -1.0, 1.0)
    return bounded
