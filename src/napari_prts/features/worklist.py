"""Which nuclei are encoded next: those on screen, then outward, then the rest of the slide."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from napari_prts.focus import Focus, View

Positions = NDArray[np.int64]


class Worklist:
    """Nuclei that are still to be encoded. Safe to use from several threads.

    Those on screen come first, from the middle of the view outward, and among them those
    that were drawn or corrected by hand. All others come block by block of the slide, the
    nearest block first, so that pixels are read once. When the view has changed the order
    is made anew at the next :meth:`take`.

    Parameters
    ----------
    centroids : ndarray, shape (n, 2)
        Of all nuclei, (row, column) in level-0 pixels.
    positions : ndarray of int64, shape (m,)
        Which of them are to be encoded.
    block : float
        Side of a block in level-0 pixels.
    offset : float
        Where the first block begins, in level-0 pixels, in rows as in columns.
    focus : Focus, optional
        Where the user looks; without it the blocks come row by row.
    by_hand : ndarray of bool, shape (n,), optional
        Nuclei that somebody drew or corrected.
    """

    def __init__(
        self,
        centroids: NDArray[np.floating],
        positions: Positions,
        block: float,
        offset: float = 0.0,
        focus: Focus | None = None,
        by_hand: NDArray[np.bool_] | None = None,
    ) -> None:
        self.positions = np.asarray(positions, np.int64)
        self._centroids = np.asarray(centroids, np.float64)
        self._block, self._offset, self._focus = block, offset, focus
        self._by_hand = np.zeros(len(centroids), np.bool_) if by_hand is None else by_hand
        self._lock = threading.Lock()
        self._waiting = self.positions
        self._ordered_for: View | str | None = "nothing yet"

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def view(self) -> View | None:
        """What is on screen now, if anything is."""
        return self._focus.view if self._focus is not None else None

    def take(self, count: int) -> Positions:
        """Take the next nuclei from the list, at most ``count``; none when it is empty."""
        with self._lock:
            view = self.view
            if view != self._ordered_for:
                self._waiting = self._waiting[self._order(self._waiting, view)]
                self._ordered_for = view
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            return taken

    def _order(self, positions: Positions, view: View | None) -> NDArray[np.intp]:
        places = self._centroids[positions]
        block = np.floor((places - self._offset) / self._block)
        if view is None:
            return np.lexsort((positions, block[:, 1], block[:, 0]))
        outside = ~view.holds(places)
        middles = np.where(outside[:, None], (block + 0.5) * self._block + self._offset, places)
        away = np.square(middles - np.array(view.centre)).sum(axis=1)
        later = outside | ~self._by_hand[positions]
        return np.lexsort((positions, block[:, 1], block[:, 0], away, later, outside))


def nearest_first(
    middles: NDArray[np.floating], waiting: NDArray[np.bool_], view: View | None
) -> int:
    """Choose what is done next among places that are whole pieces of work.

    Parameters
    ----------
    middles : ndarray, shape (n, 2)
        (row, column) of each, in level-0 pixels.
    waiting : ndarray of bool, shape (n,)
        Which are still to be done, one at least.
    view : View or None
        What is on screen.

    Returns
    -------
    int
        The one nearest to the middle of the view; the first without a view.
    """
    if view is None:
        return int(np.argmax(waiting))
    away = np.square(middles - np.array(view.centre)).sum(axis=1)
    return int(np.argmin(np.where(waiting, away, np.inf)))
