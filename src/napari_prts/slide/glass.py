"""Telling tissue from glass on a coarse grid of cells.

Colour alone does not do: pale stroma on one scanner is whiter than the glass
of another, and glass may carry a smear of stain. But glass is smooth, and
tissue is not, at a few micrometres. So a cell is tissue if it has texture, or
if it is much darker than the glass around.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

WHITE = (255, 255, 255)

# Standard deviation of optical density in a cell. Measured on five HER2+ sections, a skin
# slide and TNBC tiles: glass, even stained, is below 0.0025; tissue above 0.005 nearly always.
_SMOOTH = 0.004
# Glass lets this much through in its darkest channel, and is nearly grey (grey values).
_GLASS_DARKEST, _GLASS_CHROMA = 150, 45
# Smooth bright cells must make up this share of the picture to count as glass.
_GLASS_SHARE = 0.005
# Optical density above that of glass from which smooth cells are tissue: Otsu's, within limits.
_DENSITY_LIMITS = (0.06, 0.15)
# What a scanner leaves black was never seen.
_BLACK = 30


@dataclass(frozen=True)
class Cells:
    """Statistics of the cells of a grid.

    Parameters
    ----------
    colour : ndarray of float32, shape (row, column, 3)
        Mean grey values.
    texture : ndarray of float32, shape (row, column)
        Standard deviation of the mean optical density.
    """

    colour: NDArray[np.float32]
    texture: NDArray[np.float32]


def density(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return optical density, -log10 of the light let through, mean of the channels.

    Parameters
    ----------
    image : ndarray, shape (..., 3)
        Grey values 0 to 255.
    """
    red, green, blue = (image[..., channel] + np.float32(1) for channel in range(3))
    # The mean of three logarithms is a third of that of the product, and three times as quick.
    return np.asarray(-np.log10(red * green * blue / np.float32(256**3)) / 3, np.float32)


def find_glass(cells: Cells) -> Mask:
    """Return which cells show bare glass; none if there is too little of it."""
    darkest = cells.colour.min(axis=2)
    chroma = cells.colour.max(axis=2) - darkest
    glass = (cells.texture < _SMOOTH) & (darkest > _GLASS_DARKEST) & (chroma < _GLASS_CHROMA)
    # A smooth spot within tissue is no glass; glass comes in patches.
    patches = cv2.morphologyEx(glass.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    glass &= patches > 0
    return glass if glass.mean() >= _GLASS_SHARE else np.zeros_like(glass)


def glass_colour(cells: Cells, glass: Mask) -> tuple[int, int, int]:
    """Return the median colour of bare glass, white if there is none."""
    if not glass.any():
        return WHITE
    red, green, blue = np.rint(np.median(cells.colour[glass], axis=0)).astype(int)
    return int(red), int(green), int(blue)


def find_tissue(
    cells: Cells, glass: Mask, smallest: int, largest_hole: int, other: Mask | None = None
) -> Mask:
    """Return which cells show tissue.

    Parameters
    ----------
    cells : Cells
        The grid.
    glass : ndarray of bool, shape (row, column)
        As :func:`find_glass` returns it.
    smallest, largest_hole : int
        Cells: smaller objects are dust, smaller holes (fat, vessels) are filled.
    other : ndarray of bool, shape (row, column), optional
        What is neither tissue nor glass: pen marks, edges of coverslips.
    """
    seen = np.asarray(cells.colour.max(axis=2) > _BLACK)
    if other is not None:
        seen &= ~other
    if not glass.any():
        return seen
    over = density(cells.colour) - np.median(density(cells.colour[glass]))
    # A pen is darker than tissue and would set the threshold for it.
    stained = over if seen.all() else over[seen]
    tissue = ((cells.texture >= _SMOOTH) | (over > _density_threshold(stained))) & seen
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    tissue = cv2.morphologyEx(tissue.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    tissue = without_small(tissue, smallest)
    return np.asarray(~without_small(~tissue, largest_hole) & seen)


def without_small(mask: Mask, smallest: int) -> Mask:
    """Remove 8-connected objects of fewer than ``smallest`` cells."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    return np.asarray(keep[labels])


def _density_threshold(over: NDArray[np.float32]) -> float:
    """Otsu's threshold, kept within what separates smooth tissue from glass."""
    step = 0.005
    binned = np.clip(over / step, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(binned, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(np.clip(otsu * step, *_DENSITY_LIMITS))
