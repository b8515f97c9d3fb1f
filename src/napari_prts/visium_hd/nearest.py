"""The nearest of several nuclei for each bin, met in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Distances that differ by no more are the same: vertices are float32, and rounding in a
# distance between points of a slide is ten thousand times smaller.
TIE_PX = 1e-6


class Nearest:
    """Keeps the two smallest distances of each bin, and the owner of the smallest.

    Parameters
    ----------
    bins : int
        How many bins there are.
    """

    def __init__(self, bins: int) -> None:
        self._best = np.full(bins, np.inf)
        self._second = np.full(bins, np.inf)
        self._owner = np.full(bins, -1, np.int64)

    def add(
        self,
        bins: NDArray[np.int64],
        owners: NDArray[np.int64],
        distances: NDArray[np.float64],
    ) -> None:
        """Take pairs of bin and nucleus with their distance; each pair comes once."""
        if not len(bins):
            return
        order = np.lexsort((distances, bins))
        bins, owners, distances = bins[order], owners[order], distances[order]
        first = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
        following = np.minimum(first + 1, len(bins) - 1)
        again = (following > first) & (bins[following] == bins[first])
        best = distances[first]
        second = np.where(again, distances[following], np.inf)
        self._merge(bins[first], owners[first], best, second)

    def _merge(
        self,
        bins: NDArray[np.int64],
        owners: NDArray[np.int64],
        best: NDArray[np.float64],
        second: NDArray[np.float64],
    ) -> None:
        before = self._best[bins]
        nearer = best < before
        self._owner[bins[nearer]] = owners[nearer]
        self._best[bins] = np.minimum(before, best)
        others = np.minimum(self._second[bins], second)
        self._second[bins] = np.minimum(others, np.maximum(before, best))

    def found(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Bins that a nucleus is near to, its position, and whether a second is as near."""
        bins = np.flatnonzero(self._owner >= 0)
        ties = self._second[bins] - self._best[bins] <= TIE_PX
        return bins, self._owner[bins], ties
