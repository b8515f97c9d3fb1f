"""Many outlines of as many points each: checked and laid out without looking at each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.geometry import Rings
from napari_prts.nuclei.ragged import Offsets
from napari_prts.nuclei.validation import LARGEST_COORDINATE, SMALLEST_AREA


def checked_stack(polygons: Any) -> tuple[NDArray[np.float32], Offsets, Rings] | None:
    """Lay out one array of outlines that are all in order.

    Parameters
    ----------
    polygons : object
        An array of shape (n, k, 2), (row, column); not kept. Everything else is
        left to :func:`napari_prts.nuclei.validation.checked`.

    Returns
    -------
    tuple, or None
        Vertices, offsets, and what was computed from them for the check. None if
        one outline or more needs to be looked at, to be corrected or to be named.
    """
    if not (
        isinstance(polygons, np.ndarray) and polygons.ndim == 3 and polygons.dtype.kind in "iuf"
    ):
        return None
    count, points, axes = polygons.shape
    if not count or points < 3 or axes != 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        stack = np.array(polygons, np.float32, order="C")
        within = stack.max() <= LARGEST_COORDINATE and stack.min() >= -LARGEST_COORDINATE
    if not within or (stack[:, 0] == stack[:, -1]).all(axis=1).any():
        return None
    vertices, offsets = stack.reshape(-1, 2), np.arange(count + 1) * points
    rings = Rings.of(vertices, offsets)
    # On the border of the smallest area, single precision cannot tell.
    if not (rings.areas > 2 * SMALLEST_AREA).all():
        return None
    return vertices, offsets, rings
