"""Drawing nuclei into label images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.nuclei.ragged import Offsets, offsets_of
from napari_prts.nuclei.spans import filled
from napari_prts.nuclei.table import Nuclei


def rasterise(
    polygons: Nuclei | Sequence[NDArray[np.floating]],
    height: int,
    width: int,
    offset: tuple[float, float] = (0, 0),
    scale: float = 1.0,
    values: ArrayLike | None = None,
) -> NDArray[np.int32]:
    """Draw polygons into a window of the slide.

    A pixel is drawn when its centre lies inside; a polygon too small for that is
    drawn as the one pixel of its centroid. Later polygons cover earlier ones.

    Parameters
    ----------
    polygons : Nuclei or sequence of ndarray of shape (k, 2)
        Outlines, (row, column) in level-0 pixels.
    height, width : int
        Size of the image.
    offset : tuple of float
        Row and column, in level-0 pixels, of the window's top left corner, as
        :meth:`napari_prts.slide.Slide.read` has it.
    scale : float
        Image pixels per level-0 pixel.
    values : array-like of int, shape (n,), optional
        What each polygon is drawn with; 1, 2, ... by default.

    Returns
    -------
    ndarray of int32, shape (height, width)
        0 where there is no polygon.
    """
    vertices, offsets = _laid_end_to_end(polygons)
    count = len(offsets) - 1
    drawn = np.arange(1, count + 1) if values is None else np.asarray(values)
    image = np.zeros(height * width, np.int32)
    spans = filled(to_window(vertices, offset, scale), offsets).clipped(0, 0, height, width)
    image[spans.pixels(width)] = np.repeat(drawn[spans.owner], spans.lengths)
    return image.reshape(height, width)


def to_window(
    vertices: NDArray[np.floating], offset: tuple[float, float], scale: float
) -> NDArray[np.float64]:
    """Turn level-0 pixels into pixels of a scaled window, centres at whole numbers in both.

    Parameters
    ----------
    vertices : ndarray, shape (v, 2)
        In level-0 pixels.
    offset : tuple of float
        Top left corner of the window in level-0 pixels: there begins its first pixel.
    scale : float
        Window pixels per level-0 pixel.
    """
    corner = np.asarray(offset, np.float64)
    return np.asarray((vertices.astype(np.float64) + 0.5 - corner) * scale - 0.5)


def _laid_end_to_end(
    polygons: Nuclei | Sequence[NDArray[np.floating]],
) -> tuple[NDArray[np.floating], Offsets]:
    if isinstance(polygons, Nuclei):
        return polygons.vertices, polygons.offsets
    vertices = np.concatenate([np.zeros((0, 2)), *polygons])
    return vertices, offsets_of([len(polygon) for polygon in polygons])
