"""Joining outlines into one, and cutting one into several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.geometry import to_shapely
from napari_prts.nuclei.validation import LARGEST_COORDINATE, checked

Outline = NDArray[np.float32]

# Shares of the square root of the area, so that they mean the same at any resolution: a
# circle keeps about 27 vertices, and a shaking hand's stroke becomes a few straight lines.
_OUTLINE_TOLERANCE = 0.004
_STROKE_TOLERANCE = 0.02
# How far a stroke may end before the border and still cut, also a share of it.
_REACH = 0.25
# Coordinates are rounded to powers of two, which float32 holds exactly: what is valid in
# double precision is still valid in the table.
_FINEST_GRID = 2.0**-7


def merge(outlines: Sequence[ArrayLike], largest_gap: float = 0.0) -> Outline:
    """Join outlines into one.

    Parameters
    ----------
    outlines : sequence of array-like, shape (k, 2)
        One or more, (row, column) in level-0 pixels; those that cross themselves are
        mended first.
    largest_gap : float
        In level-0 pixels: outlines that lie no further apart are joined by a bridge, the
        convex hull of what lies around the narrowest place of the gap.

    Returns
    -------
    ndarray of float32, shape (k, 2)
        The union with its holes filled, as one valid ring; vertices that change its
        shape by less than a hundredth of its size are left out.

    Raises
    ------
    NucleiError
        If there is no outline, one is no polygon, or they lie too far apart.
    """
    import shapely

    if not len(outlines):
        raise NucleiError("There is nothing to merge: choose two nuclei or more.")
    polygons = _polygons(outlines)
    whole = shapely.union_all(polygons)
    parts = shapely.get_parts(whole)
    if len(parts) > 1:
        whole = shapely.union_all([*parts, *_bridges(parts, largest_gap)])
        if shapely.get_num_geometries(whole) > 1:
            raise NucleiError(_apart(shapely.get_parts(whole), largest_gap))
    # One part may still come wrapped as many.
    filled = shapely.polygons(shapely.get_parts(whole)[0].exterior)
    tolerance = _OUTLINE_TOLERANCE * np.sqrt(shapely.area(filled))
    return _ring(shapely.simplify(filled, tolerance), _grid(filled))


def split(
    outline: ArrayLike, line: ArrayLike, least_area: float = 1.0, reach: float | None = None
) -> list[Outline]:
    """Cut an outline along a line drawn across it.

    Parameters
    ----------
    outline : array-like, shape (k, 2)
        (row, column) in level-0 pixels.
    line : array-like, shape (m, 2)
        Two points or more of the stroke, (row, column) in level-0 pixels.
    least_area : float
        In squared level-0 pixels: smaller parts are given to the largest part that they
        touch.
    reach : float, optional
        By how many level-0 pixels each end of a stroke that does not divide the outline
        is made longer; by default a quarter of the square root of the outline's area.

    Returns
    -------
    list of ndarray of float32, shape (k, 2)
        Two valid rings or more, the largest first; their areas add up to the outline's.

    Raises
    ------
    NucleiError
        If outline or line are none, or the line does not divide the outline.
    """
    import shapely

    polygon = _polygons([outline])[0]
    size = float(np.sqrt(shapely.area(polygon)))
    stroke = shapely.simplify(_stroke(line), _STROKE_TOLERANCE * size)
    grid = _grid(polygon)
    # A stroke that divides as it is must not be made longer: it could cut a second lobe.
    pieces = _pieces(polygon, stroke, grid)
    if len(pieces) < 2:
        longer = _longer(stroke, _REACH * size if reach is None else reach)
        pieces = _pieces(polygon, longer, grid)
    if len(pieces) < 2:
        raise NucleiError(
            "The line does not divide the nucleus: draw it from one side of the nucleus right "
            "across to the other."
        )
    parts = _without_slivers(pieces, least_area)
    if len(parts) < 2:
        raise NucleiError(
            f"The line cuts off less than {least_area:.0f} squared pixels: draw it nearer to the "
            "middle of the nucleus, or change its outline instead."
        )
    return [_ring(part, grid) for part in parts]


def _polygons(outlines: Sequence[ArrayLike]) -> list[Any]:
    """Valid shapely polygons in (x, y)."""
    import shapely

    polygons = []
    for polygon in to_shapely(*checked(outlines, None, repair=True)):
        # What was mended in double precision may cross itself again in float32.
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygon)))
        polygons.append(max(parts, key=shapely.area))
    return polygons


def _bridges(parts: NDArray[Any], largest_gap: float) -> list[Any]:
    """Convex hulls of the surroundings of each narrow gap between disjoint polygons."""
    import shapely

    first, second = shapely.STRtree(parts).query(parts, "dwithin", largest_gap)
    one, other = parts[first[first < second]], parts[second[first < second]]
    gaps = shapely.shortest_line(one, other)
    # Parts that meet in a point need a neck of some width too.
    around = shapely.length(gaps) / 2 + max(largest_gap, 1.0)
    discs = shapely.buffer(shapely.line_interpolate_point(gaps, 0.5, normalized=True), around)
    near = shapely.intersection(shapely.union(one, other), discs)
    return list(shapely.convex_hull(near))


def _apart(parts: NDArray[Any], largest_gap: float) -> str:
    import shapely

    away = shapely.distance(parts[:, None], parts[None, :])
    least = away[away > 0].min(initial=np.inf)
    return (
        f"The nuclei lie in {len(parts)} places that are {least:.1f} pixels or more apart; gaps "
        f"of up to {largest_gap:.1f} pixels are bridged. Choose nuclei that touch, or draw one "
        "outline around them."
    )


def _stroke(line: ArrayLike) -> Any:
    import shapely

    try:
        points = np.asarray(line, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) <= LARGEST_COORDINATE).all():
        raise NucleiError("A line must be a list of (row, column) in level-0 pixels.")
    moved = np.ones(len(points), bool)
    moved[1:] = (points[1:] != points[:-1]).any(axis=1)
    if moved.sum() < 2:
        raise NucleiError("The line is a single point: draw it across the nucleus.")
    return shapely.linestrings(points[moved][:, ::-1])


def _longer(stroke: Any, by: float) -> Any:
    """Go on straight at both ends."""
    import shapely

    points = shapely.get_coordinates(stroke)
    ends = []
    for end, before in ((points[0], points[1]), (points[-1], points[-2])):
        away = end - before
        ends.append(end + by * away / np.hypot(*away))
    return shapely.linestrings(np.concatenate([ends[:1], points, ends[1:]]))


def _pieces(polygon: Any, stroke: Any, grid: float) -> list[Any]:
    """Parts without holes that a stroke cuts a polygon into."""
    import shapely

    lines = shapely.union(shapely.boundary(polygon), stroke, grid_size=grid)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    faces = faces[shapely.contains(polygon, shapely.point_on_surface(faces))]
    filled = shapely.polygons([face.exterior for face in faces])
    pieces: list[Any] = []
    # What a loop of the stroke encloses is no part: it would lie in a hole of another.
    for piece in sorted(filled, key=shapely.area, reverse=True):
        inside = shapely.point_on_surface(piece)
        if not any(shapely.contains(larger, inside) for larger in pieces):
            pieces.append(piece)
    return pieces


def _without_slivers(pieces: list[Any], least_area: float) -> list[Any]:
    """Give small parts to the largest that they share a border with; largest first."""
    import shapely

    parts = sorted(pieces, key=shapely.area, reverse=True)
    while len(parts) > 1 and shapely.area(parts[-1]) < least_area:
        sliver = parts.pop()
        beside = [i for i, part in enumerate(parts) if _share_a_border(part, sliver)]
        # A loop at the border may touch others in a point only: it is let go.
        if beside:
            joined = shapely.union(parts[beside[0]], sliver)
            parts[beside[0]] = shapely.polygons(joined.exterior)
        parts.sort(key=shapely.area, reverse=True)
    return parts


def _share_a_border(one: Any, other: Any) -> bool:
    import shapely

    return bool(shapely.length(shapely.intersection(one, other)) > 0)


def _grid(polygon: Any) -> float:
    import shapely

    farthest = np.abs(shapely.bounds(polygon)).max()
    return max(_FINEST_GRID, float(np.spacing(np.float32(farthest))))


def _ring(polygon: Any, grid: float) -> Outline:
    import shapely

    parts = shapely.get_parts(shapely.set_precision(polygon, grid))
    largest = max(parts, key=shapely.area)
    points = shapely.get_coordinates(largest.exterior)[:-1, ::-1]
    return np.ascontiguousarray(points, np.float32)
