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

    def show(self, dots: CellDots, values: Values) -> None:
        """Show other values, or other cells.

        Parameters
        ----------
        dots : CellDots
            The cells, on the same slide.
        values : ndarray of float32, shape (cells,)
            One a cell; NaN where nothing is to be shown.
        """
        if dots is not self._dots:
            self._dots, self._lowest_numbers = dots, dots.whole(self._last)
        self._values = np.append(values, np.float32(np.nan))
        self._values.take(self._lowest_numbers, out=self._lowest, mode="clip")

    def read(self, level: int, rows: range, columns: range) -> Values:
        """Return runs of rows and columns of a level."""
        # The window's thread may show other cells while another thread reads.
        dots, values = self._dots, self._values
        image = np.full((len(rows), len(columns)), np.nan, np.float32)
        for block_row, here_r, there_r in _blocks(rows):
            for block_column, here_c, there_c in _blocks(columns):
                numbers = dots.block(level, block_row, block_column)
                if numbers is not None:
                    image[here_r, here_c] = values.take(numbers[there_r, there_c], mode="clip")
        return image


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
