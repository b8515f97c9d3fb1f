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
REMEMBERED = "user (remembered)"

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

    @property
    def square(self) -> bool:
        """Whether height and width are the same, but for rounding."""
        return abs(self.height - self.width) <= SQUARE_WITHIN * (self.height + self.width) / 2


@dataclass(frozen=True)
class Settled:
    """The pixel size that a slide is opened with.

    Parameters
    ----------
    mpp : float or None
        um per level-0 pixel; None if it has to be asked for.
    source : str
        Where it comes from: the file's own words, ``"user"``,
        ``"user (remembered)"`` or ``"unknown"``.
    remark : str or None
        Sentences for the user if what the file says is not believed.
    """

    mpp: float | None
    source: str
    remark: str | None = None


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


def settle(
    path: Path, stated: PixelSize | None, mpp: float | None, remembered: float | None = None
) -> Settled:
    """Decide on microns per pixel and say where they come from.

    What is given now goes before what the user once said about this slide, and
    that goes before the file's word.

    Parameters
    ----------
    path : Path
        The slide, for the remark.
    stated : PixelSize or None
        What its file says.
    mpp : float or None
        What the user, or the caller, says now; um per level-0 pixel.
    remembered : float or None
        What the user said earlier, from
        :class:`~napari_prts.slide.remembered.PixelSizeMemory`.

    Returns
    -------
    Settled
        With ``mpp`` None and ``source`` ``"unknown"`` if nobody says anything
        that can be believed. Pixels that are not square by the file are among
        this: the user is asked, the slide is not refused.

    Raises
    ------
    SlideError
        If the number given now is impossible.
    """
    if mpp is not None:
        return Settled(check_mpp(mpp), USER)
    if remembered is not None:
        return Settled(check_mpp(remembered), REMEMBERED)
    if stated is None:
        return Settled(None, UNKNOWN)
    if not stated.believable:
        return Settled(None, UNKNOWN, _remark(path, stated, _NO_SCANNER))
    if not stated.square:
        return Settled(None, UNKNOWN, _remark(path, stated, "not square"))
    return Settled((stated.height + stated.width) / 2, stated.source)


_NO_SCANNER = f"no slide has such pixels ({SMALLEST_MPP:g} to {LARGEST_MPP:g} um)"


def _remark(path: Path, stated: PixelSize, why: str) -> str:
    if stated.height == stated.width:
        size = f"{stated.height:g} um"
    else:
        size = f"{stated.height:g} um high and {stated.width:g} um wide"
    return (
        f"By the {stated.source}, pixels of {path.name} are {size}: {why}. "
        "Enter the right microns per pixel."
    )
