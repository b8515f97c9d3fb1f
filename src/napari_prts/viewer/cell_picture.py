"""A picture of one value a cell, for an image layer: lazy, at any number of cells.

Which cell a pixel shows is drawn once (:mod:`~napari_prts.viewer.cell_dots`). Painting
another gene only looks the values up again, for the pixels that are on screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.levels import spanned, within
from napari_prts.viewer.cell_dots import SIDE, CellDots, level_shape

Values = NDArray[np.float32]

# napari holds the coarsest level whole, and looks it through for each thumbnail.
_LARGEST_WHOLE = 256


def _screen() -> Values:
    """Thresholds of an ordered dither (Bayer 1973) of 4 x 4 pixels, over a whole block."""
    small = np.array([[0, 2], [3, 1]])
    order = np.block([[4 * small, 4 * small + 2], [4 * small + 3, 4 * small + 1]])
    return np.tile(((order + 0.5) / order.size).astype(np.float32), (SIDE // 4, SIDE // 4))


# A value has no room for an opacity beside it. Like newsprint, a cell that is half opaque
# has half of its pixels: what lies under it is seen between them, the colours stay the same.
_SCREEN = _screen()


class CellPicture:
    """What an image layer is given to show one value a cell.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the slide's level 0.

    Attributes
    ----------
    levels : list of array of float32
        Halved from level to level; NaN where no cell is, and in cells without a value. The
        last one is a plain array, kept up to date.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._dots = CellDots(np.zeros((0, 2), np.float32), shape, 1.0)
        self._values: Values = np.full(1, np.nan, np.float32)
        self._opacity: Values | None = None
        # At least two: a single level would be read whole.
        self._last = 1
        while max(level_shape(shape, self._last)) > _LARGEST_WHOLE:
            self._last += 1
        self._lowest = np.full(level_shape(shape, self._last), np.nan, np.float32)
        self._lowest_numbers = self._dots.whole(self._last)
        self.levels: list[Any] = [
            *(_Level(self, level, level_shape(shape, level)) for level in range(self._last)),
            self._lowest,
        ]

    def show(self, dots: CellDots, values: Values, opacity: Values | None = None) -> None:
        """Show other values, or other cells.

        Parameters
        ----------
        dots : CellDots
            The cells, on the same slide.
        values : ndarray of float32, shape (cells,)
            One a cell; NaN where nothing is to be shown.
        opacity : ndarray of float32, shape (cells,), optional
            Share of each cell's pixels that are shown, 0 to 1; all by default.
        """
        if dots is not self._dots:
            self._dots, self._lowest_numbers = dots, dots.whole(self._last)
        self._values = np.append(values, np.float32(np.nan))
        self._opacity = None if opacity is None else np.append(opacity, np.float32(1))
        self._values.take(self._lowest_numbers, out=self._lowest, mode="clip")
        height, width = self._lowest.shape
        _thin_out(self._lowest, self._lowest_numbers, self._opacity, _SCREEN[:height, :width])

    def read(self, level: int, rows: range, columns: range) -> Values:
        """Return runs of rows and columns of a level."""
        # The window's thread may show other cells while another thread reads.
        dots, values, opacity = self._dots, self._values, self._opacity
        image = np.full((len(rows), len(columns)), np.nan, np.float32)
        for block_row, here_r, there_r in _blocks(rows):
            for block_column, here_c, there_c in _blocks(columns):
                numbers = dots.block(level, block_row, block_column)
                if numbers is not None:
                    numbers, part = numbers[there_r, there_c], image[here_r, here_c]
                    part[...] = values.take(numbers, mode="clip")
                    _thin_out(part, numbers, opacity, _SCREEN[there_r, there_c])
        return image


def _thin_out(
    image: Values, numbers: NDArray[np.int32], opacity: Values | None, screen: Values
) -> None:
    """Leave out pixels of the cells that are not opaque."""
    if opacity is not None:
        image[opacity.take(numbers, mode="clip") < screen] = np.nan


class _Level:
    """One level as an array, for an image layer."""

    dtype = np.dtype(np.float32)
    ndim = 2
    # napari then asks for whole blocks, and not again while the view stays within them.
    chunks = (SIDE, SIDE)

    def __init__(self, picture: CellPicture, level: int, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._picture = picture
        self._level = level

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole level, drawn."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        parts += (slice(None),) * (self.ndim - len(parts))
        rows, columns = (spanned(part, side) for part, side in zip(parts, self.shape, strict=True))
        image = self._picture.read(self._level, rows, columns)
        return image[within(parts[0]), within(parts[1])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self[:], dtype)


def _blocks(span: range) -> Iterator[tuple[int, slice, slice]]:
    """Go through the blocks of a run: number, its place in the run, its part of the block."""
    if not span:
        return
    for number in range(span.start // SIDE, (span.stop - 1) // SIDE + 1):
        start, stop = max(span.start, number * SIDE), min(span.stop, (number + 1) * SIDE)
        here = slice(start - span.start, stop - span.start)
        yield number, here, slice(start - number * SIDE, stop - number * SIDE)
