"""Looking up points by rectangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_POINTS_PER_CELL = 8
# Cells are counted in 16 bits, which numpy sorts many times quicker than wider numbers.
_MOST_PER_SIDE = 256


class PointGrid:
    """Points sorted into square cells.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Row and column of each point.
    """

    def __init__(self, points: NDArray[np.floating]) -> None:
        self._points = points
        if not len(points):
            return
        self._origin = points.min(axis=0).astype(np.float64)
        size = points.max(axis=0) - self._origin
        per_side = min(_MOST_PER_SIDE - 1, max(1, int(np.sqrt(len(points) / _POINTS_PER_CELL))))
        self._cell = max(float(size.max()) / per_side, 1e-3)
        self._shape = (size / self._cell).astype(np.int64) + 1
        cells = self._cells(points)
        flat = (cells[:, 0] * self._shape[1] + cells[:, 1]).astype(np.uint16)
        order = np.argsort(flat, kind="stable")
        self._order = order.astype(np.int32 if len(points) < 2**31 else np.int64)
        counts = np.bincount(flat, minlength=int(self._shape.prod()))
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def _cells(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        cells = np.floor((points - self._origin) / self._cell)
        return np.asarray(np.clip(cells, 0, self._shape - 1).astype(np.int64))

    def inside(self, r0: float, c0: float, r1: float, c1: float) -> NDArray[np.int64]:
        """Find points with ``r0 <= row < r1`` and ``c0 <= column < c1``, in ascending order."""
        if not len(self._points) or not (r0 < r1 and c0 < c1):
            return np.zeros(0, np.int64)
        corners = np.array([[r0, c0], [r1, c1]], np.float64)
        (row0, column0), (row1, column1) = self._cells(corners)
        lines = np.arange(row0, row1 + 1) * self._shape[1]
        starts, stops = self._starts[lines + column0], self._starts[lines + column1 + 1]
        near = np.concatenate(
            [self._order[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        )
        row, column = self._points[near].T
        within = (row >= r0) & (row < r1) & (column >= c0) & (column < c1)
        return np.sort(near[within]).astype(np.int64)
