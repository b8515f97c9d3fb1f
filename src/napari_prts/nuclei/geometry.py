"""Areas, centroids, bounds and content hashes of many polygons at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.nuclei.ragged import Offsets, owners, successors, sum_rows


@dataclass(frozen=True)
class Rings:
    """What follows from the vertices of ``n`` polygons.

    Attributes
    ----------
    areas : ndarray of float32, shape (n,)
        In squared units of the vertices.
    centroids : ndarray of float32, shape (n, 2)
        Centres of area.
    bounds : ndarray of float32, shape (n, 4)
        Smallest row and column, largest row and column.
    """

    areas: NDArray[np.float32]
    centroids: NDArray[np.float32]
    bounds: NDArray[np.float32]

    @classmethod
    def of(cls, vertices: NDArray[np.floating], offsets: Offsets) -> Rings:
        """Compute them in double precision, relative to each polygon's first vertex."""
        signed, centroids = areas_and_centroids(vertices, offsets)
        return cls(
            np.abs(signed).astype(np.float32),
            centroids.astype(np.float32),
            bounds_of(vertices, offsets),
        )

    def take(self, order: NDArray[np.integer]) -> Rings:
        """Choose and reorder polygons."""
        return Rings(self.areas[order], self.centroids[order], self.bounds[order])

    def joined(self, other: Rings) -> Rings:
        """Append other polygons."""
        return Rings(
            np.concatenate([self.areas, other.areas]),
            np.concatenate([self.centroids, other.centroids]),
            np.concatenate([self.bounds, other.bounds]),
        )


def relative(vertices: NDArray[np.floating], offsets: Offsets) -> NDArray[np.float64]:
    """Vertices relative to the first of their polygon, in double precision."""
    local = vertices.astype(np.float64)
    return np.asarray(local - local[offsets[:-1]][owners(offsets)])


def areas_and_centroids(
    vertices: NDArray[np.floating], offsets: Offsets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed areas and centres of area; the mean vertex where the area is zero."""
    if len(offsets) == 1:
        return np.zeros(0), np.zeros((0, 2))
    local = relative(vertices, offsets)
    after = local[successors(offsets)]
    cross = local[:, 0] * after[:, 1] - after[:, 0] * local[:, 1]
    twice = sum_rows(cross, offsets)
    moment = sum_rows((local + after) * cross[:, None], offsets)
    mean = sum_rows(local, offsets) / np.diff(offsets)[:, None]
    flat = twice == 0
    centre = moment / np.where(flat, 1.0, 3 * twice)[:, None]
    centre[flat] = mean[flat]
    return twice / 2, vertices[offsets[:-1]].astype(np.float64) + centre


def bounds_of(vertices: NDArray[np.floating], offsets: Offsets) -> NDArray[Any]:
    """Smallest row and column, largest row and column of each polygon."""
    if len(offsets) == 1:
        return np.zeros((0, 4), vertices.dtype)
    low = np.minimum.reduceat(vertices, offsets[:-1], axis=0)
    high = np.maximum.reduceat(vertices, offsets[:-1], axis=0)
    return np.concatenate([low, high], axis=1)


def hash_polygons(vertices: NDArray[np.float32], offsets: Offsets) -> NDArray[np.str_]:
    """Hash the content of each polygon's vertices (XXH3, 64 bits, hexadecimal)."""
    content = memoryview(np.ascontiguousarray(vertices, "<f4").tobytes())
    ends = (offsets * 8).tolist()
    digest = xxhash.xxh3_64_hexdigest
    hashes = [digest(content[a:b]) for a, b in pairwise(ends)]
    return np.array(hashes, "<U16")


def to_shapely(vertices: NDArray[np.floating], offsets: Offsets) -> NDArray[Any]:
    """Make shapely polygons in (x, y)."""
    import shapely

    if len(offsets) == 1:
        return np.empty(0, object)
    rings = shapely.linearrings(vertices[:, ::-1].astype(np.float64), indices=owners(offsets))
    return np.asarray(shapely.polygons(rings))
