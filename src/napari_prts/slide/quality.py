"""Whether a slide is fit to be analysed: focus, exposure, stain, pen marks, folds.

Small windows spread over the tissue are measured, always at 1 um per pixel, so that slides
of different scanners can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.jobs import Job, Progress, run
from napari_prts.slide.focus import SOFT, focus_word
from napari_prts.slide.quality_region import MEASURED_MPP, RegionQuality, measure_region, rounded
from napari_prts.slide.slide import Slide
from napari_prts.slide.tissue import TissueMask

__all__ = [
    "MEASURED_MPP",
    "QualityRequest",
    "RegionQuality",
    "SlideQuality",
    "region_quality",
    "slide_quality",
    "slide_quality_job",
]

# Where a pixel's size is unknown two pixels count as 1 um: right for a 20x scan.
_GUESSED_MPP = 0.5
# A rectangle of more than a megapixel is measured in windows as a slide is.
_LARGEST_SIDE = 1024
_PICKS = 8


@dataclass(frozen=True)
class QualityRequest:
    """How to measure.

    Parameters
    ----------
    windows : int
        At most so many windows, one from each of equal shares of the tissue.
    side_um : float
        Side of a window.
    """

    windows: int = 48
    side_um: float = 256.0

    def __post_init__(self) -> None:
        if self.windows < 1 or not 32 <= self.side_um <= _LARGEST_SIDE:
            raise SlideError(
                f"{self.windows} windows of {self.side_um:g} um cannot be measured: give one or "
                f"more windows of 32 to {_LARGEST_SIDE} um."
            )


@dataclass(frozen=True, eq=False)
class SlideQuality:
    """Quality of a slide.

    Parameters
    ----------
    focus : float or None
        Upper quartile of the windows: 0 (no detail) to 1 (edges as sharp as pixels of 1 um
        can show); hardly depends on the stain. None where there is nothing to judge by.
    blurred : float or None
        Share of windows that are out of focus.
    haematoxylin, eosin : float or None
        Mean optical density over tissue, by the vectors of Ruifrok and Johnston.
    overexposed, underexposed : float
        Share of the tissue's pixels with all channels at their upper limit, and with a
        channel at its lower limit.
    tissue : float
        Share of the slide.
    pen : float
        Share of the slide that seems to be drawn on with a felt pen.
    folds : float
        Share of the tissue that seems to be folded.
    windows : int
        How many were measured.
    regions : tuple of RegionQuality
        The windows, row by row.
    pen_mask, fold_mask : TissueMask
        Where pen and folds are.
    mpp : float
        um per pixel at which focus and stain were measured.
    notes : tuple of str
        What limits these numbers, in sentences.
    """

    focus: float | None
    blurred: float | None
    haematoxylin: float | None
    eosin: float | None
    overexposed: float
    underexposed: float
    tissue: float
    pen: float
    folds: float
    windows: int
    regions: tuple[RegionQuality, ...]
    pen_mask: TissueMask
    fold_mask: TissueMask
    mpp: float = MEASURED_MPP
    notes: tuple[str, ...] = ()

    @property
    def focus_word(self) -> str:
        """``"good"``, ``"soft"``, ``"out of focus"`` or ``"unknown"``."""
        return focus_word(self.focus)

    def as_dict(self, regions: bool = True) -> dict[str, Any]:
        """Return plain values for JSON, without the masks.

        Parameters
        ----------
        regions : bool
            Whether to list the windows too.
        """
        left_out = ("regions", "pen_mask", "fold_mask", "notes")
        values = {name: value for name, value in self.__dict__.items() if name not in left_out}
        listed = [region.as_dict() for region in self.regions] if regions else None
        return {
            **rounded(values),
            "focus_word": self.focus_word,
            "notes": list(self.notes),
            **({} if listed is None else {"regions": listed}),
        }


def slide_quality(slide: Slide, request: QualityRequest | None = None) -> SlideQuality:
    """Measure a slide's quality; see :func:`slide_quality_job`."""
    return run(slide_quality_job(slide, request or QualityRequest()))


def slide_quality_job(
    slide: Slide, request: QualityRequest = QualityRequest()
) -> Job[SlideQuality]:
    """Measure a slide's quality on windows spread over its tissue.

    Closing the job cancels it. The result is remembered with the slide: the same
    request costs nothing the second time.

    Parameters
    ----------
    slide : Slide
        The slide. If its mpp is unknown, two level-0 pixels count as 1 um.
    request : QualityRequest
        How many windows, and how large.

    Yields
    ------
    Progress
        In windows; ``partial`` is the window's :class:`RegionQuality`.

    Returns
    -------
    SlideQuality
        The same at each call for the same slide.

    Raises
    ------
    SlideError
        If the file is damaged.
    """
    survey = slide.survey()
    known: SlideQuality | None = survey.remembered.get(request)
    if known is not None:
        return known
    scaled = _scaled(slide)
    places = _places(survey.tissue, slide.shape, request.side_um / scaled.require_mpp(), request)
    yield Progress(0, len(places), "windows")
    regions: list[RegionQuality] = []
    for place in places:
        regions.append(measure_region(scaled, *place))
        yield Progress(len(regions), len(places), "windows", partial=regions[-1])
    tissue = survey.tissue
    folded = float(survey.folds.mask.sum() / max(int(tissue.mask.sum()), 1))
    quality = SlideQuality(
        **_combined(regions),
        blurred=_share_blurred(regions),
        tissue=tissue.fraction,
        pen=survey.pen.fraction,
        folds=folded,
        windows=len(regions),
        regions=tuple(regions),
        pen_mask=survey.pen,
        fold_mask=survey.folds,
        notes=_notes(slide),
    )
    survey.remembered[request] = quality
    return quality


