"""Images of colour, stain and texture whose sums over a nucleus can be taken exactly.

All are whole numbers: their sums over pixels are the same in whatever order and in
however many blocks they are added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

# Pixels around a block that the texture of its outermost pixels needs.
MARGIN = 2
# Steps per unit of optical density.
OD_STEPS = 4096
# Rows: red, green and blue optical density of haematoxylin, of eosin and of what is
# neither; A. C. Ruifrok and D. A. Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291,
# with the numbers of scikit-image's ``rgb_from_hed``.
STAIN_VECTORS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))

RING_STATISTICS = ("haematoxylin", "haematoxylin²", "eosin", "eosin²")
STATISTICS = (
    *RING_STATISTICS,
    "red",
    "green",
    "blue",
    "grey",
    "grey²",
    "gradient²",
    "laplacian²",
    "variance",
)

Whole = NDArray[np.int32]


def statistic_images(pixels: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.integer]]]:
    """Make the images to sum over nuclei, one after the other.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h + 2 * MARGIN, w + 2 * MARGIN, 3)
        A block with its margin.

    Yields
    ------
    name, image
        In the order of :data:`STATISTICS`; integers, shape (h, w). Stains are optical
        densities in steps of ``1 / OD_STEPS``; gradient² is four times the squared
        gradient per pixel, variance is 625 times the grey variance in 5 x 5 pixels.
    """
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for index, name in enumerate(("haematoxylin", "eosin")):
        density = _stain(inner, index)
        yield name, density
        yield f"{name}²", density * density
    for channel, name in enumerate(("red", "green", "blue")):
        yield name, inner[..., channel]
    grey = _grey(pixels)
    centre = _shifted(grey, 0, 0)
    yield "grey", centre
    yield "grey²", centre * centre
    yield (
        "gradient²",
        (
            (_shifted(grey, 1, 0) - _shifted(grey, -1, 0)) ** 2
            + (_shifted(grey, 0, 1) - _shifted(grey, 0, -1)) ** 2
        ),
    )
    around = sum(_shifted(grey, *step) for step in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    yield "laplacian²", (4 * centre - around) ** 2
    yield "variance", 25 * _box_sum(grey * grey) - _box_sum(grey) ** 2


@lru_cache(maxsize=1)
def _tables() -> NDArray[np.int32]:
    """Density of stain i for value v of channel c, shape (stain, channel, v)."""
    density = -np.log10((np.arange(256) + 1) / 256)
    vectors = np.array(STAIN_VECTORS)
    unmixing = np.linalg.inv(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    tables = unmixing.T[:, :, None] * density * OD_STEPS
    return np.asarray(np.rint(tables).astype(np.int32))


def _stain(pixels: NDArray[np.uint8], index: int) -> Whole:
    total = np.zeros(pixels.shape[:2], np.int32)
    for channel, table in enumerate(_tables()[index]):
        looked_up: Whole = cv2.LUT(np.ascontiguousarray(pixels[..., channel]), table)  # type: ignore[assignment]
        total += looked_up
    return total


def _grey(pixels: NDArray[np.uint8]) -> Whole:
    """Luma after ITU-R BT.601, 0..255."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return np.asarray((77 * red + 150 * green + 29 * blue) >> 8)


def _shifted(image: Whole, row: int, column: int) -> Whole:
    height, width = image.shape
    return image[MARGIN + row : height - MARGIN + row, MARGIN + column : width - MARGIN + column]


def _box_sum(image: Whole) -> Whole:
    """Sum of the 5 x 5 pixels around each."""
    height, width = image.shape[0] - 2 * MARGIN, image.shape[1] - 2 * MARGIN
    rows, total = image[:height].copy(), np.zeros((height, width), np.int32)
    for k in range(1, 2 * MARGIN + 1):
        rows += image[k : k + height]
    for k in range(2 * MARGIN + 1):
        total += rows[:, k : k + width]
    return total
