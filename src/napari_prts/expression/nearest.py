"""Which training cell looks most like a cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2048


def sampled_rows(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Choose at most ``most`` of ``count`` training cells, in rising order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def nearest_rows(rows: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.int32]:
    """Find the nearest training cell of each cell.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, features)
        Standardised features of training cells, one or more.
    features : ndarray of float32, shape (n, features)
        Those of the cells.

    Returns
    -------
    ndarray of int32, shape (n,)
        Positions in ``rows``; of equally near ones the first.
    """
    lengths = (rows**2).sum(1)
    found = np.empty(len(features), np.int32)
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK]
        # A cell's own length is the same for all rows, and makes no difference.
        found[start : start + _BLOCK] = np.argmin(lengths - 2 * (block @ rows.T), axis=1)
    return found
