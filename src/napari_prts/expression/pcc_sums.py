"""Correlation of many cells without holding them: sums over batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Below this share of the mean square, a variance is what rounding of the sums leaves.
_ROUNDING = 1e-11


class PccSums:
    """Pearson correlation of each gene, from batches of cells.

    The same number as :func:`napari_prts.correlation.pcc_per_gene` but for rounding,
    without a table of all cells and genes.

    Parameters
    ----------
    genes : int
        Columns.
    """

    def __init__(self, genes: int) -> None:
        self._count = 0
        self._sums = np.zeros((5, genes))
        self._low = np.full((2, genes), np.inf, np.float32)
        self._high = np.full((2, genes), -np.inf, np.float32)

    def add(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
        """Add a batch.

        Parameters
        ----------
        first, second : ndarray of float32, shape (cells, genes)
            For the figures of the paper, log1p of expression.
        """
        if not len(first):
            return
        self._count += len(first)
        a, b = first.astype(np.float64), second.astype(np.float64)
        self._sums[0] += a.sum(0)
        self._sums[1] += b.sum(0)
        for total, (left, right) in zip(self._sums[2:], ((a, a), (b, b), (a, b)), strict=True):
            total += np.einsum("ij,ij->j", left, right)
        for side, values in enumerate((first, second)):
            np.minimum(self._low[side], values.min(0), out=self._low[side])
            np.maximum(self._high[side], values.max(0), out=self._high[side])

    def per_gene(self) -> NDArray[np.float64]:
        """PCC of each gene, NaN where one side is the same in all cells; shape (genes,)."""
        pcc = np.full(self._sums.shape[1], np.nan)
        if not self._count:
            return pcc
        varies = (self._high > self._low).all(0)
        found = correlation(self._count, *self._sums)
        pcc[varies] = found[varies]
        return pcc

    def mean(self) -> float:
        """Mean over genes; a gene where it is not defined counts 0."""
        return float(np.nan_to_num(self.per_gene()).mean())


def correlation(
    count: int,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_squares: NDArray[np.float64],
    second_squares: NDArray[np.float64],
    products: NDArray[np.float64],
) -> NDArray[np.float64]:
    """PCC from sums over ``count`` cells; NaN where one side does not vary."""
    covariance = products - first * second / count
    left, right = first_squares - first**2 / count, second_squares - second**2 / count
    defined = (left > _ROUNDING * first_squares) & (right > _ROUNDING * second_squares)
    scale = np.sqrt(np.where(defined, left * right, 1.0))
    bounded: NDArray[np.float64] = np.where(defined, np.clip(covariance / scale, -1.0, 1.0), np.nan)
    return bounded
