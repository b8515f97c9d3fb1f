"""Random access to the pixels of one level, wherever they are kept."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import SlideError
from napari_prts.slide.colours import Coding, to_rgb

RgbImage = NDArray[np.uint8]

# Rows and columns of a block that is decoded and remembered: at least this many.
SMALLEST_BLOCK = 256
# Decoded blocks kept per slide; 128 MiB are about 170 blocks of 512 x 512.
CACHE_BYTES = 128 * 1024 * 1024


class Pixels(Protocol):
    """One level of a slide; safe to read from several threads."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def chunk(self) -> tuple[int, int] | None:
        """Rows and columns that are decoded together; None if every rectangle is cheap."""
        ...

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle that lies inside the level.

        Returns
        -------
        ndarray of uint8, shape (bottom - top, right - left, 3)
            Red, green, blue.
        """
        ...


class ArrayPixels:
    """RGB view of an array: numpy, memory map or zarr.

    Parameters
    ----------
    array : array
        Anything with ``shape`` that gives a numpy array for a tuple of slices
        and integers; uint8.
    name : str
        Where the pixels come from, for messages.
    axes : str
        One letter an axis: ``Y`` rows, ``X`` columns, ``S`` or ``C`` colours,
        whichever is longer. Every other axis must have length 1.
    coding : Coding
        What the samples of a pixel mean.
    chunk : tuple of int, optional
        Rows and columns that are decoded together.
    owner : object, optional
        Kept alive as long as the pixels: what closes the file when it goes.
    """

    def __init__(
        self,
        array: Any,
        name: str,
        axes: str = "YXS",
        coding: Coding = Coding.RGB,
        chunk: tuple[int, int] | None = None,
        owner: object = None,
    ) -> None:
        self._owner = owner
        self._array = array
        self._name = name
        lengths = dict(zip(axes, array.shape, strict=True))
        colour = max((axis for axis in axes if axis in "SC"), key=lambda axis: lengths[axis])
        # Y, X and the colours stay; of any other axis the first and only plane is taken.
        self._axes = ["YX".find(axis) if axis != colour else 2 for axis in axes]
        self._order = [[kind for kind in self._axes if kind >= 0].index(axis) for axis in range(3)]
        self._coding = coding
        self.chunk = chunk
        self.shape = (int(array.shape[axes.index("Y")]), int(array.shape[axes.index("X")]))

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`.

        Raises
        ------
        SlideError
            If the pixels cannot be decoded.
        """
        parts = (slice(top, bottom), slice(left, right), slice(None))
        key = tuple(0 if kind < 0 else parts[kind] for kind in self._axes)
        try:
            found = np.asarray(self._array[key])
        except MemoryError:
            raise
        except Exception as error:  # Each codec has exceptions of its own.
            raise SlideError(
                f"{self._name}: rows {top} to {bottom}, columns {left} to {right} cannot be read "
                f"({type(error).__name__}: {error}). The file is damaged or has changed since it "
                "was opened: copy it again from where it came from and open it again."
            ) from error
        return to_rgb(found.transpose(self._order), self._coding)


class KeptPixels:
    """A level that is made when it is first read, and then stays in memory.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    make : callable
        Makes all pixels, (row, column, 3) uint8; called once.
    """

    chunk: tuple[int, int] | None = None

    def __init__(self, shape: tuple[int, int], make: Callable[[], RgbImage]) -> None:
        self.shape = shape
        self._make: Callable[[], RgbImage] | None = make
        self._image: RgbImage | None = None
        self._lock = threading.Lock()

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`."""
        return self._whole()[top:bottom, left:right]

    def _whole(self) -> RgbImage:
        with self._lock:
            if self._image is None:
                assert self._make is not None
                self._image = self._make()
                self._image.flags.writeable = False
                # What it was made from may be large: let it go.
                self._make = None
            return self._image


class BlockCache:
    """The most recently used decoded blocks of a slide.

    Parameters
    ----------
    budget : int
        Bytes to keep at most.
    """

    def __init__(self, budget: int = CACHE_BYTES) -> None:
        self._budget = budget
        self._blocks: OrderedDict[Hashable, RgbImage] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], RgbImage]) -> RgbImage:
        """Return the block of a key, made by ``make`` if it is not there.

        Two threads that miss the same block both make it; no thread waits for
        another one's decoding.
        """
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
                return block
        block = make()
        block.flags.writeable = False
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = block
                self._bytes += block.nbytes
            while self._bytes > self._budget and len(self._blocks) > 1:
                _, oldest = self._blocks.popitem(last=False)
                self._bytes -= oldest.nbytes
        return block


class CachedPixels:
    """Chunked pixels read block by block through a :class:`BlockCache`.

    Parameters
    ----------
    inner : Pixels
        Where blocks are decoded; its ``chunk`` is not None.
    cache : BlockCache
        Shared by the levels of a slide.
    """

    def __init__(self, inner: Pixels, cache: BlockCache) -> None:
        assert inner.chunk is not None
        self._inner = inner
        self._cache = cache
        self.shape = inner.shape
        rows, columns = inner.chunk
        self.chunk: tuple[int, int] = (_block_length(rows), _block_length(columns))

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`."""
        image = np.empty((bottom - top, right - left, 3), np.uint8)
        rows, columns = self.chunk
        for block_row in range(top // rows, -(-bottom // rows)):
            for block_column in range(left // columns, -(-right // columns)):
                r0, c0 = block_row * rows, block_column * columns
                block = self._block(r0, c0)
                t, b = max(top, r0), min(bottom, r0 + rows)
                le, r = max(left, c0), min(right, c0 + columns)
                image[t - top : b - top, le - left : r - left] = block[
                    t - r0 : b - r0, le - c0 : r - c0
                ]
        return image

    def _block(self, top: int, left: int) -> RgbImage:
        rows, columns = self.chunk
        bottom = min(top + rows, self.shape[0])
        right = min(left + columns, self.shape[1])
        return self._cache.get(
            (id(self), top, left), lambda: self._inner.read(top, left, bottom, right)
        )


def _block_length(chunk: int) -> int:
    return chunk * math.ceil(SMALLEST_BLOCK / chunk)
