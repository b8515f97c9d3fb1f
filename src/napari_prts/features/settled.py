"""Which nuclei have features that nothing can change any more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class Settled:
    """Tells which nuclei have been encoded together with all their neighbours.

    Parameters
    ----------
    centroids_um : ndarray, shape (n, 2)
        (row, column) in micrometres.
    reach_um : float
        How far a neighbour matters; 0 if none does.
    """

    def __init__(self, centroids_um: NDArray[np.floating], reach_um: float) -> None:
        self._reach = reach_um
        self._centroids = centroids_um
        if reach_um and len(centroids_um):
            cells = np.floor((centroids_um - centroids_um.min(axis=0)) / reach_um)
            self._cells = cells.astype(np.int64)
            self._shape = tuple((self._cells.max(axis=0) + 1).tolist())

    def among(self, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which nuclei are done, given which have been encoded, shape (n,).

        A square of three times the reach must be done, so that it may be said a little
        late, and never too early.
        """
        if not self._reach or not len(found):
            return found
        missing = np.zeros(self._shape, np.bool_)
        missing[tuple(self._cells[~found].T)] = True
        near: NDArray[np.bool_] = ndimage.maximum_filter(missing, size=3, mode="constant")
        settled: NDArray[np.bool_] = found & ~near[tuple(self._cells.T)]
        return settled

    def with_neighbours(
        self, rows: NDArray[np.int64], found: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Rows, then as many others as their values may depend on."""
        if not self._reach or not len(rows):
            return rows
        low = self._centroids[rows].min(axis=0) - self._reach
        high = self._centroids[rows].max(axis=0) + self._reach
        near = ((self._centroids >= low) & (self._centroids <= high)).all(axis=1) & found
        near[rows] = False
        return np.concatenate([rows, np.flatnonzero(near)])
