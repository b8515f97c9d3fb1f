"""Half of the shared tiles are enough to paint what is on screen, before the other half comes.

The lattice is coloured like a chessboard. Of the four tiles around a nucleus two are dark, on
a diagonal; while somebody looks, the dark tiles of the view are encoded first, and what they say
of a nucleus is shown until all four have been seen. It is never kept and never part of a result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.lattice import Lattice, Waiting

Ints = NDArray[np.int64]

# Of each dark tile, beside its share in the interpolation: a nucleus in the middle of a light
# tile has no share in any dark one.
_LEAST_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Early:
    """What half of the tiles say of some nuclei.

    Parameters
    ----------
    rows : ndarray of int64, shape (k,)
        Which nuclei.
    local, context : ndarray of float32, shape (k, L) and (k, C)
        Their features, as far as they are known.
    """

    rows: Ints
    local: NDArray[np.float32]
    context: NDArray[np.float32]


class FirstLook:
    """Which tiles come first while somebody looks, and what they say.

    Parameters
    ----------
    lattice : Lattice
        The tiles.
    places : ndarray, shape (n, 2)
        Centroids (row, column) in pixels of the encoder's scale.
    tile : int
        Side of a tile.
    margin : float
        How far from a tile's border a nucleus must lie to take tokens from it.
    local_size : int
        Columns of the local part.
    """

    def __init__(
        self,
        lattice: Lattice,
        places: NDArray[np.floating],
        tile: int,
        margin: float,
        local_size: int,
    ) -> None:
        self._lattice = lattice
        pairs = lattice.pairs[lattice.dark[lattice.pairs[:, 1]]]
        self._waiting = Waiting(pairs, len(places), len(lattice))
        # Seen by their dark tiles, and neither told nor whole.
        self._half = np.zeros(len(places), np.bool_)
        away = np.abs(places[pairs[:, 0]] - lattice.corners[pairs[:, 1]] - tile / 2).max(axis=1)
        inside = away <= tile / 2 - margin
        lone = np.ones(len(places), np.bool_)
        lone[pairs[inside, 0]] = False
        # Nearest last: it overwrites the other.
        order = np.argsort(-away, kind="stable")
        order = order[lone[pairs[order, 0]]]
        self._stand_in = np.full(len(places), -1, np.int64)
        self._stand_in[pairs[order, 0]] = pairs[order, 1]
        self._of_tile = _by_tile(self._stand_in, len(lattice))
        self._stand_in_row = np.full(len(places), -1, np.int64)
        standing = np.flatnonzero(self._stand_in >= 0)
        self._stand_in_row[standing] = np.arange(len(standing))
        self._local = np.zeros((len(standing), local_size), np.float32)

    def split(self, row: int) -> tuple[Ints, Ints]:
        """Give the tiles of a nucleus that come first, and those that can wait."""
        tiles = np.unique(self._lattice.around[row])
        dark = self._lattice.dark[tiles]
        return (tiles[dark], tiles[~dark]) if dark.any() else (tiles, tiles[:0])

    def guests(self, tile: int) -> Ints:
        """Nuclei that lie well inside of no dark tile, and take tokens from this one's border."""
        return self._of_tile[tile]

    def keep(self, rows: Ints, local: NDArray[np.float32]) -> None:
        """Take the local parts of guests."""
        self._local[self._stand_in_row[rows]] = local

    def seen(
        self,
        tiles: Ints,
        whole: Ints,
        in_view: Callable[[Ints], NDArray[np.bool_]],
        local: NDArray[np.floating],
        count: Ints,
        context: NDArray[np.float32],
    ) -> Early | None:
        """Tell what can be said after some tiles; None if it is nothing new.

        Parameters
        ----------
        tiles : ndarray of int64
            Those that have been looked at just now.
        whole : ndarray of int64
            Nuclei that have been seen by all their tiles just now.
        in_view : callable
            Tells which of some nuclei are on screen now.
        local : ndarray, shape (n, L)
            Sums of the local parts by those tiles that nuclei lie well inside of.
        count : ndarray of int64, shape (n,)
            How many these are.
        context : ndarray of float32, shape (m, C)
            Of all tiles; those that were not looked at mean nothing.
        """
        self._half[self._waiting.finish(tiles)] = True
        self._half[whole] = False
        rows = np.flatnonzero(self._half)
        rows = rows[in_view(rows)]
        if not len(rows):
            return None
        self._half[rows] = False
        means = (local[rows] / np.maximum(count[rows, None], 1)).astype(np.float32)
        lone = count[rows] == 0
        means[lone] = self._local[self._stand_in_row[rows[lone]]]
        around = self._lattice.around[rows]
        shares = (self._lattice.weights[rows] + _LEAST_SHARE) * self._lattice.dark[around]
        shares /= shares.sum(axis=1, keepdims=True)
        # Tiles that nobody has looked at yet may hold anything, also what is no number.
        known = np.where(self._lattice.dark[around][..., None], context[around], 0)
        mixed = np.einsum("kf,kfc->kc", shares, known)
        return Early(rows, means, mixed.astype(np.float32))


def _by_tile(stand_in: Ints, tiles: int) -> list[Ints]:
    rows = np.flatnonzero(stand_in >= 0)
    rows = rows[np.argsort(stand_in[rows], kind="stable")]
    edges = np.searchsorted(stand_in[rows], np.arange(1, tiles))
    return np.split(rows, edges) if tiles else []
