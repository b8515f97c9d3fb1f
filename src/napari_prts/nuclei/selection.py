"""Which nuclei lie in a lasso, under the pointer, across a line, or over another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.table import Nuclei
from napari_prts.nuclei.validation import LARGEST_COORDINATE

Positions = NDArray[np.int64]


def inside_lasso(nuclei: Nuclei, lasso: ArrayLike, overlap: bool = False) -> Positions:
    """Find the nuclei in a lasso.

    Parameters
    ----------
    nuclei : Nuclei
        Where to look.
    lasso : array-like, shape (k, 2)
        Three points or more, (row, column) in level-0 pixels; it may cross itself.
    overlap : bool
        Take all that overlap the lasso, and not only those with their centroid in it.

    Returns
    -------
    ndarray of int64
        Positions, ascending.

    Raises
    ------
    NucleiError
        If the lasso is no list of at least three points.
    """
    import shapely

    area = lasso_area(lasso)
    if not overlap:
        return _centroids_inside(nuclei, area)
    # No vertex is further from its centroid than this.
    near = _centroids_inside(nuclei, shapely.buffer(area, np.sqrt(2) * nuclei.reach + 1))
    if not len(near):
        return near
    close = nuclei.take(near)
    # One vertex inside is enough; only few nuclei near the lasso's edge need a closer look.
    first = close.vertices[close.offsets[:-1]].astype(np.float64)
    inside = np.asarray(shapely.contains_xy(area, first[:, 1], first[:, 0]))
    unsure = np.flatnonzero(~inside)
    inside[unsure] = shapely.intersects(area, close.take(unsure).shapely())
    return np.asarray(near[inside])


def at_point(nuclei: Nuclei, row: float, column: float) -> int | None:
    """Find the nucleus under the pointer.

    Parameters
    ----------
    nuclei : Nuclei
        Where to look.
    row, column : float
        A place in level-0 pixels.

    Returns
    -------
    int or None
        Position of the smallest nucleus there, so that one within another can be
        picked; of equal ones the last in the table, which is drawn on top. None where
        there is no nucleus.
    """
    import shapely

    near = _touching(nuclei, np.array([row, column, row, column], np.float64))
    if not len(near):
        return None
    close = nuclei.take(near)
    there = np.flatnonzero(shapely.intersects_xy(close.shapely(), column, row))
    if not len(there):
        return None
    smallest = np.flatnonzero(close.areas[there] == close.areas[there].min())[-1]
    return int(near[there[smallest]])


def crossing(nuclei: Nuclei, line: ArrayLike) -> Positions:
    """Find the nuclei that a line touches.

    Parameters
    ----------
    nuclei : Nuclei
        Where to look.
    line : array-like, shape (m, 2)
        Two points or more, (row, column) in level-0 pixels.

    Returns
    -------
    ndarray of int64
        Positions, ascending.

    Raises
    ------
    NucleiError
        If the line is no list of at least two points.
    """
    import shapely

    points = _points(line, 2, "A line")
    stroke = shapely.linestrings(points[:, ::-1])
    # The box of a long line holds many nuclei far from it, the boxes of its pieces few.
    pieces = shapely.get_coordinates(shapely.segmentize(stroke, 16 * (nuclei.reach + 1)))[:, ::-1]
    boxes = np.sort(np.stack([pieces[:-1], pieces[1:]], axis=1), axis=1).reshape(-1, 4)
    near = np.unique(np.concatenate([_touching(nuclei, box) for box in boxes]))
    if not len(near):
        return near
    return np.asarray(near[shapely.intersects(stroke, nuclei.take(near).shapely())])


def overlapping(nuclei: Nuclei, others: Nuclei, share: float) -> tuple[Positions, Positions]:
    """Find pairs of nuclei of two tables that overlap much.

    Parameters
    ----------
    nuclei, others : Nuclei
        The tables; quickest where ``others`` lie close together.
    share : float
        Pairs are found whose intersection is more than this share of the smaller one.

    Returns
    -------
    positions, other_positions : ndarray of int64, shape (n,)
        Positions in each table of the pairs.
    """
    import shapely

    none = np.zeros(0, np.int64)
    if not len(others):
        return none, none
    low, high = others.bounds[:, :2].min(axis=0), others.bounds[:, 2:].max(axis=0)
    near = _touching(nuclei, np.concatenate([low, high]).astype(np.float64))
    if not len(near):
        return none, none
    one, other = _valid(nuclei.take(near).shapely()), _valid(others.shapely())
    which_other, which = shapely.STRtree(one).query(other, "intersects")
    common = shapely.area(shapely.intersection(one[which], other[which_other]))
    smaller = np.minimum(shapely.area(one[which]), shapely.area(other[which_other]))
    much = common > share * smaller
    return near[which[much]], which_other[much].astype(np.int64)


def lasso_area(lasso: ArrayLike) -> Any:
    """Make a shapely area, in (x, y), of the points of a lasso.

    Raises
    ------
    NucleiError
        If the lasso is no list of at least three points.
    """
    import shapely

    points = _points(lasso, 3, "A lasso")
    # A stroke that crosses itself encloses each of its loops.
    area = shapely.make_valid(shapely.polygons(points[:, ::-1]))
    shapely.prepare(area)
    return area


def _centroids_inside(nuclei: Nuclei, area: Any) -> Positions:
    import shapely

    shapely.prepare(area)
    c0, r0, c1, r1 = shapely.bounds(area)
    # The upper borders do not belong to a rectangle, but to a lasso's box they do.
    near = nuclei.in_rectangle(r0, c0, np.nextafter(r1, np.inf), np.nextafter(c1, np.inf))
    if not len(near):
        return near
    row, column = nuclei.centroids[near].astype(np.float64).T
    return np.asarray(near[shapely.contains_xy(area, column, row)])


def _touching(nuclei: Nuclei, box: NDArray[np.float64]) -> Positions:
    """Nuclei whose box touches a box: first row and column, last row and column."""
    reach = nuclei.reach + 1
    near = nuclei.in_rectangle(*(box + np.array([-reach, -reach, reach, reach])))
    bounds = nuclei.bounds[near]
    return near[((bounds[:, :2] <= box[2:]) & (bounds[:, 2:] >= box[:2])).all(axis=1)]


def _valid(polygons: NDArray[Any]) -> NDArray[Any]:
    import shapely

    crossed = ~shapely.is_valid(polygons)
    if crossed.any():
        polygons = polygons.copy()
        polygons[crossed] = shapely.make_valid(polygons[crossed])
    return polygons


def _points(line: ArrayLike, least: int, what: str) -> NDArray[np.float64]:
    try:
        points = np.asarray(line, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    whole = points.ndim == 2 and points.shape[1] == 2 and len(points) >= least
    if not (whole and (np.abs(points) <= LARGEST_COORDINATE).all()):
        raise NucleiError(
            f"{what} must be a list of at least {least} points (row, column) in level-0 pixels: "
            "draw it again."
        )
    return points
