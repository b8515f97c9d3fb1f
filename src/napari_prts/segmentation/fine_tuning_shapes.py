"""Regions as polygons of shapely: what a user gives, and cutting it into parts.

Shapes are in (x, y) with pixel centres at whole numbers, as outlines of nuclei are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError

Rectangle = tuple[float, float, float, float]
Polygon = tuple[tuple[float, float], ...]
Region = Rectangle | Polygon


def region_shape(region: Region) -> Any:
    """Turn a region into a polygon of shapely, in (x, y) as outlines are.

    Parameters
    ----------
    region : tuple
        (row, column, height, width), where (0, 0) is the corner of the first pixel; or
        three or more (row, column) vertices, where it is its centre.

    Raises
    ------
    ModelError
        If it is neither, or empty.
    """
    import shapely

    try:
        values = np.asarray(region, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape == (4,) and np.isfinite(values).all() and (values[2:] > 0).all():
        row, column, height, width = values - (0.5, 0.5, 0, 0)
        return shapely.box(column, row, column + width, row + height)
    corners = values.ndim == 2 and values.shape[0] > 2 and values.shape[1] == 2
    if corners and np.isfinite(values).all():
        shape = shapely.Polygon(values[:, ::-1])
        whole = common(shapely.make_valid(shape), shapely.box(*shape.bounds))
        if whole.area > 0:
            return whole
    raise ModelError(
        f"{short(region)} is no region: give (row, column, height, width) in full-resolution "
        "pixels with a size above 0, or three or more (row, column) corners."
    )


def equal_parts(shape: Any, points: NDArray[np.floating], count: int) -> list[Any]:
    """Cut regions into compact parts that hold about as many points each.

    Parameters
    ----------
    shape : shapely geometry
        The regions, in (x, y).
    points : ndarray, shape (n, 2)
        Centres of nuclei, (row, column).
    count : int
        Parts, a power of two.

    Returns
    -------
    list of shapely geometry
        Together they are ``shape``; they share borders only.
    """
    import shapely

    west, south, east, north = shapely.bounds(shape)
    boxes = _halved(points, (south, west, north, east), count)
    return [common(shape, shapely.box(c0, r0, c1, r1)) for r0, c0, r1, c1 in boxes]


def common(first: Any, second: Any) -> Any:
    """What two shapes share, without the lines and points in which they only touch."""
    import shapely

    parts = shapely.get_parts(shapely.intersection(first, second))
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def slide_box(shape: tuple[int, int]) -> Any:
    """Box of a whole slide of so many rows and columns."""
    import shapely

    return shapely.box(-0.5, -0.5, shape[1] - 0.5, shape[0] - 0.5)


def short(region: object) -> str:
    """Write a region for a message."""
    text = str(region)
    return text if len(text) < 80 else f"{text[:76]}..."


def _halved(
    points: NDArray[np.floating], box: tuple[float, float, float, float], count: int
) -> list[tuple[float, float, float, float]]:
    if count <= 1:
        return [box]
    r0, c0, r1, c1 = box
    # Across the longer extent of the points: short cuts go through few nuclei.
    spread = np.ptp(points, axis=0) if len(points) else np.array([r1 - r0, c1 - c0])
    axis = int(spread[1] > spread[0])
    ends = (r0, r1) if axis == 0 else (c0, c1)
    at = float(np.median(points[:, axis])) if len(points) else sum(ends) / 2
    low = points[:, axis] < at
    first, second = (
        ((r0, c0, at, c1), (at, c0, r1, c1))
        if axis == 0
        else (
            (r0, c0, r1, at),
            (r0, at, r1, c1),
        )
    )
    return _halved(points[low], first, count // 2) + _halved(points[~low], second, count // 2)
