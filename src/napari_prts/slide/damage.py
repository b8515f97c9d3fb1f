"""What of a slide cannot be decoded, found while it is read."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from psygnal import Signal

from napari_prts.errors import LostSlideError, SlideError
from napari_prts.slide.pixels import Pixels, RgbImage


@dataclass(frozen=True)
class BrokenTile:
    """A tile that cannot be decoded.

    Parameters
    ----------
    row, column : float
        Top-left corner in level-0 pixels.
    height, width : float
        In level-0 pixels.
    reason : str
        A sentence for the user, with the file.
    """

    row: float
    column: float
    height: float
    width: float
    reason: str


class Damage:
    """The broken tiles found so far.

    They read as white, like bare glass, so that nothing is found in them; a
    window draws them as broken.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of level 0.

    Attributes
    ----------
    found : psygnal.Signal
        Emitted with each new :class:`BrokenTile`, in the thread that read it.
    """

    found = Signal(BrokenTile)

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._tiles: dict[tuple[float, float, float, float], BrokenTile] = {}
        self._lock = threading.Lock()

    @property
    def tiles(self) -> tuple[BrokenTile, ...]:
        """In the order in which they were found."""
        with self._lock:
            return tuple(self._tiles.values())

    def record(
        self, shape: tuple[int, int], rectangle: tuple[int, int, int, int], reason: str
    ) -> None:
        """Remember a rectangle of a level that cannot be decoded.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the level.
        rectangle : tuple of int
            Top, left, bottom, right in its pixels.
        reason : str
            A sentence for the user.
        """
        down, across = self._shape[0] / shape[0], self._shape[1] / shape[1]
        top, left, bottom, right = rectangle
        height, width = (bottom - top) * down, (right - left) * across
        self.restore(BrokenTile(top * down, left * across, height, width, reason))

    def restore(self, tile: BrokenTile) -> None:
        """Remember a tile that was found broken, now or when its pyramid was made."""
        place = (tile.row, tile.column, tile.height, tile.width)
        with self._lock:
            if place in self._tiles:
                return
            self._tiles[place] = tile
        self.found.emit(tile)


class MendedPixels:
    """Pixels of which tiles that cannot be decoded are recorded, and read as white.

    Parameters
    ----------
    inner : Pixels
        Where tiles are decoded; its ``chunk`` is not None.
    damage : Damage
        Where broken ones are recorded.
    """

    def __init__(self, inner: Pixels, damage: Damage) -> None:
        assert inner.chunk is not None
        self._inner = inner
        self._damage = damage
        self.shape = inner.shape
        self.chunk: tuple[int, int] = inner.chunk

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`~napari_prts.slide.pixels.Pixels`."""
        try:
            return self._inner.read(top, left, bottom, right)
        except LostSlideError:
            raise
        except SlideError:
            return self._read_by_tile(top, left, bottom, right)

    def _read_by_tile(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        image = np.full((bottom - top, right - left, 3), 255, np.uint8)
        rows, columns = self.chunk
        for r in range(top // rows * rows, bottom, rows):
            for c in range(left // columns * columns, right, columns):
                tile = r, c, min(r + rows, self.shape[0]), min(c + columns, self.shape[1])
                t, le, b, ri = max(r, top), max(c, left), min(tile[2], bottom), min(tile[3], right)
                try:
                    image[t - top : b - top, le - left : ri - left] = self._inner.read(t, le, b, ri)
                except LostSlideError:
                    raise
                except SlideError as error:
                    self._damage.record(self.shape, tile, str(error))
        return image
