"""Microns per pixel: what a file says, whether to believe it, what the user says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from napari_prts.errors import SlideError

# No microscope slide is scanned finer or coarser than this, in um per pixel.
SMALLEST_MPP, LARGEST_MPP = 0.05, 20.0
# The resolution tags of TIFF are mostly print sizes: 72 to 4,800 dpi are 353 to 5.3 um.
LARGEST_TAGGED_MPP = 5.0
# Pixels whose height and width differ by more than this share are not square.
SQUARE_WITHIN = 0.01

UNKNOWN = "unknown"
USER = "user"

_MICRONS = {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "dm": 1e5,
    "decimeter": 1e5,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "um": 1.0,
    "µm": 1.0,  # micro sign, as OME writes it
    "μm": 1.0,  # Greek mu
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "å": 1e-4,
    "angstrom": 1e-4,
    "pm": 1e-6,
    "picometer": 1e-6,
    "in": 25_400.0,
    "inch": 25_400.0,
}


@dataclass(frozen=True)
class PixelSize:
    """Size of a level-0 pixel as a file states it.

    Parameters
    ----------
    height, width : float
        In um.
    source : str
        Where it was stated, for example ``"file (OME)"``.
    """

    height: float
    width: float
    source: str

    @property
    def believable(self) -> bool:
        """Whether a slide scanner makes such pixels."""
        return all(SMALLEST_MPP <= size <= LARGEST_MPP for size in (self.height, self.width))


def microns(value: float, unit: str) -> float | None:
    """Convert a length to um; None if the unit is not one of length."""
    factor = _MICRONS.get(unit.strip().lower())
    return None if factor is None else value * factor


def check_mpp(mpp: float) -> float:
    """Return a user's microns per pixel if a slide can have it.

    Raises
    ------
    SlideError
        If it is not a number from 0.05 to 20.
    """
    if not (math.isfinite(mpp) and SMALLEST_MPP <= mpp <= LARGEST_MPP):
        raise SlideError(
            f"{mpp:g} um per pixel is no pixel size of a slide: give a number from "
            f"{SMALLEST_MPP:g} to {LARGEST_MPP:g}, for example 0.25 for a 40x scan or 0.5 for 20x."
        )
    return float(mpp)


def settle(path: Path, stated: PixelSize | None, mpp: float | None) -> tuple[float | None, str]:
    """Decide on microns per pixel and say where they come from.

    Parameters
    ----------
    path : Path
        The slide, for messages.
    stated : PixelSize or None
        What its file says.
    mpp : float or None
        What the user says; it goes before the file's word.

    Returns
    -------
    tuple of (float or None, str)
        um per level-0 pixel and its source; ``(None, "unknown")`` if neither
        says anything that can be believed.

    Raises
    ------
    SlideError
        If the user's number is impossible, or the file's pixels are not square.
    """
    if mpp is not None:
        return check_mpp(mpp), USER
    if stated is None or not stated.believable:
        return None, UNKNOWN
    mean = (stated.height + stated.width) / 2
    if abs(stated.height - stated.width) > SQUARE_WITHIN * mean:
        raise SlideError(
            f"{path}: pixels are not square, {stated.height:g} um high and {stated.width:g} um "
            f"wide by the {stated.source}. If that is a mistake in the file, give the right "
            "microns per pixel (--mpp, or the field in the Slide widget); otherwise resample the "
            "image to square pixels."
        )
    return mean, stated.source
