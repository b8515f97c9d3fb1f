"""Reading a rectangle at any position and resolution.

A picture is taken as constant over each pixel and, outside the slide, as the
background. An output pixel is its mean over a square of the output pixel's
size, or of one level pixel if that is larger: area averaging when the picture
shrinks, linear interpolation when it grows or is shifted by part of a pixel,
and the very pixels at full resolution and whole positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.levels import Level
from napari_prts.slide.pixels import Pixels, RgbImage

# A level is used although it is coarser than asked for by up to this share.
_COARSER_WITHIN = 0.01
# Output pixels that are made at once; bounds the memory of a large read.
_BAND_PIXELS = 2**22


@dataclass(frozen=True)
class Rectangle:
    """A rectangle in level-0 pixels and the output it becomes.

    Parameters
    ----------
    row, column : float
        Top-left corner in level-0 pixels.
    height, width : int
        Output pixels.
    step : float
        Level-0 pixels per output pixel.
    """

    row: float
    column: float
    height: int
    width: int
    step: float


@dataclass(frozen=True)
class Sampled:
    """A rectangle of the part inside the slide.

    Parameters
    ----------
    sums : ndarray of float32, shape (height, width, 3)
        Grey values, zero outside the slide.
    inside : ndarray of float32, shape (height, width)
        Share of each output pixel that lies inside the slide, 0 to 1.
    """

    sums: NDArray[np.float32]
    inside: NDArray[np.float32]

    @property
    def whole(self) -> bool:
        """Whether nothing of it lies outside the slide."""
        return bool(self.inside.min() >= 1 - 1e-6)

    def on(self, background: tuple[int, int, int]) -> RgbImage:
        """Fill the outside with a colour and round."""
        sums = self.sums
        if not self.whole:
            sums = sums + (1 - self.inside)[..., None] * np.asarray(background, np.float32)
        # OpenCV rounds and limits to 0..255 in one go.
        return np.asarray(cv2.convertScaleAbs(sums), np.uint8)


def best_level(levels: Sequence[Level], step: float) -> Level:
    """Return the coarsest level that is as fine as asked for."""
    fine = [lv for lv in levels if lv.downsample <= step * (1 + _COARSER_WITHIN)]
    return fine[-1] if fine else levels[0]


def read_exact(levels: Sequence[Level], rectangle: Rectangle) -> RgbImage | None:
    """Return the very pixels of a level if no resampling is needed, else None.

    None too where the rectangle leaves the slide.
    """
    level = best_level(levels, rectangle.step)
    top, left = rectangle.row / level.downsample, rectangle.column / level.downsample
    if rectangle.step != level.downsample or not (top.is_integer() and left.is_integer()):
        return None
    rows, columns = level.pixels.shape
    if top < 0 or left < 0 or top + rectangle.height > rows or left + rectangle.width > columns:
        return None
    r, c = int(top), int(left)
    found = level.pixels.read(r, c, r + rectangle.height, c + rectangle.width)
    # A view of what is remembered is copied, so that the caller may write to it.
    return found if found.flags.owndata and found.flags.writeable else found.copy()


def bands(rectangle: Rectangle) -> list[Rectangle]:
    """Cut a rectangle into bands that fit into memory."""
    rows = max(1, _BAND_PIXELS // rectangle.width)
    return [
        Rectangle(
            rectangle.row + top * rectangle.step,
            rectangle.column,
            min(rows, rectangle.height - top),
            rectangle.width,
            rectangle.step,
        )
        for top in range(0, rectangle.height, rows)
    ]


def sample(levels: Sequence[Level], rectangle: Rectangle) -> Sampled:
    """Resample a rectangle from the best level."""
    level = best_level(levels, rectangle.step)
    full = levels[0].pixels.shape
    down = level.downsample
    extents = [length / down for length in full]
    step = rectangle.step / down
    rows = _axis(rectangle.row / down, step, rectangle.height, level.pixels.shape[0], extents[0])
    columns = _axis(
        rectangle.column / down, step, rectangle.width, level.pixels.shape[1], extents[1]
    )
    return Sampled(
        _weighted(level.pixels, rows, columns), rows.inside[:, None] * columns.inside[None, :]
    )


@dataclass(frozen=True)
class _Axis:
    """Which level pixels an axis needs and with what weights.

    ``index`` and ``weight`` have one row per output pixel; ``index`` counts
    from ``first``.
    """

    first: int
    last: int
    index: NDArray[np.int64]
    weight: NDArray[np.float32]

    @property
    def inside(self) -> NDArray[np.float32]:
        return np.asarray(np.minimum(self.weight.sum(axis=1), 1), np.float32)


def _axis(start: float, step: float, count: int, size: int, extent: float) -> _Axis:
    """Lay ``count`` output pixels of length ``step`` from ``start`` over ``size`` level pixels.

    The slide ends at ``extent``, inside the last level pixel.
    """
    breadth = max(step, 1.0)
    low = start + (np.arange(count) + 0.5) * step - breadth / 2
    high = low + breadth
    index = np.floor(low).astype(np.int64)[:, None] + np.arange(math.ceil(breadth) + 1)
    ends = np.minimum(index + 1, min(extent, size))
    overlap = np.minimum(high[:, None], ends) - np.maximum(low[:, None], index)
    weight = np.where(index >= 0, np.clip(overlap, 0, None), 0) / breadth
    used = index[weight > 0]
    first, last = (int(used.min()), int(used.max()) + 1) if used.size else (0, 0)
    return _Axis(
        first, last, np.clip(index - first, 0, max(last - first - 1, 0)), weight.astype(np.float32)
    )


def _weighted(pixels: Pixels, rows: _Axis, columns: _Axis) -> NDArray[np.float32]:
    if rows.first == rows.last or columns.first == columns.last:
        return np.zeros((len(rows.weight), len(columns.weight), 3), np.float32)
    image = pixels.read(rows.first, columns.first, rows.last, columns.last)
    # Averaging along the first axis adds whole rows of numbers, which is quick; turning a
    # picture costs little, so columns are averaged as rows too.
    upright = _average(np.asarray(image, np.float32), rows)
    turned = np.asarray(cv2.transpose(upright), np.float32)
    return np.asarray(cv2.transpose(_average(turned, columns)), np.float32)


def _average(image: NDArray[np.float32], axis: _Axis) -> NDArray[np.float32]:
    """Average along the first axis."""
    from scipy.sparse import csr_array

    count, terms = axis.weight.shape
    starts = np.arange(0, count * terms + 1, terms)
    matrix = csr_array(
        (axis.weight.ravel(), axis.index.ravel(), starts), shape=(count, axis.last - axis.first)
    )
    flat = matrix @ np.ascontiguousarray(image).reshape(len(image), -1)
    return np.asarray(flat, np.float32).reshape(count, *image.shape[1:])
