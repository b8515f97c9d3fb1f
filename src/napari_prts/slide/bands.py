"""A level from top to bottom, in bands of rows, and a quick first look at it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from napari_prts.slide.formats.raster import RasterPixels
from napari_prts.slide.levels import BAND_ROWS, SMALLEST_LEVEL
from napari_prts.slide.pixels import Pixels, RgbImage

# Pixels that a first look may decode: a fraction of a second.
_AFFORDABLE = 32_000_000


def bands_of(pixels: Pixels) -> Iterator[RgbImage]:
    """Read a level once, from top to bottom; the next band is read while one is used.

    Yields
    ------
    ndarray of uint8, shape (row, column, 3)
        Bands of at least 512 rows, but for the last one.
    """
    bands = pixels.bands(BAND_ROWS) if isinstance(pixels, RasterPixels) else _read_bands(pixels)
    with ThreadPoolExecutor(1, thread_name_prefix="slide-bands") as ahead:
        coming = ahead.submit(next, bands, None)
        while (band := coming.result()) is not None:
            coming = ahead.submit(next, bands, None)
            yield band


def _read_bands(pixels: Pixels) -> Iterator[RgbImage]:
    rows, columns = pixels.shape
    # Whole chunks, so that none is decoded twice.
    chunk = pixels.chunk[0] if pixels.chunk is not None else BAND_ROWS
    height = chunk * math.ceil(BAND_ROWS / chunk)
    for top in range(0, rows, height):
        yield pixels.read(top, 0, min(top + height, rows), columns)


def first_look(pixels: Pixels) -> RgbImage | None:
    """Make a small picture of a level that is stored in rows; None if that would take long.

    Returns
    -------
    ndarray of uint8, shape (row, column, 3) or None
        The level, some rows and columns of it.
    """
    if isinstance(pixels, RasterPixels):
        return pixels.preview()
    rows, columns = pixels.shape
    step = max(1, math.ceil(max(rows, columns) / SMALLEST_LEVEL))
    strip = 1 if pixels.chunk is None else pixels.chunk[0]
    tops = range(step // 2, rows, step)
    if strip > step or len(tops) * strip * columns > _AFFORDABLE:
        return None
    lines = [pixels.read(top, 0, top + 1, columns)[:, step // 2 :: step] for top in tops]
    return np.concatenate(lines)
