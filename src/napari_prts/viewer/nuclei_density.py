"""How densely nuclei lie, as pictures for the levels on which single ones cannot be seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.density import density
from napari_prts.viewer.nuclei_tones import density_values

# Pixels of the level along the side of a cell in which nuclei are counted: fewer, and a
# cell holds so few that the picture is all noise.
_CELL = 4
# In cells: how far a nucleus is spread, so that cells do not show as squares.
_SPREAD = 0.8


class DensityPicture:
    """The densities of one level; counted when first looked at.

    Parameters
    ----------
    nuclei : Nuclei
        What is counted.
    shape : tuple of int
        Rows and columns of the slide's level 0.
    factor : int
        Level-0 pixels per pixel of the level.
    mpp : float
        Microns per level-0 pixel.
    """

    def __init__(self, nuclei: Nuclei, shape: tuple[int, int], factor: int, mpp: float) -> None:
        counts = density(nuclei, shape, _CELL * factor)
        spread = cv2.GaussianBlur(counts, (0, 0), _SPREAD, borderType=cv2.BORDER_CONSTANT)
        area = (_CELL * factor * mpp / 1000) ** 2
        self._per_mm2: NDArray[np.float32] = np.asarray(spread / np.float32(area), np.float32)
        # A nucleus far from all others is still seen: what is half as dense as its place is.
        self._least = 0.5 / (2 * np.pi * _SPREAD**2) / area

    def draw(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """Draw a window, in pixels of the level, in values of ``nuclei_tones``."""
        shift = [(start + 0.5) / _CELL - 0.5 for start in (left, top)]
        place = np.array([[1 / _CELL, 0, shift[0]], [0, 1 / _CELL, shift[1]]])
        enlarged = cv2.warpAffine(
            self._per_mm2,
            place,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return density_values(np.asarray(enlarged), self._least)
