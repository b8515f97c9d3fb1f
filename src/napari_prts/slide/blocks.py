"""Chunked pixels, decoded block by block on all cores, the newest blocks remembered."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from napari_prts.slide.damage import Damage, MendedPixels
from napari_prts.slide.pixels import AllThere, Pixels, RgbImage

# Rows and columns of a block that is decoded and remembered: at least this many.
SMALLEST_BLOCK = 128
# Decoded blocks kept per slide; 128 MiB are about 680 blocks of 256 x 256.
CACHE_BYTES = 128 * 1024 * 1024
# More threads than this wait for the disk and for Python more than they decode.
MOST_THREADS = 8


class BlockCache:
    """The most recently used decoded blocks of a slide, and the threads that decode them.

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
        # Its threads end when the cache, and with it the executor, is no longer used.
        self._threads = ThreadPoolExecutor(
            min(os.cpu_count() or 1, MOST_THREADS), thread_name_prefix="slide-blocks"
        )

    def peek(self, key: Hashable) -> RgbImage | None:
        """Return a block if it is remembered."""
        with self._lock:
            block = self._blocks.get(key)
            if block is not None:
                self._blocks.move_to_end(key)
            return block

    def get(self, makers: dict[Hashable, Callable[[], RgbImage]]) -> dict[Hashable, RgbImage]:
        """Return blocks by key, those that are not remembered made on all cores.

        Two threads that miss the same block both make it; no thread waits for
        another one's decoding.
        """
        found = {key: block for key in makers if (block := self.peek(key)) is not None}
        missing = [key for key in makers if key not in found]
        if len(missing) == 1:
            made = [makers[missing[0]]()]
        else:
            made = list(self._threads.map(lambda key: makers[key](), missing))
        for key, block in zip(missing, made, strict=True):
            self._keep(key, block)
            found[key] = block
        return found

    def _keep(self, key: Hashable, block: RgbImage) -> None:
        block.flags.writeable = False
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = block
                self._bytes += block.nbytes
            while self._bytes > self._budget and len(self._blocks) > 1:
                _, oldest = self._blocks.popitem(last=False)
                self._bytes -= oldest.nbytes


class CachedPixels(AllThere):
    """Chunked pixels read block by block through a :class:`BlockCache`.

    Parameters
    ----------
    inner : Pixels
        Where blocks are decoded; its ``chunk`` is not None.
    cache : BlockCache
        Shared by the levels of a slide.
    damage : Damage, optional
        Where tiles that cannot be decoded are recorded; they read as white.
        Without it they raise.
    """

    def __init__(self, inner: Pixels, cache: BlockCache, damage: Damage | None = None) -> None:
        assert inner.chunk is not None
        self._inner = inner if damage is None else MendedPixels(inner, damage)
        self._cache = cache
        # Not the id of this object: another one may get it once this one is gone.
        self._token = object()
        self.shape = inner.shape
        rows, columns = inner.chunk
        self.chunk: tuple[int, int] = (_block_length(rows), _block_length(columns))

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`."""
        image = np.empty((bottom - top, right - left, 3), np.uint8)
        rectangle = (top, left, bottom, right)
        places = self._places(rectangle)
        # Hundreds of blocks are decoded in portions, so that they do not fill the memory.
        for portion in (places[k : k + 64] for k in range(0, len(places), 64)):
            makers: dict[Hashable, Callable[[], RgbImage]] = {
                (self._token, *place): _Maker(self, place) for place in portion
            }
            for place, block in zip(portion, self._ordered(makers), strict=True):
                _paste(image, rectangle, block, place)
        return image

    def _ordered(self, makers: dict[Hashable, Callable[[], RgbImage]]) -> list[RgbImage]:
        found = self._cache.get(makers)
        return [found[key] for key in makers]

    def paste_remembered(self, image: RgbImage, top: int, left: int) -> bool:
        """Write its remembered blocks; see :class:`~napari_prts.slide.pixels.LevelPixels`."""
        rectangle = (top, left, top + image.shape[0], left + image.shape[1])
        whole = True
        for place in self._places(rectangle):
            block = self._cache.peek((self._token, *place))
            if block is None:
                whole = False
            else:
                _paste(image, rectangle, block, place)
        return whole

    def decode(self, top: int, left: int) -> RgbImage:
        """Decode the block at a corner."""
        rows, columns = self.chunk
        bottom = min(top + rows, self.shape[0])
        right = min(left + columns, self.shape[1])
        return self._inner.read(top, left, bottom, right)

    def _places(self, rectangle: tuple[int, int, int, int]) -> list[tuple[int, int]]:
        """Corners of the blocks that a rectangle touches."""
        top, left, bottom, right = rectangle
        rows, columns = self.chunk
        return [
            (r, c)
            for r in range(top // rows * rows, bottom, rows)
            for c in range(left // columns * columns, right, columns)
        ]


class _Maker:
    """Decodes one block when called."""

    def __init__(self, pixels: CachedPixels, place: tuple[int, int]) -> None:
        self._pixels = pixels
        self._place = place

    def __call__(self) -> RgbImage:
        return self._pixels.decode(*self._place)


def _paste(
    image: RgbImage,
    rectangle: tuple[int, int, int, int],
    block: RgbImage,
    place: tuple[int, int],
) -> None:
    """Copy what a block and a rectangle share."""
    top, left, bottom, right = rectangle
    r0, c0 = place
    t, b = max(top, r0), min(bottom, r0 + block.shape[0])
    le, r = max(left, c0), min(right, c0 + block.shape[1])
    image[t - top : b - top, le - left : r - left] = block[t - r0 : b - r0, le - c0 : r - c0]


def _block_length(chunk: int) -> int:
    return chunk * math.ceil(SMALLEST_BLOCK / chunk)
