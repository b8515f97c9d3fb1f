"""How well two sets of polygons agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, area, intersection, make_valid, polygons


def f1(found: NDArray[np.floating], wanted: NDArray[np.floating], least_iou: float) -> float:
    """F1 of polygons (n, vertex, 2), each pair counted from an IoU above one half upwards."""
    ours, theirs = make_valid(polygons(found)), make_valid(polygons(wanted))
    one, other = STRtree(theirs).query(ours, predicate="intersects")
    shared = area(intersection(ours[one], theirs[other]))
    iou = shared / (area(ours[one]) + area(theirs[other]) - shared)
    # Above one half a polygon has one partner at most: no assignment is needed.
    assert least_iou > 0.5
    return float(2 * (iou >= least_iou).sum() / (len(found) + len(wanted)))
