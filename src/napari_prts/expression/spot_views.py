"""What is known of a cell: its own features, and those of its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.expression.matching import chosen_features

if TYPE_CHECKING:
    from napari_prts.features import Features

# What lies farther from a section's mean, in standard deviations, is taken for an artefact.
_FARTHEST = 3.0
# Points of the lattice on which surroundings are averaged, to a standard deviation.
_POINTS = 4
_DENSITY_UM = 40.0


def cell_view(
    features: Features, centroids_um: NDArray[np.floating], surroundings_um: Sequence[float]
) -> NDArray[np.float32]:
    """What is known of each cell: its features, density, and its neighbours' mean features.

    Parameters
    ----------
    features : Features
        Of all nuclei of a section.
    centroids_um : ndarray, shape (cells, 2)
        (row, column) in micrometres.
    surroundings_um : sequence of float
        Standard deviations of the Gaussian weights of neighbours.

    Returns
    -------
    ndarray of float32, shape (cells, view)
        Each column standardised over the section's cells and cut at 3 standard deviations:
        stain and scanner of one section shall not matter to another.

    Raises
    ------
    ModelError
        If a feature is no number.
    """
    own = _standardised(chosen_features(features, "both"))
    points = np.asarray(centroids_um, np.float64)
    parts = [own]
    for scale in (_DENSITY_UM, *surroundings_um):
        around, density = _around(own if scale in surroundings_um else own[:, :0], points, scale)
        parts += [_standardised(around), _standardised(np.log(density)[:, None])]
    return np.concatenate(parts, axis=1)


def _around(
    values: NDArray[np.float32], points: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Gaussian means of values around each point, and how many points are there."""
    from scipy.ndimage import gaussian_filter
    from scipy.sparse import csr_array

    places = np.floor((points - points.min(0)) / (scale / _POINTS)).astype(np.int64)
    shape = tuple((places.max(0) + 1).tolist())
    flat = np.ravel_multi_index(tuple(places.T), shape)
    ones = np.ones(len(points), np.float32)
    size = (shape[0] * shape[1], len(points))
    lattice = csr_array((ones, (flat, np.arange(len(points)))), shape=size)
    sums = np.column_stack([lattice @ ones, lattice @ values]).reshape(*shape, -1)
    smooth = gaussian_filter(sums, (_POINTS, _POINTS, 0), mode="constant", truncate=3.0)
    found = smooth.reshape(-1, smooth.shape[2])[flat]
    density = found[:, 0].astype(np.float64)
    return (found[:, 1:] / density[:, None]).astype(np.float32), density


def _standardised(values: NDArray[np.floating]) -> NDArray[np.float32]:
    spread = values.std(0, dtype=np.float64)
    # A feature that is the same everywhere says nothing.
    spread[spread <= 1e-6 * (1 + np.abs(values.mean(0, dtype=np.float64)))] = np.inf
    centred = (values - values.mean(0, dtype=np.float64)) / spread
    return np.asarray(np.clip(centred, -_FARTHEST, _FARTHEST), np.float32)
