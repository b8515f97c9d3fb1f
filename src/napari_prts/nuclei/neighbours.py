"""What lies around a nucleus: density and mean values within a few radii."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 4096


def neighbourhood(
    values: NDArray[np.floating],
    centroids_um: NDArray[np.floating],
    radii: Sequence[float] = (25.0, 50.0, 100.0),
    names: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Describe each nucleus's surroundings.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Values of the nuclei.
    centroids_um : ndarray, shape (n, 2)
        In micrometres.
    radii : sequence of float
        In micrometres.
    names : sequence of str, optional
        Names of the values; ``value0``, ``value1``, ... by default.

    Returns
    -------
    names : tuple of str
        For each radius ``density_25um`` and then ``NAME_mean_25um`` for each value.
    table : ndarray of float32, shape (n, len(radii) * (k + 1))
        Density: other nuclei per square millimetre, as if the slide had no border.
        Means: over the other nuclei whose centroid lies within the radius. Where there
        is none, the density is 0 and the means are the nucleus's own values.
    """
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    values = np.asarray(values, np.float64)
    points = np.asarray(centroids_um, np.float64)
    called = [f"value{i}" for i in range(values.shape[1])] if names is None else list(names)
    table = np.empty((len(points), len(radii), values.shape[1] + 1))
    tree = cKDTree(points)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, len(points)))
        here = cKDTree(points[rows])
        pairs = here.sparse_distance_matrix(tree, max(radii), output_type="ndarray")
        pairs = pairs[pairs["i"] + start != pairs["j"]]
        for index, radius in enumerate(radii):
            near = pairs[pairs["v"] <= radius]
            size = (rows.stop - rows.start, len(points))
            links = csr_array((np.ones(len(near)), (near["i"], near["j"])), shape=size)
            count = np.bincount(near["i"], minlength=size[0])
            table[rows, index, 0] = count / (np.pi * (radius / 1000) ** 2)
            means = (links @ values) / np.maximum(count, 1)[:, None]
            table[rows, index, 1:] = np.where(count[:, None] > 0, means, values[rows])
    made = [
        name
        for radius in radii
        for name in (f"density_{radius:g}um", *(f"{value}_mean_{radius:g}um" for value in called))
    ]
    return tuple(made), table.reshape((len(points), len(made))).astype(np.float32)
