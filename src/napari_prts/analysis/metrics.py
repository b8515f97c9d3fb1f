"""The figures of agreement, gene by gene over cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rmse_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Root of the mean squared difference over cells, (genes,).

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        For the paper's figures, log1p of expression.
    """
    squares = (np.asarray(predicted, np.float64) - measured) ** 2
    root: NDArray[np.float64] = np.sqrt(squares.mean(0))
    return root


def accuracy_per_gene(
    predicted: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of cells where "is expressed" is told right, (genes,).

    Parameters
    ----------
    predicted, measured : ndarray of bool, shape (cells, genes)
        Whether the gene is expressed.
    """
    right: NDArray[np.float64] = (predicted == measured).mean(0)
    return right
