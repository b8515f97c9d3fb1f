"""Dots of a plot as one picture: a hundred thousand are drawn in a moment, smooth-edged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist

from napari_prts.viewer.cell_dots import discs

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Dots are drawn so many times larger and then reduced: it smooths their edges.
_FINER = 2
# What is not chosen recedes, yet stays to be seen.
_RECEDED = 0.22


class Dots(Artist):
    """Dots in the axes' data coordinates; matplotlib's own take seconds for so many.

    Parameters
    ----------
    places : ndarray of float64, shape (n, 2)
        (x, y), all finite.
    colours : ndarray of float32, shape (n, 4)
        RGBA from 0 to 1.
    """

    def __init__(self, places: NDArray[np.float64], colours: NDArray[np.float32]) -> None:
        super().__init__()
        self._places = places
        self._colours = colours
        self._chosen: NDArray[np.bool_] | None = None
        # Not in the order given: the last group of cells would lie over all others.
        self._order = np.random.default_rng(0).permutation(len(places))

    def choose(self, chosen: NDArray[np.bool_] | None) -> None:
        """Light some up, shape (n,), and let the others recede; None shows all alike."""
        self._chosen = chosen
        self.stale = True

    def draw(self, renderer: Any) -> None:
        """Draw all dots into the axes' box."""
        if not len(self._places) or not self.get_visible() or self.axes is None:
            return
        box = self.axes.bbox
        corner = np.floor([box.x0, box.y0])
        shape = (max(int(box.height), 1), max(int(box.width), 1))
        pixels = self.axes.transData.transform(self._places) - corner
        diameter = self.diameter() * renderer.points_to_pixels(1.0)
        picture = self._picture(pixels, shape, diameter)
        context = renderer.new_gc()
        renderer.draw_image(context, corner[0], corner[1], picture)
        context.restore()
        self.stale = False

    def diameter(self) -> float:
        """In points, smaller the more dots there are."""
        steps = ((1_000, 5.0), (6_000, 3.6), (30_000, 2.6))
        return next((size for most, size in steps if len(self._places) <= most), 1.9)

    def _picture(
        self, pixels: NDArray[np.float64], shape: tuple[int, int], diameter: float
    ) -> NDArray[np.uint8]:
        """Draw the dots, (height, width, 4), the lowest row first."""
        order, colours = self._drawn()
        numbers = discs(
            pixels[order][:, ::-1] * _FINER,
            np.arange(len(order)),
            len(order),
            (shape[0] * _FINER, shape[1] * _FINER),
            diameter * _FINER,
        )
        table = np.concatenate([colours[order], np.zeros((1, 4), np.float32)])
        # Colours are averaged by how much of them is there.
        table[:, :3] *= table[:, 3:]
        fine = table[numbers].reshape(shape[0], _FINER, shape[1], _FINER, 4)
        mean = fine.mean(axis=(1, 3))
        cover = np.maximum(mean[..., 3:], 1e-6)
        mean[..., :3] /= cover
        picture: NDArray[np.uint8] = np.rint(mean * 255).astype(np.uint8)
        return picture

    def _drawn(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """In which order dots are drawn, and their colours: those chosen come last."""
        if self._chosen is None:
            return self._order, self._colours
        chosen = self._chosen[self._order]
        order = np.concatenate([self._order[~chosen], self._order[chosen]])
        colours = self._colours.copy()
        colours[~self._chosen, 3] *= _RECEDED
        return order, colours
