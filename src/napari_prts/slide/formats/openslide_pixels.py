"""Pixels of a level that OpenSlide reads: at the right place, on glass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import SlideError
from napari_prts.slide.pixels import RgbImage

WHITE = (255, 255, 255)
# How far left and above a rectangle reading may begin to fall on whole level-0 pixels.
_SEARCH = 64


class OpenSlidePixels:
    """One level of a slide, through OpenSlide, which is safe to read from several threads.

    Parameters
    ----------
    slide : openslide.OpenSlide
        The open slide; kept alive by this.
    level : int
        OpenSlide's number of the level.
    path : Path
        The slide, for messages.
    chunk : tuple of int
        Rows and columns that are decoded together.
    background : tuple of int
        Red, green, blue where nothing was scanned.
    """

    def __init__(
        self,
        slide: Any,
        level: int,
        path: Path,
        chunk: tuple[int, int],
        background: tuple[int, int, int] = WHITE,
    ) -> None:
        self._slide = slide
        self._level = level
        self._path = path
        self._background = np.array(background, np.uint8)
        width, height = slide.level_dimensions[level]
        self._downsample = float(slide.level_downsamples[level])
        self.shape = (int(height), int(width))
        self.chunk: tuple[int, int] | None = chunk

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`~napari_prts.slide.pixels.Pixels`.

        Raises
        ------
        SlideError
            If the pixels cannot be decoded.
        """
        first_row, y = _whole_start(top, self._downsample)
        first_column, x = _whole_start(left, self._downsample)
        size = (right - first_column, bottom - first_row)
        try:
            region = np.asarray(self._slide.read_region((x, y), self._level, size))
        except MemoryError:
            raise
        except Exception as error:  # OpenSlideError, and what ctypes and PIL make of odd answers.
            raise SlideError(
                f"{self._path}: rows {top} to {bottom}, columns {left} to {right} cannot be read "
                f"({type(error).__name__}: {error}). The file is damaged or has changed since it "
                "was opened: copy it again from where it came from and open it again."
            ) from error
        return lay_on(region[top - first_row :, left - first_column :], self._background)


def _whole_start(start: int, downsample: float) -> tuple[int, int]:
    """Find where to begin reading, in pixels of a level and of level 0.

    OpenSlide takes the corner of a rectangle in level-0 pixels, as whole numbers.
    Where a level is smaller by, say, 4.0007, most of its pixels begin between
    two of them, and OpenSlide would shift the picture by a part of a pixel and
    blur it. So reading begins at the near pixel that comes closest to a whole one.
    """
    best, least = start, 1.0
    for candidate in range(start, max(start - _SEARCH, -1), -1):
        # In pixels of the level.
        error = abs(round(candidate * downsample) - candidate * downsample) / downsample
        if error < least - 1e-9:
            best, least = candidate, error
        if error < 1e-6:
            break
    return best, round(best * downsample)


def lay_on(rgba: NDArray[np.uint8], background: NDArray[np.uint8]) -> RgbImage:
    """Lay pixels with opacity on a colour.

    Parameters
    ----------
    rgba : ndarray of uint8, shape (row, column, 4)
        Not premultiplied: openslide-python has undone that.
    background : ndarray of uint8, shape (3,)
        Red, green, blue.
    """
    opacity = rgba[..., 3:]
    if (opacity == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    share = opacity.astype(np.uint16)
    mixed = rgba[..., :3] * share + background * (255 - share)
    return ((mixed + 127) // 255).astype(np.uint8)
