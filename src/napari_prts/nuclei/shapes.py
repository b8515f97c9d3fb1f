"""Size and shape of nuclei, from their polygons alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.geometry import areas_and_centroids, to_shapely
from napari_prts.nuclei.ragged import owners, successors, sum_rows
from napari_prts.nuclei.table import Nuclei

SHAPE_NAMES = (
    "area_um2",
    "perimeter_um",
    "major_axis_um",
    "minor_axis_um",
    "eccentricity",
    "solidity",
    "roundness",
)


def measure_shapes(nuclei: Nuclei, mpp: float) -> NDArray[np.float64]:
    """Measure size and shape.

    Parameters
    ----------
    nuclei : Nuclei
        What to measure.
    mpp : float
        Microns per level-0 pixel.

    Returns
    -------
    ndarray of float64, shape (n, 7)
        As :data:`SHAPE_NAMES`: axes and eccentricity (0 for a circle) of the ellipse
        with the same second moments; solidity, the share of the convex hull that is
        filled; roundness, ``4 pi area / perimeter ** 2``, 1 for a circle.
    """
    if not len(nuclei):
        return np.zeros((0, len(SHAPE_NAMES)))
    um = nuclei.vertices.astype(np.float64) * mpp
    signed, centroids = areas_and_centroids(um, nuclei.offsets)
    area = np.abs(signed)
    local = um - centroids[owners(nuclei.offsets)]
    after = local[successors(nuclei.offsets)]
    perimeter = sum_rows(np.hypot(*(after - local).T), nuclei.offsets)
    major, minor = _principal_variances(local, after, nuclei.offsets, signed)
    return np.column_stack(
        [
            area,
            perimeter,
            4 * np.sqrt(major),
            4 * np.sqrt(minor),
            np.sqrt(1 - minor / major),
            np.minimum(area / _hull_areas(local, nuclei.offsets), 1.0),
            4 * np.pi * area / perimeter**2,
        ]
    )


def _principal_variances(
    local: NDArray[np.float64],
    after: NDArray[np.float64],
    offsets: NDArray[np.int64],
    signed_area: NDArray[np.float64],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Variances of a polygon's area along its long and its short axis."""
    (r0, c0), (r1, c1) = local.T, after.T
    cross = r0 * c1 - r1 * c0
    terms = [
        (r0 * r0 + r0 * r1 + r1 * r1) * cross / 12,
        (c0 * c0 + c0 * c1 + c1 * c1) * cross / 12,
        (r0 * c1 + 2 * r0 * c0 + 2 * r1 * c1 + r1 * c0) * cross / 24,
    ]
    rows, columns, mixed = (sum_rows(term, offsets) / signed_area for term in terms)
    mean = (rows + columns) / 2
    spread = np.hypot((rows - columns) / 2, mixed)
    # An outline that crosses itself can have parts of negative area.
    major = np.maximum(np.abs(mean) + spread, 1e-12)
    return major, np.clip(np.abs(mean) - spread, 0, major)


def _hull_areas(local: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    import shapely

    return np.asarray(shapely.area(shapely.convex_hull(to_shapely(local, offsets))))
