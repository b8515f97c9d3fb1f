"""Areas, centroids, bounds and content hashes of many polygons at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.nuclei.ragged import Offsets, owners

# Polygons that are worked on at once: what is computed on the way stays in the
# processor's cache, and a million polygons take no more memory than a few.
_AT_ONCE = 4096


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

    def __post_init__(self) -> None:
        for array in (self.areas, self.centroids, self.bounds):
            array.flags.writeable = False

    @classmethod
    def of(cls, vertices: NDArray[np.floating], offsets: Offsets) -> Rings:
        """Compute them in double precision, relative to each polygon's first vertex."""
        signed, centroids = areas_and_centroids(vertices, offsets)
        return cls(
            np.abs(signed).astype(np.float32),
            centroids.astype(np.float32),
            bounds_of(vertices, offsets).astype(np.float32, copy=False),
        )


def areas_and_centroids(
    vertices: NDArray[np.floating], offsets: Offsets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed areas and centres of area; the mean vertex where the area is zero.

    Parameters
    ----------
    vertices : ndarray, shape (v, 2)
        Vertices of all polygons end to end.
    offsets : ndarray of int64, shape (n + 1,)
        Where each polygon's vertices begin; none is empty.
    """
    areas, centroids = np.empty(len(offsets) - 1), np.empty((len(offsets) - 1, 2))
    for rows, points, starts in _batches(vertices, offsets):
        areas[rows], centroids[rows] = _moments(points.astype(np.float64), starts)
    return areas, centroids


def bounds_of(vertices: NDArray[np.floating], offsets: Offsets) -> NDArray[Any]:
    """Smallest row and column, largest row and column of each polygon."""
    bounds = np.empty((len(offsets) - 1, 4), vertices.dtype)
    for rows, points, starts in _batches(vertices, offsets):
        for axis in (0, 1):
            bounds[rows, axis] = np.minimum.reduceat(points[axis], starts)
            bounds[rows, axis + 2] = np.maximum.reduceat(points[axis], starts)
    return bounds


def hash_codes(vertices: NDArray[np.float32], offsets: Offsets) -> NDArray[np.uint64]:
    """Hash the content of each polygon's vertices (XXH3, 64 bits)."""
    content = np.ascontiguousarray(vertices, "<f4").reshape(-1).view(np.uint8).data
    digest = xxhash.xxh3_64_intdigest
    ends = (offsets * 8).tolist()
    count = len(offsets) - 1
    return np.fromiter((digest(content[a:b]) for a, b in pairwise(ends)), np.uint64, count)


def hexadecimal(codes: NDArray[np.uint64]) -> NDArray[np.str_]:
    """Write hashes as 16 characters each."""
    if not len(codes):
        return np.zeros(0, "<U16")
    text = codes.astype(">u8").tobytes().hex().encode()
    return np.frombuffer(text, "S16").astype("<U16")


def to_shapely(vertices: NDArray[np.floating], offsets: Offsets) -> NDArray[Any]:
    """Make shapely polygons in (x, y)."""
    import shapely

    if len(offsets) == 1:
        return np.empty(0, object)
    rings = shapely.linearrings(vertices[:, ::-1].astype(np.float64), indices=owners(offsets))
    return np.asarray(shapely.polygons(rings))


def _batches(
    vertices: NDArray[np.floating], offsets: Offsets
) -> Iterator[tuple[slice, NDArray[Any], Offsets]]:
    """Some polygons at a time: which, their rows and columns as (2, v), and their beginnings."""
    count = len(offsets) - 1
    for start in range(0, count, _AT_ONCE):
        rows = slice(start, min(start + _AT_ONCE, count))
        first, last = offsets[start], offsets[rows.stop]
        points = np.ascontiguousarray(vertices[first:last].T)
        yield rows, points, offsets[rows] - first


def _moments(
    points: NDArray[np.float64], starts: Offsets
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corner = points[:, starts]
    counts = np.diff(starts, append=points.shape[1])
    local = points - np.repeat(corner, counts, axis=1)
    after = np.empty_like(local)
    after[:, :-1] = local[:, 1:]
    # A ring's last vertex is followed by its first, which is the origin.
    after[:, starts - 1] = 0
    cross = local[0] * after[1] - after[0] * local[1]
    twice = np.add.reduceat(cross, starts)
    flat = twice == 0
    centre = np.add.reduceat((local + after) * cross, starts, axis=1)
    centre /= np.where(flat, 1.0, 3 * twice)
    if flat.any():
        centre[:, flat] = (np.add.reduceat(local, starts, axis=1) / counts)[:, flat]
    return twice / 2, (corner + centre).T
