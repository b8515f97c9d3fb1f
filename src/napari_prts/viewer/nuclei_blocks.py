"""A level that is drawn block by block when it is looked at, as an array for napari."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.levels import spanned, within

Image = NDArray[np.uint8]
# Takes top, left, height and width in pixels of a level and returns what is there; None if
# nothing is.
Draw = Callable[[int, int, int, int], Image | None]

# Pixels along the side of a block. A frame that pans draws a row of them: small ones keep
# it short, and an edit has few pixels to draw again.
SIDE = 512
# Blocks that are kept: some 64 MB, several screens.
_KEPT = 256


class BlockCache:
    """Blocks of all levels that were drawn, the latest ones."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        # None for a block in which nothing is.
        self._blocks: OrderedDict[tuple[int, int, int], Image | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, key: tuple[int, int, int], draw: Callable[[], Image | None]) -> Image | None:
        """Return a block, drawn if it is not kept; ``key`` is its level, row and column."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        block = self._blocks[key] = draw()
        while len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)
        return block

    def forget(self, level: int, blocks: NDArray[np.integer] | None = None) -> None:
        """Forget blocks of a level, by their row and column, shape (n, 2); all by default."""
        if blocks is None:
            for key in [key for key in self._blocks if key[0] == level]:
                del self._blocks[key]
        else:
            for row, column in blocks.tolist():
                self._blocks.pop((level, row, column), None)

    def clear(self) -> None:
        """Forget all blocks."""
        self._blocks.clear()


class BlockLevel:
    """One level as an array, (row, column) uint8, for a labels layer.

    Parameters
    ----------
    level : int
        Its number, for the cache.
    shape : tuple of int
        Rows and columns.
    cache : BlockCache
        Keeps what was drawn.
    draw : callable
        Draws a window of the level.
    """

    dtype = np.dtype(np.uint8)
    ndim = 2
    # napari then asks for whole blocks, and not again while the view stays within them.
    chunks = (SIDE, SIDE)

    def __init__(self, level: int, shape: tuple[int, int], cache: BlockCache, draw: Draw) -> None:
        self.shape = shape
        self._level = level
        self._cache = cache
        self._draw = draw

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole level, drawn."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        parts = _one_an_axis(key, self.shape)
        rows, columns = (spanned(part, side) for part, side in zip(parts, self.shape, strict=True))
        return self.read(rows, columns)[within(parts[0]), within(parts[1])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self[:], dtype)

    def read(self, rows: range, columns: range) -> Image:
        """Return runs of rows and columns."""
        image = np.zeros((len(rows), len(columns)), np.uint8)
        for block_row, here_r, there_r in _blocks(rows):
            for block_column, here_c, there_c in _blocks(columns):
                block = self._block(block_row, block_column)
                if block is not None:
                    image[here_r, here_c] = block[there_r, there_c]
        return image

    def _block(self, row: int, column: int) -> Image | None:
        top, left = row * SIDE, column * SIDE
        height, width = min(SIDE, self.shape[0] - top), min(SIDE, self.shape[1] - left)
        key = (self._level, row, column)
        return self._cache.get(key, lambda: self._draw(top, left, height, width))


def _blocks(span: range) -> Iterator[tuple[int, slice, slice]]:
    """Go through the blocks of a run: number, its place in the run, its part of the block."""
    if not span:
        return
    for number in range(span.start // SIDE, (span.stop - 1) // SIDE + 1):
        first = max(span.start, number * SIDE)
        last = min(span.stop, (number + 1) * SIDE)
        yield (
            number,
            slice(first - span.start, last - span.start),
            slice(first - number * SIDE, last - number * SIDE),
        )


def _one_an_axis(key: Any, shape: tuple[int, int]) -> list[slice | int]:
    """Write a numpy index out: one slice, or one integer from 0 on, for each axis."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    if len(parts) > len(shape):
        raise IndexError(f"{len(parts)} indices are too many: a level has {len(shape)} axes")
    parts += [slice(None)] * (len(shape) - len(parts))
    return [
        part if isinstance(part, slice) else _position(part, side)
        for part, side in zip(parts, shape, strict=True)
    ]


def _position(part: Any, side: int) -> int:
    position = operator.index(part)
    if not -side <= position < side:
        raise IndexError(f"index {position} is out of bounds for an axis of {side}")
    return position % side


def blocks_touched(
    boxes: NDArray[np.floating], factor: int, shape: tuple[int, int], margin: int
) -> NDArray[np.int64]:
    """Find the blocks of a level that boxes reach into.

    Parameters
    ----------
    boxes : ndarray, shape (n, 4)
        Smallest row and column, largest row and column in level-0 pixels.
    factor : int
        Level-0 pixels per pixel of the level.
    shape : tuple of int
        Rows and columns of the level.
    margin : int
        Pixels of the level by which the boxes are enlarged.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Rows and columns of blocks, each once.
    """
    places = np.floor((boxes.astype(np.float64) + 0.5) / factor).astype(np.int64)
    first = np.maximum(places[:, :2] - margin, 0) // SIDE
    most = (np.asarray(shape) - 1) // SIDE
    last = np.minimum((places[:, 2:] + margin) // SIDE, most)
    found = {
        (row, column)
        for (r0, c0), (r1, c1) in {
            ((r0, c0), (r1, c1))
            for (r0, c0), (r1, c1) in zip(first.tolist(), last.tolist(), strict=True)
        }
        for row in range(r0, r1 + 1)
        for column in range(c0, c1 + 1)
    }
    return np.array(sorted(found), np.int64).reshape(-1, 2)
