"""Tiles that nuclei share: a lattice over the slide in the place of a tile for each nucleus.

Nuclei are dense, so tiles of their own cover the tissue some twenty times. Here tiles lie
on a fixed lattice, 192 px apart, and overlap by a quarter of their side; each is encoded
once. A nucleus takes its local tokens from the tile whose centre is nearest, at most 96 px
away, so that it lies 32 px or more from the tile's border; its context is interpolated
between the four tiles around it. Both depend on the nucleus and the slide alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Of a tile's side, from one tile to the next: three quarters are 192 of 256 px. Half would
# mean 1.8 times the tiles; the share of the ceiling that a model reaches is the same within
# what chance does (benchmarks/prediction.py).
STRIDE = 0.75


@dataclass(frozen=True, eq=False)
class Lattice:
    """Which tiles of the lattice nuclei need, and what each takes from them.

    Parameters
    ----------
    corners : ndarray of int64, shape (m, 2)
        Upper left corners of the tiles, in pixels of the encoder's scale.
    around : ndarray of int64, shape (n, 4)
        The four tiles around each nucleus; one may be there several times.
    weights : ndarray of float32, shape (n, 4)
        Their shares in its context; they add up to 1.
    nearest : ndarray of int64, shape (n,)
        The tile that its tokens are taken from.
    """

    corners: Ints
    around: Ints
    weights: NDArray[np.float32]
    nearest: Ints

    @classmethod
    def of(cls, places: NDArray[np.floating], shape: tuple[float, float], tile: int) -> Lattice:
        """Lay the lattice under nuclei.

        Parameters
        ----------
        places : ndarray, shape (n, 2)
            Centroids (row, column) in pixels of the encoder's scale, from the slide's corner.
        shape : tuple of float
            Rows and columns of the slide at that scale.
        tile : int
            Side of a tile.
        """
        stride = round(tile * STRIDE)
        # A tile stands for the square of one stride around its centre.
        last = np.maximum(np.ceil(np.asarray(shape) / stride) - 1, 0)
        steps = np.asarray(places, np.float64) / stride
        nearest = np.clip(np.floor(steps), 0, last)
        first = np.floor(steps - 0.5)
        share = steps - 0.5 - first
        low, high = np.clip(first, 0, last), np.clip(first + 1, 0, last)
        rows = np.stack([low[:, 0], low[:, 0], high[:, 0], high[:, 0]], axis=1)
        columns = np.stack([low[:, 1], high[:, 1], low[:, 1], high[:, 1]], axis=1)
        down = np.stack([1 - share[:, 0], 1 - share[:, 0], share[:, 0], share[:, 0]], axis=1)
        right = np.stack([1 - share[:, 1], share[:, 1], 1 - share[:, 1], share[:, 1]], axis=1)
        width = int(last[1]) + 1
        numbers = (rows * width + columns).astype(np.int64)
        own = (nearest[:, 0] * width + nearest[:, 1]).astype(np.int64)
        used, index = np.unique(np.concatenate([numbers.ravel(), own]), return_inverse=True)
        cells = np.stack([used // width, used % width], axis=1)
        count = 4 * len(places)
        return cls(
            cells * stride - (tile - stride) // 2,
            index[:count].reshape(-1, 4),
            (down * right).astype(np.float32),
            index[count:],
        )

    def __len__(self) -> int:
        return len(self.corners)

    def context(self, rows: Ints, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate the context of some nuclei.

        Parameters
        ----------
        rows : ndarray of int64, shape (k,)
            Which nuclei.
        seen : ndarray of float32, shape (m, D)
            Context of the tiles; those of these nuclei are needed.

        Returns
        -------
        ndarray of float32, shape (k, D)
        """
        found = np.zeros((len(rows), seen.shape[1]), np.float32)
        # One after the other, so that the sum is the same whatever came first.
        for corner in range(4):
            found += seen[self.around[rows, corner]] * self.weights[rows, corner, None]
        return found


class Waiting:
    """Tells which nuclei have all their tiles.

    Parameters
    ----------
    lattice : Lattice
        The plan.
    """

    def __init__(self, lattice: Lattice) -> None:
        count = len(lattice.nearest)
        pairs = np.column_stack((np.repeat(np.arange(count), 4), lattice.around.ravel()))
        pairs = np.unique(pairs, axis=0)
        self._left = np.bincount(pairs[:, 0], minlength=count)
        order = np.argsort(pairs[:, 1], kind="stable")
        edges = np.searchsorted(pairs[order, 1], np.arange(1, len(lattice)))
        self._members = np.split(pairs[order, 0], edges) if len(lattice) else []

    def finish(self, tiles: Ints) -> Ints:
        """Tell that tiles are done; give the nuclei that wait for no other now."""
        ready = []
        for tile in tiles:
            members = self._members[tile]
            self._left[members] -= 1
            ready.append(members[self._left[members] == 0])
        return np.concatenate(ready) if ready else np.empty(0, np.int64)
