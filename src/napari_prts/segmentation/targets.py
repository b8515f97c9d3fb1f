"""What the StarDist network learns from a label image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Targets:
    """Targets of one crop on the network's grid.

    Parameters
    ----------
    prob : ndarray of float32, shape (row, column)
        Distance to the border of the nucleus over its maximum, 0 outside.
    dist : ndarray of float32, shape (n_rays, row, column)
        Distances to the border along each ray, in image pixels.
    """

    prob: NDArray[np.float32]
    dist: NDArray[np.float32]


def make_targets(labels: NDArray[np.int32], n_rays: int, grid: tuple[int, int]) -> Targets:
    """Compute StarDist's targets with stardist's own geometry.

    Parameters
    ----------
    labels : ndarray of int, shape (row, column)
        0 for background, one positive integer per nucleus.
    n_rays : int
        Number of rays.
    grid : tuple of int
        Subsampling along (row, column).

    Notes
    -----
    As ``StarDistData2D`` of stardist 0.9: the probability is computed on the
    subsampled labels, the distances on all pixels and then subsampled.
    """
    from stardist.geometry import star_dist
    from stardist.utils import edt_prob

    subsampled = np.ascontiguousarray(labels[:: grid[0], :: grid[1]])
    if not subsampled.any():
        empty = np.zeros(subsampled.shape, np.float32)
        return Targets(empty, np.zeros((n_rays, *empty.shape), np.float32))
    prob = edt_prob(subsampled).astype(np.float32)
    dist = star_dist(labels, n_rays, grid=grid)
    return Targets(prob, np.ascontiguousarray(dist.transpose(2, 0, 1), np.float32))
