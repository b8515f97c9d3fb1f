"""Pictures of colour and texture whose means over a square describe it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.stain import optical_density, unmixed

# Pixels around a block that its outermost pixels need: half the widest window, 27 px.
MARGIN = 16
_SIGMAS = (1.0, 2.0, 4.0)
_WINDOWS = (3, 9, 27)
# Optical density of haematoxylin and of eosin, and grey values, at which histograms are cut.
# Tried and found no better: cuts at shares of each slide's own tissue.
_DENSITY_EDGES = (0.05, 0.15, 0.3, 0.5, 0.8)
_GREY_EDGES = (70.0, 110.0, 150.0, 190.0, 225.0)
_PATTERNS = 10
_QUANTUM = 16

NAMES = (
    *(f"{name}{power}" for name in ("red", "green", "blue") for power in ("", "²")),
    *(f"{stain}{power}" for stain in ("haematoxylin", "eosin") for power in ("", "²")),
    *(f"{name}_{i}" for name in ("haematoxylin", "eosin", "grey") for i in range(6)),
    *(f"pattern_{i}" for i in range(_PATTERNS)),
    *(f"gradient{power}_{sigma:g}px" for sigma in _SIGMAS for power in ("", "²")),
    *(f"contrast_{window}px" for window in _WINDOWS),
    "step",
    "homogeneity",
)

Picture = NDArray[np.float32]


def texture_maps(pixels: NDArray[np.uint8], background: tuple[int, int, int]) -> Iterator[Picture]:
    """Make the pictures, one after the other.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h + 2 * MARGIN, w + 2 * MARGIN, 3)
        A block with its margin.
    background : tuple of int
        Colour of bare glass.

    Yields
    ------
    ndarray of float32, shape (h, w)
        In the order of :data:`NAMES`: values and their squares, histograms,
        rotation-invariant uniform local binary patterns of the 8 neighbours (Ojala et al.,
        IEEE PAMI 24 (2002) 971), gradients, local standard deviations, and the mean step and
        homogeneity (Haralick et al., IEEE SMC 3 (1973) 610) of neighbouring grey values.
    """
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for channel in range(3):
        value = _single(inner[..., channel] / np.float32(255))
        yield value
        yield _single(value * value)
    density = unmixed(optical_density(inner, background))
    for stain in range(2):
        value = _single(density[..., stain])
        yield value
        yield _single(value * value)
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    for values, edges in (
        (density[..., 0], _DENSITY_EDGES),
        (density[..., 1], _DENSITY_EDGES),
        (_inner(grey), _GREY_EDGES),
    ):
        yield from _shares(np.digitize(values, edges).astype(np.uint8), len(edges) + 1)
    yield from _shares(_patterns(grey), _PATTERNS)
    smooth = _single(grey / np.float32(255))
    yield from _gradients(smooth)
    for window in _WINDOWS:
        mean = cv2.blur(smooth, (window, window))
        variance = cv2.blur(smooth * smooth, (window, window)) - mean * mean
        yield _inner(np.sqrt(np.maximum(variance, 0)))
    yield from _steps((grey // _QUANTUM).astype(np.float32))


def _inner(picture: NDArray[np.generic]) -> Picture:
    return _single(picture[MARGIN:-MARGIN, MARGIN:-MARGIN])


def _single(picture: NDArray[np.generic]) -> Picture:
    return np.ascontiguousarray(picture, np.float32)


def _shares(classes: NDArray[np.uint8], count: int) -> Iterator[Picture]:
    for number in range(count):
        yield (classes == number).astype(np.float32)


def _gradients(grey: Picture) -> Iterator[Picture]:
    # OpenCV's last bit depends on where in memory a picture lies: in double precision that
    # is rounded away.
    fine = grey.astype(np.float64)
    for sigma in _SIGMAS:
        blurred = cv2.GaussianBlur(fine, (0, 0), sigma)
        across, down = (cv2.Sobel(blurred, cv2.CV_64F, dx, 1 - dx) for dx in (1, 0))
        size = _inner(cv2.magnitude(across, down))
        yield size
        yield size * size


def _steps(levels: Picture) -> Iterator[Picture]:
    """Mean over right and lower neighbour of the difference, and of 1 / (1 + difference²)."""
    middle = levels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    right = levels[MARGIN:-MARGIN, MARGIN + 1 : 1 - MARGIN]
    below = levels[MARGIN + 1 : 1 - MARGIN, MARGIN:-MARGIN]
    both = [np.abs(middle - other) for other in (right, below)]
    yield (both[0] + both[1]) / 2
    yield (1 / (1 + both[0] ** 2) + 1 / (1 + both[1] ** 2)) / 2


@lru_cache(maxsize=1)
def _uniform() -> NDArray[np.uint8]:
    """Class of each of the 256 patterns: neighbours set, or 9 if they change over twice."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)


def _patterns(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = grey.shape[0] - 2 * MARGIN, grey.shape[1] - 2 * MARGIN
    around = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
    middle = grey[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
    code = np.zeros((height, width), np.uint8)
    for bit, (down, right) in enumerate(around):
        row, column = MARGIN + down, MARGIN + right
        code |= (grey[row : row + height, column : column + width] >= middle).astype(
            np.uint8
        ) << np.uint8(bit)
    return _uniform()[code]
