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

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# Pixels of a read: a block of 1024 and a margin of 256 are 4.9 MB, and at the
# density of a tumour (one nucleus in 100 um2) hold 2,600 tiles.
BLOCK = 1024
# Nuclei at the corner of four blocks, and two more for what is read ahead.
_KEPT_BLOCKS = 6


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


class TileReader:
    """Cuts tiles out of blocks of the slide. Safe to use from several threads.

    The blocks lie on a fixed lattice, so a tile's pixels depend on nothing else, and the
    last ones stay in memory: nuclei that come block by block cost one read a block.

    Parameters
    ----------
    slide : Slide
        Where to read. Outside of it a tile is filled with the slide's background.
    corners : ndarray of int64, shape (n, 2)
        Upper left corners of all tiles, from :func:`tile_corners`.
    mpp : float
        Microns per pixel of the tiles.
    tile : int
        Side of a tile in pixels.
    block : int
        Side of a block in pixels.
    """

    def __init__(
        self,
        slide: Slide,
        corners: NDArray[np.int64],
        mpp: float,
        tile: int,
        block: int | None = None,
    ) -> None:
        self._slide, self._corners, self._mpp, self._tile = slide, corners, mpp, tile
        self._block = BLOCK if block is None else block
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, positions: NDArray[np.int64]) -> Tiles:
        """Read some tiles.

        Parameters
        ----------
        positions : ndarray of int64, shape (b,)
            Which.

        Returns
        -------
        Tiles
            In the order of ``positions``.
        """
        corners = self._corners[positions]
        tile = self._tile
        pixels = np.empty((len(positions), tile, tile, 3), np.uint8)
        lattice = np.floor_divide(corners, self._block)
        for number in np.lexsort((lattice[:, 1], lattice[:, 0])):
            row, column = corners[number] - lattice[number] * self._block
            around = self._around(int(lattice[number, 0]), int(lattice[number, 1]))
            pixels[number] = around[row : row + tile, column : column + tile]
        return Tiles(positions, corners, pixels)

    def _around(self, row: int, column: int) -> NDArray[np.uint8]:
        """A block, and as much after it as its tiles reach."""
        with self._lock:
            found = self._kept.get((row, column))
            if found is not None:
                self._kept.move_to_end((row, column))
                return found
        to_level_0 = self._mpp / self._slide.require_mpp()
        side, first = self._block + self._tile, np.array([row, column]) * self._block * to_level_0
        found = self._slide.read(float(first[0]), float(first[1]), side, side, mpp=self._mpp)
        with self._lock:
            self._kept[row, column] = found
            while len(self._kept) > _KEPT_BLOCKS:
                self._kept.popitem(last=False)
        return found
