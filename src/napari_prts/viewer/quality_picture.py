"""A small picture of a slide with its tissue and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.slide import Slide, TissueMask
    from napari_prts.slide.quality import SlideQuality

# Okabe and Ito's colours, which colour-blind people tell apart: green, sky blue, orange,
# yellow, vermilion.
TISSUE, PEN, FOLD = (0, 158, 115), (86, 180, 233), (230, 159, 0)
SOFT, BLURRED = (240, 228, 66), (213, 94, 0)
BROKEN = (0, 0, 0)

RgbImage = NDArray[np.uint8]


def overview(slide: Slide, height: int, width: int) -> RgbImage:
    """Read a slide as small as will fit into a box; (row, column, 3) uint8."""
    rows, columns = slide.shape
    shrink = max(rows / height, columns / width)
    shape = max(1, round(rows / shrink)), max(1, round(columns / shrink))
    level = slide.stack[-1]
    for candidate in reversed(slide.stack):
        level = candidate
        if level.downsample <= shrink:
            break
    whole = level.pixels.read(0, 0, *level.pixels.shape)
    return np.asarray(cv2.resize(whole, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def quality_picture(
    slide: Slide, quality: SlideQuality, tissue: TissueMask, height: int = 240, width: int = 320
) -> RgbImage:
    """Draw tissue, pen, folds, blurred windows and broken tiles over a slide.

    Parameters
    ----------
    slide : Slide
        The slide.
    quality : SlideQuality
        What was measured.
    tissue : TissueMask
        Where its tissue is.
    height, width : int
        The box to fit into, in pixels of the screen.

    Returns
    -------
    ndarray of uint8, shape (row, column, 3)
        Red, green, blue.
    """
    image = overview(slide, height, width)
    shrink = slide.shape[0] / image.shape[0]
    _tint(image, quality.pen_mask, shrink, PEN)
    _tint(image, quality.fold_mask, shrink, FOLD)
    outlines, _ = cv2.findContours(
        _scaled(tissue, shrink, image.shape[:2]), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(image, outlines, -1, TISSUE, 1)
    for region in quality.regions:
        colour = {"soft": SOFT, "out of focus": BLURRED}.get(region.focus_word)
        if colour is not None:
            _box(image, (region.row, region.column, region.height, region.width), shrink, colour, 2)
    for tile in slide.broken:
        _box(image, (tile.row, tile.column, tile.height, tile.width), shrink, BROKEN, -1)
    return image


def _scaled(mask: TissueMask, shrink: float, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a mask to the pixels of the picture."""
    factor = mask.downsample / shrink
    place = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5]])
    scaled = cv2.warpAffine(mask.mask.astype(np.uint8), place, shape[::-1], flags=cv2.INTER_NEAREST)
    return np.asarray(scaled, np.uint8)


def _tint(image: RgbImage, mask: TissueMask, shrink: float, colour: tuple[int, int, int]) -> None:
    where = _scaled(mask, shrink, image.shape[:2]) > 0
    image[where] = (image[where] * 0.3 + np.array(colour) * 0.7).astype(np.uint8)


def _box(
    image: RgbImage,
    rectangle: tuple[float, float, float, float],
    shrink: float,
    colour: tuple[int, int, int],
    thickness: int,
) -> None:
    row, column, height, width = (value / shrink for value in rectangle)
    first = int(column), int(row)
    last = max(int(column + width) - 1, first[0]), max(int(row + height) - 1, first[1])
    cv2.rectangle(image, first, last, colour, thickness)
