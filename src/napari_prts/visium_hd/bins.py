"""Which nucleus a bin belongs to, for millions of bins.

A bin belongs to the one nucleus that contains its centre; a bin in two nuclei or
more belongs to none (the paper, "Nuclei-based binning"). Nuclei can be grown: a bin
in no nucleus then goes to the nearest one within reach, as long as no other is as
near, so that grown nuclei never overlap.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError
from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd.bin_grid import BinsInCells
from napari_prts.visium_hd.nearest import Nearest

NO_NUCLEUS = -1
SEVERAL_NUCLEI = -2
# Pairs of nucleus and bin that are held at once are a few hundred times as many.
_NUCLEI_AT_ONCE = 8192


def assign_bins(
    nuclei: Nuclei, positions: NDArray[np.float64], grow_px: float = 0.0
) -> NDArray[np.int64]:
    """Find the one nucleus that each bin belongs to.

    Exactly shapely's ``contains``: a centre on an outline lies outside. With
    ``grow_px``, a bin in no nucleus goes to the nucleus with the smallest
    ``shapely.distance`` to its centre, if that is ``grow_px`` or less. It stays
    ambiguous if the distance to a second nucleus is the same, within
    :data:`~napari_prts.visium_hd.nearest.TIE_PX`. Bins inside nuclei are the same
    with and without growing. Only the few bins around each nucleus are tested, found
    by a grid over the slide.

    Parameters
    ----------
    nuclei : Nuclei
    positions : (bins, 2) float64
        Centres of the bins, (row, column) in level-0 pixels.
    grow_px : float
        How far nuclei reach beyond their outlines, in level-0 pixels; 0 or more.

    Returns
    -------
    (bins,) int64
        Position of the nucleus in ``nuclei``; -1 for bins in or near none, -2 for
        bins in two or more, or as near to two.

    Raises
    ------
    VisiumHDError
        If ``grow_px`` is negative or no number.
    """
    if not (grow_px >= 0 and np.isfinite(grow_px)):
        raise VisiumHDError(f"Nuclei cannot be grown by {grow_px:g} px: give 0 or more.")
    positions = np.asarray(positions, np.float64)
    assigned = np.full(len(positions), NO_NUCLEUS, np.int64)
    if not len(nuclei) or not len(positions):
        return assigned
    bounds = nuclei.bounds.astype(np.float64)
    # A little more, so that rounding leaves out no bin that is just within reach.
    reach = bounds + grow_px * (1 + 1e-9) * np.array([-1.0, -1.0, 1.0, 1.0])
    polygons = nuclei.shapely()
    shapely.prepare(polygons)
    grid = BinsInCells.of(positions, reach)
    for part in _parts(len(nuclei)):
        owners, places = grid.in_boxes(bounds[part])
        row, column = grid.points[places].T
        inside = shapely.contains_xy(polygons[part][owners], column, row)
        _claim(assigned, owners[inside] + part.start, grid.order[places[inside]])
    if grow_px > 0:
        _grow(assigned, polygons, reach, grid, grow_px)
    return assigned


def _parts(count: int) -> list[slice]:
    starts = range(0, count, _NUCLEI_AT_ONCE)
    return [slice(start, min(start + _NUCLEI_AT_ONCE, count)) for start in starts]


def _claim(assigned: NDArray[np.int64], owners: NDArray[np.int64], bins: NDArray[np.int64]) -> None:
    """Enter pairs of nucleus and bin; each bin met before or twice becomes ambiguous."""
    unique, first, times = np.unique(bins, return_index=True, return_counts=True)
    fresh = (assigned[unique] == NO_NUCLEUS) & (times == 1)
    assigned[unique] = np.where(fresh, owners[first], SEVERAL_NUCLEI)


def _grow(
    assigned: NDArray[np.int64],
    polygons: NDArray[np.object_],
    reach: NDArray[np.float64],
    grid: BinsInCells,
    grow_px: float,
) -> None:
    """Enter the bins in no nucleus that are near to one."""
    free = assigned[grid.order] == NO_NUCLEUS
    nearest = Nearest(len(grid.order))
    for part in _parts(len(polygons)):
        owners, places = grid.in_boxes(reach[part], edges=True)
        owners, places = owners[free[places]], places[free[places]]
        centres = shapely.points(grid.points[places, ::-1])
        distances = shapely.distance(polygons[part][owners], centres)
        near = distances <= grow_px
        nearest.add(places[near], owners[near] + part.start, distances[near])
    places, owners, ties = nearest.found()
    assigned[grid.order[places]] = np.where(ties, SEVERAL_NUCLEI, owners)
