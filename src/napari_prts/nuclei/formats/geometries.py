"""Outlines from shapely's geometries, as GeoParquet and WKT give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.ragged import offsets_of

_POLYGON, _MULTIPOLYGON, _COLLECTION = 3, 6, 7


@dataclass(frozen=True)
class Rings:
    """Outer rings of the geometries that are polygons.

    Attributes
    ----------
    points : ndarray of float64, shape (v, 2)
        (row, column), the first vertex of each ring again at its end.
    offsets : ndarray of int64, shape (k + 1,)
        Where each ring's points begin.
    usable, in_parts, has_holes : ndarray of bool, shape (n,)
        Which of all geometries have a ring; of which it is the largest part; which had
        holes.
    """

    points: NDArray[np.float64]
    offsets: NDArray[np.int64]
    usable: NDArray[np.bool_]
    in_parts: NDArray[np.bool_]
    has_holes: NDArray[np.bool_]


def outer_rings(geometries: NDArray[Any]) -> Rings:
    """Take the outer ring of each polygon, and of the largest part of a MultiPolygon.

    Parameters
    ----------
    geometries : ndarray of shapely geometries, shape (n,)
        In (x, y); None where there is none.
    """
    import shapely

    polygons = geometries.copy()
    kinds = shapely.get_type_id(polygons)
    in_parts = np.zeros(len(polygons), bool)
    for position in np.flatnonzero((kinds == _MULTIPOLYGON) | (kinds == _COLLECTION)).tolist():
        parts = [p for p in shapely.get_parts(polygons[position]) if p.geom_type == "Polygon"]
        polygons[position] = max(parts, key=lambda part: part.area, default=None)
        in_parts[position] = len(parts) > 1
    usable = (shapely.get_type_id(polygons) == _POLYGON) & ~shapely.is_empty(polygons)
    rings = shapely.get_exterior_ring(polygons[usable])
    return Rings(
        shapely.get_coordinates(rings)[:, ::-1],
        offsets_of(shapely.get_num_coordinates(rings)),
        usable,
        in_parts,
        np.asarray(shapely.get_num_interior_rings(polygons) > 0),
    )
