"""A slide as one small picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_prts.slide.pixels import RgbImage

if TYPE_CHECKING:
    from napari_prts.slide.slide import Slide


def overview(slide: Slide, side: int) -> tuple[RgbImage, float]:
    """Read the whole slide, reduced.

    Parameters
    ----------
    slide : Slide
        The slide; its pixel size may be unknown.
    side : int
        Longest side of the picture in pixels; a smaller slide is not enlarged.

    Returns
    -------
    picture : ndarray of uint8, shape (height, width, 3)
        Red, green, blue.
    downsample : float
        Level-0 pixels per pixel of the picture.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    rows, columns = slide.shape
    downsample = max(max(rows, columns) / side, 1.0)
    height, width = (max(math.floor(length / downsample), 1) for length in (rows, columns))
    return read_at(slide, 0.0, 0.0, height, width, downsample), downsample


def read_at(
    slide: Slide, row: float, column: float, height: int, width: int, downsample: float
) -> RgbImage:
    """Read a rectangle at so many level-0 pixels per output pixel; needs no pixel size.

    Parameters
    ----------
    slide : Slide
        The slide.
    row, column : float
        Upper left corner in level-0 pixels.
    height, width : int
        In output pixels.
    downsample : float
        Level-0 pixels per output pixel.
    """
    if slide.mpp is None:
        # In a slide of 1 um per pixel, um are pixels.
        return slide.with_mpp(1.0).read(row, column, height, width, mpp=downsample)
    return slide.read(row, column, height, width, mpp=downsample * slide.mpp)
