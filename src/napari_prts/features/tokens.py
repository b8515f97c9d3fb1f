"""Which patch tokens of a tile belong to a nucleus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

# DE-9IM: the two interiors share a point, so a common edge alone is no overlap.
_INTERIORS_MEET = "T********"
_POLYGONAL = (3, 6)
# In patches. Of 0.65, 0.8, 1 and 1.3 the one whose features say most of simulated counts.
_REACH = 0.8


def token_mask(
    polygons: Sequence[NDArray[np.floating]],
    centres: NDArray[np.floating],
    grid: int,
    patch: int,
) -> NDArray[np.bool_]:
    """Find the patches of each tile that overlap its nucleus.

    A patch overlaps when its square and the polygon share an area, however small;
    what of the polygon lies outside the tile is cut off. The patch under the
    centroid always belongs to the nucleus, so that each has at least one token.

    Parameters
    ----------
    polygons : sequence of ndarray, each of shape (k, 2)
        Vertices (row, column) in pixels of the tile, from its upper left corner.
    centres : ndarray, shape (n, 2)
        Centroids in the same pixels.
    grid : int
        Patches along a side of the tile.
    patch : int
        Side of a patch in pixels.

    Returns
    -------
    ndarray of bool, shape (n, grid, grid)
        By row and column of patches.
    """
    mask = np.zeros((len(polygons), grid, grid), dtype=np.bool_)
    if not len(polygons):
        return mask
    shapes = _shapes(polygons)
    which, rows, columns = _patches_in_bounds(shapely.bounds(shapes), grid, patch)
    squares = shapely.box(columns * patch, rows * patch, (columns + 1) * patch, (rows + 1) * patch)
    overlap = shapely.relate_pattern(shapes[which], squares, _INTERIORS_MEET)
    mask[which[overlap], rows[overlap], columns[overlap]] = True
    centre = np.clip(np.floor_divide(centres, patch).astype(np.int64), 0, grid - 1)
    mask[np.arange(len(mask)), centre[:, 0], centre[:, 1]] = True
    return mask


def token_weights(centres: NDArray[np.floating], grid: int, patch: int) -> NDArray[np.float32]:
    """Weigh the patches around a point, to interpolate between their tokens.

    Weights fall evenly to 0 at 0.8 of a patch from a patch's centre, in rows as in columns;
    a point has 1, 2 or 4 patches.

    Parameters
    ----------
    centres : ndarray, shape (n, 2)
        (row, column) in pixels of the tile, inside it.
    grid, patch : int
        Patches along a side of the tile, and pixels along a side of a patch.

    Returns
    -------
    ndarray of float32, shape (n, grid * grid)
        They add up to 1.
    """
    away = np.abs(centres[:, :, None] / patch - 0.5 - np.arange(grid))
    near = np.maximum(0, 1 - away / _REACH)
    weights = (near[:, 0, :, None] * near[:, 1, None, :]).reshape(len(near), grid * grid)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def local_features(
    tokens: NDArray[np.float32],
    counts: NDArray[np.int64],
    weights: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Average the tokens of each nucleus, then neighbouring pairs of channels.

    A nucleus's values depend on its own tokens alone, to the last bit, whatever others
    are given with it.

    Parameters
    ----------
    tokens : ndarray of float32, shape (t, D)
        Tokens of the first nucleus, then of the second, and so on; D is even.
    counts : ndarray of int64, shape (n,)
        Tokens of each nucleus, at least one.
    weights : ndarray of float32, shape (t,), optional
        Of each token; those of a nucleus add up to 1. By default all are equal.

    Returns
    -------
    ndarray of float32, shape (n, D / 2)
        As in PRTS, where 384 channels become 192.
    """
    if not len(counts):
        return np.empty((0, tokens.shape[1] // 2), np.float32)
    begins = np.cumsum(counts) - counts
    if weights is None:
        means = np.add.reduceat(tokens, begins, axis=0) / counts[:, None].astype(np.float32)
    else:
        means = np.add.reduceat(tokens * weights[:, None], begins, axis=0)
    halves: NDArray[np.float32] = means.reshape(len(means), -1, 2).mean(axis=2)
    return halves


def _shapes(polygons: Sequence[NDArray[np.floating]]) -> NDArray[np.object_]:
    """Polygons in (x, y), mended where they cross themselves."""
    owner = np.repeat(np.arange(len(polygons)), [len(p) for p in polygons])
    vertices = np.concatenate([np.asarray(p, dtype=np.float64) for p in polygons])
    rings = shapely.linearrings(vertices[:, ::-1], indices=owner)
    shapes: NDArray[np.object_] = np.asarray(shapely.polygons(rings))
    for bad in np.flatnonzero(~np.asarray(shapely.is_valid(shapes))):
        parts = shapely.get_parts(shapely.make_valid(shapes[bad]))
        shapes[bad] = shapely.union_all(parts[np.isin(shapely.get_type_id(parts), _POLYGONAL)])
    return shapes


def _patches_in_bounds(
    bounds: NDArray[np.float64], grid: int, patch: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a polygon and a patch in its bounding box: polygon, row, column."""
    empty = np.asarray(np.isnan(bounds).any(axis=1))
    cells = np.floor_divide(np.where(empty[:, None], -1.0, bounds), patch).astype(np.int64)
    first = np.maximum(cells[:, :2], 0)
    extent = np.maximum(np.minimum(cells[:, 2:], grid - 1) - first + 1, 0)
    counts = extent[:, 0] * extent[:, 1]
    which = np.repeat(np.arange(len(bounds)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = first[which, 0] + number % extent[which, 0]
    rows = first[which, 1] + number // extent[which, 0]
    return which, rows, columns
