"""Drawing many outlines, or as many dots, into a block in a few array operations."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.ragged import counted, owners, successors
from napari_prts.viewer.nuclei_tones import outline_values

Image = NDArray[np.uint8]

# One pixel more to the right and below: a line of one pixel is lost on stained tissue.
_PEN = np.ones((2, 2), np.uint8)
# As large as a nucleus on the coarsest level that has dots.
_DOT = np.ones((3, 3), np.uint8)
# Pixels of a level that a pen or a dot reaches beyond what it draws.
BRUSH = 1


def outlines(nuclei: Nuclei, top: int, left: int, height: int, width: int, factor: int) -> Image:
    """Draw the borders of nuclei into a window of a level.

    Parameters
    ----------
    nuclei : Nuclei
        Drawn in their order: later ones cover earlier ones.
    top, left, height, width : int
        The window, in pixels of the level.
    factor : int
        Level-0 pixels per pixel of the level.

    Returns
    -------
    ndarray of uint8, shape (height, width)
        Values of :mod:`~napari_prts.viewer.nuclei_tones`.
    """
    vertices, offsets = nuclei.vertices, nuclei.offsets
    # The centre of the first level-0 pixel is at 0: the level begins half a pixel before it.
    corner = np.array([top - BRUSH, left - BRUSH], np.float64)
    places = (vertices.astype(np.float64) + 0.5) / factor - corner
    if not len(places):
        return np.zeros((height, width), np.uint8)
    ways = places[successors(offsets)] - places
    # As many points along each edge as it crosses pixels: no gaps.
    steps = np.maximum(np.ceil(np.abs(ways).max(axis=1)), 1).astype(np.int64)
    if (steps > 1).any():
        edge, within = counted(steps)
        share = (within / steps[edge])[:, None]
        points = places[edge] + share * ways[edge]
        values = outline_values(nuclei.sources)[owners(offsets)[edge]]
    else:
        points, values = places, outline_values(nuclei.sources)[owners(offsets)]
    return _brushed(points, values, height, width, _PEN, (0, 0))


def dots(
    centroids: NDArray[np.floating],
    sources: NDArray[np.integer],
    top: int,
    left: int,
    height: int,
    width: int,
    factor: int,
) -> Image:
    """Draw nuclei that are no larger than a dot; see :func:`outlines`.

    Parameters
    ----------
    centroids : ndarray, shape (n, 2)
        In level-0 pixels.
    sources : ndarray of int, shape (n,)
        How the nuclei came about.
    top, left, height, width, factor : int
        The window.
    """
    corner = np.array([top - BRUSH, left - BRUSH], np.float64)
    points = (centroids.astype(np.float64) + 0.5) / factor - corner
    return _brushed(points, outline_values(sources), height, width, _DOT, (1, 1))


def _brushed(
    points: NDArray[np.float64],
    values: Image,
    height: int,
    width: int,
    brush: Image,
    anchor: tuple[int, int],
) -> Image:
    """Set the pixels of points, enlarge them by a brush and cut the margin off."""
    rows, columns = height + 2 * BRUSH, width + 2 * BRUSH
    row, column = np.floor(points).astype(np.int64).T
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    image = np.zeros(rows * columns, np.uint8)
    image[row[inside] * columns + column[inside]] = values[inside]
    grown = cv2.dilate(image.reshape(rows, columns), brush, anchor=anchor)
    return np.ascontiguousarray(grown[BRUSH:-BRUSH, BRUSH:-BRUSH], np.uint8)
