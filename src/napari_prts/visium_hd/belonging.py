"""Whether a measured section belongs to a slide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError
from napari_prts.slide import Slide

_MPP_TOLERANCE = 0.02
_MOST_OFF_SLIDE = 0.01


def check_scale(slide: Slide, mpp: float, path: Path) -> float:
    """Refuse a section of another scale.

    Parameters
    ----------
    slide : Slide
    mpp : float
        Microns per full-resolution pixel of the section.
    path : Path
        Its folder, for the message.

    Returns
    -------
    float
        The slide's microns per pixel.

    Raises
    ------
    MissingPixelSizeError
        If the slide's are unknown.
    VisiumHDError
        If the two differ by more than 2 %.
    """
    slide_mpp = slide.require_mpp()
    if abs(mpp / slide_mpp - 1) > _MPP_TOLERANCE:
        raise VisiumHDError(
            f"{path} was made from an image of {mpp:.4g} um/px, but the slide has "
            f"{slide_mpp:.4g} um/px: it belongs to another slide or another scale of it. Open the "
            "image that Space Ranger was given, or correct the slide's microns per pixel."
        )
    return slide_mpp


def check_on_slide(
    slide: Slide, positions: NDArray[np.floating], path: Path, what: str = "bins"
) -> None:
    """Refuse a section of which more than 1 % of the bins or cells lie outside the slide.

    Parameters
    ----------
    slide : Slide
    positions : (n, 2)
        (row, column) in full-resolution pixels.
    path : Path
        The section's folder, for the message.
    what : str
        What lies at the positions.

    Raises
    ------
    VisiumHDError
        Saying where they lie.
    """
    height, width = slide.shape
    outside = ((positions < 0) | (positions > (height, width))).any(1)
    if outside.mean() > _MOST_OFF_SLIDE:
        low, high = positions.min(0), positions.max(0)
        raise VisiumHDError(
            f"{outside.mean():.0%} of the {what} of {path} lie outside the slide (rows "
            f"{low[0]:.0f} to {high[0]:.0f} of {height}, columns {low[1]:.0f} to {high[1]:.0f} of "
            f"{width}): it belongs to another slide. Open the image that Space Ranger was given."
        )
