"""What makes a polygon a nucleus, and mending outlines that cross themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.geometry import areas_and_centroids, to_shapely
from napari_prts.nuclei.ragged import Offsets, offsets_of, owners

# Pixels squared. A thousandth of a pixel is below the rounding of float32 vertices on a slide.
SMALLEST_AREA = 1e-3
# Whole numbers beyond this cannot be told apart in float32.
LARGEST_COORDINATE = 2.0**24
_NAMED = 5

_log = logging.getLogger(__name__)

Names = Sequence[Any] | NDArray[Any]


def checked(
    polygons: Sequence[Any] | NDArray[Any], names: Names | None, repair: bool
) -> tuple[NDArray[np.float32], Offsets]:
    """Check polygons and lay their vertices end to end.

    Parameters
    ----------
    polygons : sequence of array-like, shape (k, 2)
        Outlines in (row, column); a repeated first vertex at the end is dropped.
    names : sequence or None
        How the polygons are called in messages; their numbers by default.
    repair : bool
        Mend outlines that cross themselves: the largest part of what
        ``shapely.make_valid`` gives is kept.

    Raises
    ------
    NucleiError
        If a polygon has fewer than three points, a coordinate that is no finite
        number, or no area.
    """
    with np.errstate(over="ignore"):
        arrays = [_as_points(polygon) for polygon in polygons]
    problems = {i: "is no list of (row, column)" for i, a in enumerate(arrays) if a is None}
    _raise(problems, len(arrays), names)
    points = [array for array in arrays if array is not None]
    vertices = np.concatenate([np.zeros((0, 2), np.float32), *points])
    offsets = offsets_of([len(array) for array in points])
    vertices, offsets = opened(vertices, offsets)
    problems = _unusable(vertices, offsets)
    _raise(problems, len(points), names)
    if repair:
        vertices, offsets = _mended(vertices, offsets, names)
    areas, _ = areas_and_centroids(vertices, offsets)
    flat = np.flatnonzero(~(np.abs(areas) >= SMALLEST_AREA))
    _raise({int(i): "has no area" for i in flat}, len(points), names)
    return vertices, offsets


def listed(names: Sequence[Any] | NDArray[Any]) -> str:
    """Name the first few of many things."""
    shown = ", ".join(str(name) for name in list(names[:_NAMED]))
    return shown + (", …" if len(names) > _NAMED else "")


def outside(bounds: NDArray[np.floating], slide_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which nuclei lie wholly outside the slide.

    Parameters
    ----------
    bounds : ndarray, shape (n, 4)
        Smallest row and column, largest row and column, in level-0 pixels.
    slide_shape : tuple of int
        Rows and columns of level 0.
    """
    rows, columns = slide_shape[:2]
    # The centre of pixel 0 is at 0: the slide begins half a pixel before it.
    before = (bounds[:, 2:] < -0.5).any(1)
    return np.asarray(before | (bounds[:, :2] > [rows - 0.5, columns - 0.5]).any(1))


def refuse_outside(
    bounds: NDArray[np.floating],
    slide_shape: tuple[int, int],
    names: Sequence[Any],
    total: int,
    origin: str,
) -> None:
    """Refuse nuclei that lie outside the slide, and say what is likely wrong.

    Parameters
    ----------
    bounds : ndarray, shape (n, 4)
        Of all nuclei, as for :func:`outside`.
    slide_shape : tuple of int
        Rows and columns of level 0.
    names : sequence
        Ids of those outside.
    total : int
        How many nuclei there are.
    origin : str
        Where the nuclei come from.

    Raises
    ------
    NucleiError
        Always.
    """
    rows, columns = slide_shape[:2]
    low, high = bounds[:, :2].min(0), bounds[:, 2:].max(0)
    raise NucleiError(
        f"{len(names):,} of {total:,} nuclei in {origin} lie outside the slide of "
        f"{rows} x {columns} pixels (rows x columns), such as {listed(names)}: the nuclei "
        f"reach from row {low[0]:.0f}, column {low[1]:.0f} to row {high[0]:.0f}, column "
        f"{high[1]:.0f}. They were made for another slide, or in the pixels of another level or "
        "scale: give the slide they belong to, or export them in full-resolution pixels."
    )


def _as_points(polygon: Any) -> NDArray[np.float32] | None:
    try:
        points = np.asarray(polygon, np.float32)
    except (TypeError, ValueError):
        return None
    return points if points.ndim == 2 and points.shape[1] == 2 else None


def opened(vertices: NDArray[np.float32], offsets: Offsets) -> tuple[NDArray[np.float32], Offsets]:
    """Drop last vertices that repeat the first, as often as they do."""
    while True:
        lengths = np.diff(offsets)
        many = np.flatnonzero(lengths > 1)
        first, last = offsets[many], offsets[many + 1] - 1
        closing = (vertices[first] == vertices[last]).all(axis=1)
        if not closing.any():
            return vertices, offsets
        vertices = np.delete(vertices, last[closing], axis=0)
        lengths[many[closing]] -= 1
        offsets = offsets_of(lengths)


def _unusable(vertices: NDArray[np.float32], offsets: Offsets) -> dict[int, str]:
    problems = {int(i): "has fewer than 3 points" for i in np.flatnonzero(np.diff(offsets) < 3)}
    with np.errstate(invalid="ignore"):
        wild = ~(np.abs(vertices) <= LARGEST_COORDINATE).all(axis=1)
    for i in np.unique(owners(offsets)[wild]).tolist():
        problems.setdefault(i, "has a coordinate that is not a number or beyond any slide")
    return problems


def _mended(
    vertices: NDArray[np.float32], offsets: Offsets, names: Names | None
) -> tuple[NDArray[np.float32], Offsets]:
    import shapely

    polygons = to_shapely(vertices, offsets)
    crossing = np.flatnonzero(~shapely.is_valid(polygons))
    if not crossing.size:
        return vertices, offsets
    pieces = np.split(vertices, offsets[1:-1])
    problems = {}
    for i in crossing.tolist():
        outline = largest_part(polygons[i])
        if outline is None:
            problems[i] = "has no area"
        else:
            pieces[i] = outline
    _raise(problems, len(pieces), names)
    called = crossing if names is None else np.asarray(names)[crossing]
    _log.info("Mended %d outlines that cross themselves: %s", crossing.size, listed(called))
    return np.concatenate(pieces), offsets_of([len(piece) for piece in pieces])


def largest_part(polygon: Any) -> NDArray[np.float32] | None:
    """Make a valid polygon of any shapely geometry.

    Returns
    -------
    ndarray of float32, shape (k, 2), or None
        Outer ring of the largest part, (row, column); None if there is no area.
    """
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygon)))
    parts = [part for part in parts if part.geom_type == "Polygon"]
    if not parts:
        return None
    largest = max(parts, key=lambda part: part.area)
    outline = shapely.get_coordinates(largest.exterior)[:-1, ::-1].astype(np.float32)
    return np.ascontiguousarray(outline)


def _raise(problems: dict[int, str], total: int, names: Names | None) -> None:
    if not problems:
        return
    called = (lambda i: f"number {i}") if names is None else (lambda i: f"{names[i]}")
    first = sorted(problems.items())[:_NAMED]
    shown = "; ".join(f"{called(i)} {problem}" for i, problem in first)
    more = f"; and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
    raise NucleiError(
        f"{len(problems):,} of {total:,} outlines are no polygons: {shown}{more}. "
        "Correct or leave them out."
    )
