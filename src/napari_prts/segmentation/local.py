"""Finding the nuclei of one region again, in the place of those that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.jobs import Job
from napari_prts.nuclei import Nuclei, Source
from napari_prts.nuclei.selection import inside_lasso, lasso_area, overlapping
from napari_prts.segmentation.whole_slide import SegmentRequest, requested_model, segment
from napari_prts.slide import Slide

_BY_HAND = (Source.MANUAL, Source.EDITED)


@dataclass(frozen=True, eq=False)
class Replacement:
    """What finding nuclei again in a region changes.

    Parameters
    ----------
    region : tuple of float or ndarray
        (row, column, height, width), or a polygon of shape (k, 2), in level-0 pixels.
    found : Nuclei
        All that were found with their centroid in the region.
    overlap : float
        A new nucleus whose intersection with one that stays is more than this share of
        the smaller one is left out.
    keep_corrected : bool
        Whether nuclei that were drawn, changed or accepted by hand stay.
    removed : ndarray of int64
        Ids of the nuclei that go.
    added : Nuclei
        The nuclei that come, with their scores.
    kept : ndarray of int64
        Ids of corrected nuclei in the region that stay.
    """

    region: tuple[float, float, float, float] | NDArray[np.float64]
    found: Nuclei
    overlap: float
    keep_corrected: bool
    removed: NDArray[np.int64]
    added: Nuclei
    kept: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        nuclei: Nuclei,
        region: tuple[float, float, float, float] | NDArray[np.float64],
        found: Nuclei,
        overlap: float,
        keep_corrected: bool,
    ) -> Replacement:
        """Work out what goes, what stays and what comes."""
        inside = _inside(nuclei, region)
        corrected = np.isin(nuclei.sources[inside], _BY_HAND) & keep_corrected
        going = inside[~corrected]
        positions, new = overlapping(nuclei, found, overlap)
        # Nuclei beyond the region's border stay as well, whoever made them.
        refused = new[~np.isin(positions, going)]
        return cls(
            region,
            found,
            overlap,
            keep_corrected,
            removed=nuclei.ids[going],
            added=found.take(np.setdiff1d(np.arange(len(found)), refused)),
            kept=nuclei.ids[inside[corrected]],
        )

    def renewed(self, nuclei: Nuclei) -> Replacement:
        """The same for the nuclei as they are now: they may have changed during the job."""
        return Replacement.of(nuclei, self.region, self.found, self.overlap, self.keep_corrected)


def resegment(
    slide: Slide,
    nuclei: Nuclei,
    region: ArrayLike,
    request: SegmentRequest | None = None,
    keep_corrected: bool = True,
) -> Job[Replacement]:
    """Find the nuclei of a region again, for example with another threshold.

    Parameters
    ----------
    slide : Slide
        The slide; its microns per pixel must be known.
    nuclei : Nuclei
        The nuclei that are there.
    region : array-like
        (row, column, height, width), or a polygon of shape (k, 2), in level-0 pixels.
        Nuclei whose centroid lies inside are replaced.
    request : SegmentRequest, optional
        Model, thresholds and the like; its own region is not used.
    keep_corrected : bool
        Leave nuclei that were drawn, changed or accepted by hand as they are, and drop
        new ones that overlap them by more than the model's overlap threshold.

    Yields
    ------
    Progress
        In ``"tiles"``; see :func:`~napari_prts.segmentation.segment`.

    Returns
    -------
    Replacement
        What goes and what comes.

    Raises
    ------
    NucleiError
        If the region is neither a rectangle nor a polygon.
    MissingPixelSizeError, SlideError, ModelError
        As :func:`~napari_prts.segmentation.segment`.
    """
    place = _region(region)
    request = replace(request or SegmentRequest(), region=_rectangle(place))
    model = requested_model(request)
    request = replace(request, model=model)
    found = yield from segment(slide, request)
    found = found.take(_inside(found, place))
    return Replacement.of(nuclei, place, found, model.nms_threshold, keep_corrected)


def _region(
    region: ArrayLike,
) -> tuple[float, float, float, float] | NDArray[np.float64]:
    try:
        values = np.asarray(region, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.shape == (4,) and np.isfinite(values).all():
        row, column, height, width = values.tolist()
        return row, column, height, width
    if values.ndim != 2:
        raise NucleiError(
            "A region must be (row, column, height, width) or a list of points (row, column), "
            "in level-0 pixels: draw it again."
        )
    lasso_area(values)
    return values


def _rectangle(
    region: tuple[float, float, float, float] | NDArray[np.float64],
) -> tuple[float, float, float, float]:
    if isinstance(region, tuple):
        return region
    low, high = region.min(axis=0), region.max(axis=0)
    # A centroid on the far border belongs to a polygon's box, but not to a rectangle.
    height, width = high - low + 1e-3
    return float(low[0]), float(low[1]), float(height), float(width)


def _inside(
    nuclei: Nuclei, region: tuple[float, float, float, float] | NDArray[np.float64]
) -> NDArray[np.int64]:
    if isinstance(region, tuple):
        row, column, height, width = region
        inside: NDArray[np.int64] = nuclei.in_rectangle(row, column, row + height, column + width)
        return inside
    return inside_lasso(nuclei, region)