def region_quality(
    slide: Slide, row: float, column: float, height: float, width: float
) -> RegionQuality:
    """Measure the quality of a rectangle.

    Parameters
    ----------
    slide : Slide
        The slide. If its mpp is unknown, two level-0 pixels count as 1 um.
    row, column, height, width : float
        The rectangle in level-0 pixels. One of more than 1 mm is measured on windows
        spread over its tissue.

    Raises
    ------
    SlideError
        If the rectangle is empty or outside the slide.
    """
    rows, columns = slide.shape
    top, left = max(row, 0.0), max(column, 0.0)
    bottom, right = min(row + height, rows), min(column + width, columns)
    if not (bottom > top and right > left):
        raise SlideError(
            f"{slide.name} has no pixels at row {row:g}, column {column:g}, {height:g} x "
            f"{width:g}: give a rectangle on the slide of {rows} x {columns} px."
        )
    scaled = _scaled(slide)
    place = (top, left, bottom - top, right - left)
    if max(place[2:]) * scaled.require_mpp() <= _LARGEST_SIDE:
        return measure_region(scaled, *place)
    request = QualityRequest()
    tissue = slide.survey().tissue
    part = _inside(tissue, *place)
    side = request.side_um / scaled.require_mpp()
    regions = [measure_region(scaled, *each) for each in _places(part, slide.shape, side, request)]
    return RegionQuality(*place, tissue=tissue.covers(*place), **_combined(regions))


def _scaled(slide: Slide) -> Slide:
    """The slide, with a guessed pixel size if it has none; what was found stays true."""
    return slide if slide.mpp is not None else replace(slide, mpp=_GUESSED_MPP)


def _notes(slide: Slide) -> tuple[str, ...]:
    if slide.mpp is None:
        return (
            "The size of a pixel is unknown: focus was measured as if a pixel were "
            f"{_GUESSED_MPP:g} um wide.",
        )
    if slide.mpp > MEASURED_MPP:
        return (f"Pixels of {slide.mpp:g} um are too coarse to tell the focus by.",)
    return ()


def _places(
    tissue: TissueMask, shape: tuple[int, int], side: float, request: QualityRequest
) -> list[tuple[float, float, float, float]]:
    """Rectangles within the slide: one from each of equal shares of the tissue, row by row."""
    cells = np.argwhere(tissue.mask)
    if not len(cells):
        return []
    height, width = (min(side, float(length)) for length in shape)
    # More windows than fit beside each other would measure the same tissue twice.
    fit = len(cells) * tissue.downsample**2 / (height * width)
    count = max(1, min(request.windows, round(fit), len(cells)))
    rng = np.random.default_rng(0)
    found = []
    for share in np.array_split(cells, count):
        picks = share[rng.integers(len(share), size=_PICKS)]
        corners = (picks + 0.5) * tissue.downsample - np.array([height, width]) / 2
        corners = np.clip(corners, 0, np.array(shape) - np.array([height, width]))
        places = [(float(row), float(column), height, width) for row, column in corners]
        found.append(max(places, key=lambda place: tissue.covers(*place)))
    return sorted(set(found))


def _inside(
    tissue: TissueMask, row: float, column: float, height: float, width: float
) -> TissueMask:
    """Tissue of a rectangle alone."""
    down = tissue.downsample
    mask = np.zeros_like(tissue.mask)
    rows = slice(int(row / down), int(np.ceil((row + height) / down)))
    columns = slice(int(column / down), int(np.ceil((column + width) / down)))
    mask[rows, columns] = tissue.mask[rows, columns]
    return TissueMask(mask, down)


def _combined(regions: Sequence[RegionQuality]) -> dict[str, Any]:
    """Upper quartile of focus, and means by area of tissue."""
    focus = [region.focus for region in regions if region.focus is not None]

    def mean(name: str) -> float | None:
        known = [r for r in regions if getattr(r, name) is not None and r.tissue > 0]
        if not known:
            return None
        weights = [region.tissue for region in known]
        return float(np.average([getattr(r, name) for r in known], weights=weights))

    return {
        # Fat and stroma have no sharp edges, however well they are in focus.
        "focus": float(np.percentile(focus, 75)) if focus else None,
        "haematoxylin": mean("haematoxylin"),
        "eosin": mean("eosin"),
        "overexposed": mean("overexposed") or 0.0,
        "underexposed": mean("underexposed") or 0.0,
    }


def _share_blurred(regions: Sequence[RegionQuality]) -> float | None:
    focus = [region.focus for region in regions if region.focus is not None]
    return float(np.mean(np.array(focus) < SOFT)) if focus else None
