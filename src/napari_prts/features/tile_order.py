"""Which shared tile is encoded next: half of those in view, the other half, then the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_prts.features.first_look import FirstLook
    from napari_prts.features.lattice import Lattice
    from napari_prts.features.worklist import Worklist
    from napari_prts.focus import View

Ints = NDArray[np.int64]


class TileOrder:
    """Turns a list of nuclei into a list of tiles, each of them once.

    Parameters
    ----------
    work : Worklist
        The nuclei, in the order in which they are wanted now.
    row : ndarray of int64
        Row of each nucleus in the lattice, by its position.
    centroids : ndarray, shape (n, 2)
        Of the lattice's nuclei, (row, column) in level-0 pixels.
    lattice : Lattice
        Their tiles.
    middles : ndarray, shape (m, 2)
        Of the tiles, (row, column) in level-0 pixels.
    first : FirstLook, optional
        Which tiles of the view can wait; without it none can.
    """

    def __init__(
        self,
        work: Worklist,
        row: Ints,
        centroids: NDArray[np.floating],
        lattice: Lattice,
        middles: NDArray[np.floating],
        first: FirstLook | None,
    ) -> None:
        self._work, self._row, self._centroids = work, row, centroids
        self._lattice, self._middles, self._first = lattice, middles, first
        self._asked = np.zeros(len(lattice), np.bool_)
        self._ready: list[int] = []
        self._later: list[int] = []
        # A nucleus out of view, while the tiles that were put off come before it.
        self._held: tuple[int, View | None] | None = None

    def take(self, count: int) -> Ints:
        """Give the next tiles, at most ``count``; none at the end."""
        while len(self._ready) < count and (more := self._next()) is not None:
            self._ready += more
        taken, self._ready = self._ready[:count], self._ready[count:]
        return np.array(taken, np.int64)

    def in_view(self, rows: Ints) -> NDArray[np.bool_]:
        """Tell which nuclei, by their rows in the lattice, are on screen now."""
        view = self._work.view
        if view is None:
            return np.zeros(len(rows), np.bool_)
        return view.holds(self._centroids[rows])

    def _next(self) -> list[int] | None:
        if self._held is None:
            positions = self._work.take(1)
            if not len(positions):
                return [self._nearest_put_off()] if self._later else None
            row, view = int(self._row[positions[0]]), self._work.view
            if self._first is not None and self.in_view(np.array([row]))[0]:
                now, later = self._first.split(row)
                self._later += self._new(later)
                return self._new(now)
            self._held = row, view
        row, view = self._held
        if self._later and self._work.view == view:
            return [self._nearest_put_off()]
        self._held = None
        return self._new(np.unique(self._lattice.around[row]))

    def _nearest_put_off(self) -> int:
        view, place = self._work.view, 0
        if view is not None:
            away = np.square(self._middles[self._later] - np.array(view.centre)).sum(axis=1)
            place = int(np.argmin(away))
        return self._later.pop(place)

    def _new(self, tiles: Iterable[int]) -> list[int]:
        new = [int(tile) for tile in tiles if not self._asked[tile]]
        self._asked[new] = True
        return new
