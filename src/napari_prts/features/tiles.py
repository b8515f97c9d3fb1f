"""Reading tiles around nuclei: many overlapping tiles from few reads.

Nuclei are dense, so their tiles cover the tissue some twenty times. The slide is
cut into blocks on a fixed lattice at the encoder's scale; a block and a margin of
one tile are read once, and every tile whose corner lies in the block is a view of
those pixels.

A tile begins at a whole pixel of the lattice. Its centre is therefore up to half a
pixel of the encoder's scale (0.25 um at 0.5 um/px) from the nucleus's centroid in
each direction; polygons are laid over the tile with its true corner, so the tokens
chosen are exact. Because the lattice is fixed, a tile's pixels depend on nothing
but its nucleus: one nucleus encoded again alone gives what it gave among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# Pixels of a read: a block of 1024 and a margin of 256 are 4.9 MB, and at the
# density of a tumour (one nucleus in 100 um2) hold 2,600 tiles.
BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles of some nuclei.

    Parameters
    ----------
    positions : ndarray of int64, shape (b,)
        Positions of the nuclei in the table that was given.
    corners : ndarray of int64, shape (b, 2)
        Upper left corners (row, column) in pixels of the encoder's scale.
    pixels : ndarray of uint8, shape (b, tile, tile, 3)
        RGB.
    """

    positions: NDArray[np.int64]
    corners: NDArray[np.int64]
    pixels: NDArray[np.uint8]


def to_encoder_pixels(
    points: NDArray[np.floating], slide_mpp: float, mpp: float
) -> NDArray[np.float64]:
    """Turn level-0 pixels of nuclei into pixels of the encoder's scale.

    Nuclei count from the centre of the first pixel, reads from its corner.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        (row, column) in level-0 pixels, the centre of the first pixel at (0, 0).
    slide_mpp, mpp : float
        Microns per level-0 pixel, and per pixel of the encoder's scale.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        (row, column), the corner of the slide at (0, 0).
    """
    return (np.asarray(points, dtype=np.float64) + 0.5) * (slide_mpp / mpp)


def tile_corners(
    centroids: NDArray[np.floating], slide_mpp: float, mpp: float, tile: int
) -> NDArray[np.int64]:
    """Where tiles centred on nuclei begin.

    Parameters
    ----------
    centroids : ndarray, shape (n, 2)
        Centroids (row, column) in level-0 pixels.
    slide_mpp : float
        Microns per level-0 pixel.
    mpp : float
        Microns per pixel of the tiles.
    tile : int
        Side of a tile in pixels of that scale.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Upper left corners in pixels of the tiles' scale, rounded; may be negative.
    """
    centres = to_encoder_pixels(centroids, slide_mpp, mpp)
    return np.rint(centres - tile / 2).astype(np.int64)


def read_tiles(
    slide: Slide,
    corners: NDArray[np.int64],
    positions: NDArray[np.int64],
    *,
    mpp: float,
    tile: int,
    batch: int,
    block: int = BLOCK,
) -> Iterator[Tiles]:
    """Read tiles in batches, block after block.

    Parameters
    ----------
    slide : Slide
        Where to read. Outside of it a tile is filled with the slide's background.
    corners : ndarray of int64, shape (n, 2)
        Upper left corners of all tiles, from :func:`tile_corners`.
    positions : ndarray of int64, shape (m,)
        Which of them to read.
    mpp : float
        Microns per pixel of the tiles.
    tile : int
        Side of a tile in pixels.
    batch : int
        Tiles in a batch; the last may have fewer.
    block : int
        Side of a block in pixels.

    Yields
    ------
    Tiles
        Each position once, ordered by block.
    """
    waiting: list[Tiles] = []
    for tiles in _tiles_by_block(slide, corners, positions, mpp, tile, batch, block):
        waiting.append(tiles)
        while sum(len(w.positions) for w in waiting) >= batch:
            joined = _join(waiting)
            yield _part(joined, slice(0, batch))
            waiting = [_part(joined, slice(batch, None))]
    if rest := [w for w in waiting if len(w.positions)]:
        yield _join(rest)


def _tiles_by_block(
    slide: Slide,
    corners: NDArray[np.int64],
    positions: NDArray[np.int64],
    mpp: float,
    tile: int,
    batch: int,
    block: int,
) -> Iterator[Tiles]:
    """Tiles of one block after another, at most a batch at a time."""
    to_level_0 = mpp / slide.require_mpp()
    lattice = np.floor_divide(corners[positions], block)
    order = np.lexsort((lattice[:, 1], lattice[:, 0]))
    changes = np.flatnonzero(np.any(np.diff(lattice[order], axis=0), axis=1)) + 1
    for group in np.split(order, changes):
        if not len(group):
            continue
        origin = lattice[group[0]] * block
        row, column = origin * to_level_0
        pixels = slide.read(row, column, block + tile, block + tile, mpp=mpp)
        for start in range(0, len(group), batch):
            chosen = positions[group[start : start + batch]]
            yield Tiles(chosen, corners[chosen], _cut(pixels, corners[chosen] - origin, tile))


def _cut(pixels: NDArray[np.uint8], offsets: NDArray[np.int64], tile: int) -> NDArray[np.uint8]:
    return np.stack([pixels[r : r + tile, c : c + tile] for r, c in offsets])


def _join(parts: list[Tiles]) -> Tiles:
    if len(parts) == 1:
        return parts[0]
    return Tiles(
        np.concatenate([p.positions for p in parts]),
        np.concatenate([p.corners for p in parts]),
        np.concatenate([p.pixels for p in parts]),
    )


def _part(tiles: Tiles, rows: slice) -> Tiles:
    return Tiles(tiles.positions[rows], tiles.corners[rows], tiles.pixels[rows])
