"""The levels of a pyramid: their downsampling, lower ones made in memory, dask views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide.pixels import KeptPixels, LevelPixels, Pixels, RgbImage

if TYPE_CHECKING:
    import dask.array as da

# A pyramid ends when its longer side is no more than this: one texture, one screen.
SMALLEST_LEVEL = 1024
# Levels are reduced in bands of this many rows, so that no level is held whole.
BAND_ROWS = 512
# Chunks of dask: its own work grows with their number.
SMALLEST_CHUNK, LARGEST_CHUNK = 512, 1024


@dataclass(frozen=True)
class Level:
    """One level of a slide.

    Parameters
    ----------
    pixels : LevelPixels
        Its pixels.
    downsample : float
        Level-0 pixels per pixel of this level, along rows and columns.
    """

    pixels: LevelPixels
    downsample: float


def stack(levels: Sequence[LevelPixels], name: str) -> tuple[Level, ...]:
    """Put levels in order, full resolution first, each with its downsampling.

    Raises
    ------
    SlideError
        If a level has another aspect than level 0.
    """
    ordered = sorted(levels, key=lambda pixels: -pixels.shape[0] * pixels.shape[1])
    full = ordered[0].shape
    return tuple(Level(pixels, _downsample(full, pixels.shape, name)) for pixels in ordered)


def _downsample(full: tuple[int, int], shape: tuple[int, int], name: str) -> float:
    ratios = [large / small for large, small in zip(full, shape, strict=True)]
    # The longer side tells best: rounding the shorter one to whole pixels may hide a factor.
    ratio = ratios[0] if full[0] >= full[1] else ratios[1]
    factor = round(ratio)
    # Most writers shrink by a whole number and round the size up or down; the
    # ratio of the sizes would then be off by up to a pixel over the slide.
    if factor >= 1 and all(
        large // factor <= small <= -(-large // factor)
        for large, small in zip(full, shape, strict=True)
    ):
        return float(factor)
    # Shapes round to whole pixels, twice when a level was made from the one above.
    if any(
        abs(large / small - ratio) * small > 2 * large / small
        for large, small in zip(full, shape, strict=True)
    ):
        raise SlideError(
            f"{name}: a level of {shape[0]} x {shape[1]} px does not fit the full image of "
            f"{full[0]} x {full[1]} px. Save the slide again with a regular pyramid."
        )
    return ratio


def is_small_enough(shape: tuple[int, int]) -> bool:
    """Whether a level of this shape can end a pyramid."""
    return max(shape) <= SMALLEST_LEVEL


def halved_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Shape of the next level: half, rounded up."""
    return -(-shape[0] // 2), -(-shape[1] // 2)


def halve(image: RgbImage) -> RgbImage:
    """Average 2 x 2 pixels into one; an odd last row or column counts twice."""
    rows, columns = image.shape[:2]
    if rows % 2 or columns % 2:
        image = np.pad(image, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
    half_rows, half_columns = halved_shape((rows, columns))
    reduced = cv2.resize(image, (half_columns, half_rows), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8)


def lower_levels(pixels: LevelPixels) -> list[LevelPixels]:
    """Make levels below a level, each half of the one above, when they are first read."""
    made: list[LevelPixels] = []
    while not is_small_enough(pixels.shape):
        pixels = _halved(pixels)
        made.append(pixels)
    return made


def _halved(pixels: Pixels) -> KeptPixels:
    shape = halved_shape(pixels.shape)

    def make() -> RgbImage:
        image = np.empty((*shape, 3), np.uint8)
        rows, columns = pixels.shape
        for top in range(0, rows, BAND_ROWS):
            band = halve(pixels.read(top, 0, min(top + BAND_ROWS, rows), columns))
            image[top // 2 : top // 2 + len(band)] = band
        return image

    return KeptPixels(shape, make)


def as_dask(pixels: Pixels, name: str) -> da.Array:
    """Show a level as a lazy array.

    Parameters
    ----------
    pixels : Pixels
        The level.
    name : str
        Name of the array, the same for the same pixels.

    Returns
    -------
    dask.array.Array of uint8, shape (row, column, 3)
        In chunks of 512 to 1,024 rows and columns where the level is that large.
    """
    import dask.array as da

    rows, columns = (_chunk_length(length) for length in pixels.chunk or (512, 512))
    array: da.Array = da.from_array(
        _Sliceable(pixels),
        chunks=(min(rows, pixels.shape[0]), min(columns, pixels.shape[1]), 3),
        name=name,
        asarray=False,
        fancy=False,
        meta=np.empty((0, 0, 0), np.uint8),
    )
    return array


def _chunk_length(decoded: int) -> int:
    """Length near to what is decoded together, from 512 to 1,024."""
    if decoded > LARGEST_CHUNK:
        pieces = math.ceil(decoded / LARGEST_CHUNK)
        return decoded // pieces if decoded % pieces == 0 else LARGEST_CHUNK
    return decoded * math.ceil(SMALLEST_CHUNK / decoded)


class _Sliceable:
    """A level that can be sliced, as dask wants it."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.shape = (*pixels.shape, 3)

    def __getitem__(self, key: tuple[slice | int, ...]) -> Any:
        rows, columns = (spanned(key[axis], self.shape[axis]) for axis in (0, 1))
        image = self._pixels.read(rows.start, columns.start, rows.stop, columns.stop)
        return image[within(key[0]), within(key[1]), key[2]]


def spanned(part: slice | int, length: int) -> range:
    """Return the run of positions from the first to the last that are asked for.

    Parameters
    ----------
    part : slice or int
        What is asked for, along one axis.
    length : int
        Of that axis.
    """
    if not isinstance(part, slice):
        return range(part, part + 1)
    asked = range(*part.indices(length))
    return range(min(asked), max(asked) + 1) if asked else range(0)


def within(part: slice | int) -> slice | int:
    """Return the same choice, counted within that run."""
    return slice(None, None, part.step) if isinstance(part, slice) else 0
