"""What the samples of a pixel mean, and how they become red, green, blue."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Coding(Enum):
    """Meaning of the samples of a pixel."""

    RGB = "red, green, blue; a fourth sample has no stated meaning and is ignored"
    RGBA = "red, green, blue, opacity"
    PREMULTIPLIED = "red, green, blue multiplied by opacity, opacity"
    YCBCR = "luma, blue and red difference (full range, as in JPEG)"


def to_rgb(samples: NDArray[np.uint8], coding: Coding) -> NDArray[np.uint8]:
    """Turn samples into red, green, blue.

    Transparent pixels are laid on white, the colour of bare glass.

    Parameters
    ----------
    samples : ndarray of uint8, shape (row, column, 3 or 4)
        Pixels as stored.
    coding : Coding
        What they mean.

    Returns
    -------
    ndarray of uint8, shape (row, column, 3)
        The same array where nothing has to be done.
    """
    if coding is Coding.YCBCR:
        return _from_ycbcr(samples)
    if samples.shape[2] == 3 or coding is Coding.RGB:
        return np.asarray(samples[..., :3], order="C")
    opacity = samples[..., 3:].astype(np.uint16)
    colour = samples[..., :3].astype(np.uint16)
    if coding is Coding.RGBA:
        colour = (colour * opacity + 127) // 255
    return np.asarray(np.minimum(colour + (255 - opacity), 255), np.uint8)


def _from_ycbcr(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    # OpenCV orders the differences red first; its 8-bit conversion is JPEG's (JFIF 1.02).
    swapped = np.ascontiguousarray(samples[..., [0, 2, 1]])
    return np.asarray(cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB), np.uint8)
