"""How unlike its training cells a cell is, in the space of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 2000
NEIGHBOUR = 5
_PERCENTILE = 95.0
_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class TrainingCells:
    """A sample of the training cells, to compare others with.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, features)
        Standardised features.
    scale : float
        Distance that counts as 1.
    """

    rows: NDArray[np.float32]
    scale: float

    @classmethod
    def fit(
        cls, training: NDArray[np.float32], validation: NDArray[np.float32], seed: int
    ) -> TrainingCells:
        """Keep at most 2,000 training cells.

        The scale is the 95th percentile of the distances of cells that did not
        train, so that 1 in 20 ordinary cells lies beyond 1.

        Parameters
        ----------
        training, validation : ndarray, shape (cells, features)
            Standardised features.
        seed : int
            Of the choice of cells.
        """
        rows = training
        if len(rows) > MOST_ROWS:
            chosen = np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False)
            rows = rows[np.sort(chosen)]
        rows = np.ascontiguousarray(rows, np.float32)
        usual = float(np.percentile(cls(rows, 1.0).distances(validation), _PERCENTILE))
        return cls(rows, usual if usual > 0 else 1.0)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of each cell to its fifth nearest training cell, in units of the scale.

        A training cell finds itself among its neighbours, so its own distance is
        a little shorter than that of a new cell in its place.

        Parameters
        ----------
        features : ndarray, shape (n, features)
            Standardised.
        """
        k = min(NEIGHBOUR, len(self.rows)) - 1
        lengths = (self.rows**2).sum(1)
        found = np.empty(len(features), np.float32)
        for start in range(0, len(features), _BLOCK):
            block = features[start : start + _BLOCK]
            squares = (block**2).sum(1)[:, None] + lengths - 2 * (block @ self.rows.T)
            found[start : start + _BLOCK] = np.partition(squares, k, axis=1)[:, k]
        return (np.sqrt(np.maximum(found, 0)) / self.scale).astype(np.float32)
