"""Quality of one rectangle of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.focus import focus_word, measured_focus
from napari_prts.slide.slide import Slide
from napari_prts.slide.stain import StainStrength, optical_density, stain_strength
from napari_prts.slide.tissue import TissueMask

# um per pixel of all measurements but that of clipped pixels.
MEASURED_MPP = 1.0
# Clipping is counted in pixels as they were scanned: averages of clipped ones are not clipped.
_CLIPPED_SIDE = 256
_WHITE, _BLACK = 255, 2


@dataclass(frozen=True)
class RegionQuality:
    """Quality of a rectangle.

    Parameters
    ----------
    row, column, height, width : float
        The rectangle in level-0 pixels.
    tissue : float
        Share of it that is tissue.
    focus : float or None
        0 (no detail) to 1 (edges as sharp as pixels of 1 um can show); None where there
        is nothing to judge by.
    haematoxylin, eosin : float or None
        Mean optical density over tissue; None without stained tissue.
    overexposed, underexposed : float
        Share of the tissue's level-0 pixels with all channels at their upper limit, and
        with a channel at its lower limit.
    """

    row: float
    column: float
    height: float
    width: float
    tissue: float
    focus: float | None
    haematoxylin: float | None
    eosin: float | None
    overexposed: float
    underexposed: float

    @property
    def focus_word(self) -> str:
        """``"good"``, ``"soft"``, ``"out of focus"`` or ``"unknown"``."""
        return focus_word(self.focus)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**rounded(self.__dict__), "focus_word": self.focus_word}


def measure_region(
    slide: Slide, row: float, column: float, height: float, width: float
) -> RegionQuality:
    """Measure a rectangle that lies within the slide.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    row, column, height, width : float
        The rectangle in level-0 pixels.
    """
    mpp = slide.require_mpp()
    survey = slide.survey()
    step = MEASURED_MPP / mpp
    rows, columns = max(1, int(height / step)), max(1, int(width / step))
    pixels = slide.read(row, column, rows, columns, mpp=MEASURED_MPP)
    tissue = _spread(survey.tissue, row, column, step, (rows, columns))
    density = optical_density(pixels, survey.background)
    stain = stain_strength(density, tissue)
    focus = measured_focus(density.mean(axis=2), tissue) if mpp <= MEASURED_MPP * 1.01 else None
    over, under = _clipped(slide, row, column, height, width)
    return RegionQuality(
        row, column, height, width, float(tissue.mean()), focus, *_strengths(stain), over, under
    )


def _strengths(stain: StainStrength | None) -> tuple[float | None, float | None]:
    return (None, None) if stain is None else (stain.haematoxylin, stain.eosin)


def _clipped(
    slide: Slide, row: float, column: float, height: float, width: float
) -> tuple[float, float]:
    """Share of clipped level-0 pixels of tissue in the middle of a rectangle."""
    rows, columns = (max(1, min(int(length), _CLIPPED_SIDE)) for length in (height, width))
    top, left = int(row + (height - rows) / 2), int(column + (width - columns) / 2)
    pixels = slide.read(top, left, rows, columns)
    tissue = _spread(slide.survey().tissue, top, left, 1.0, (rows, columns))
    inside = pixels[tissue]
    if not len(inside):
        return 0.0, 0.0
    over, under = inside.min(axis=1) >= _WHITE, inside.min(axis=1) <= _BLACK
    return float(over.mean()), float(under.mean())


def _spread(
    tissue: TissueMask, row: float, column: float, step: float, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Say for each pixel of a rectangle whether it lies in a cell of tissue."""
    rows, columns = (
        np.clip(
            ((start + (np.arange(count) + 0.5) * step) / tissue.downsample).astype(int),
            0,
            limit - 1,
        )
        for start, count, limit in zip((row, column), shape, tissue.mask.shape, strict=True)
    )
    return np.asarray(tissue.mask[np.ix_(rows, columns)])


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Four digits are more than these measurements hold."""
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }
