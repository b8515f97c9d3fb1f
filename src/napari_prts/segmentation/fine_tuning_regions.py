"""The regions that a user corrected, as pictures with outlined nuclei.

In a label image of this module a positive number is a nucleus, 0 is background and
:data:`IGNORED` is what nothing is known about: outside the regions, a nucleus that a
region's border cuts, and a rim of background where such a nucleus may not be outlined.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.drawing import rasterise
from napari_prts.segmentation.fine_tuning_shapes import (
    Region,
    common,
    region_shape,
    short,
    slide_box,
)
from napari_prts.slide import Slide

IGNORED = -1
# Background so near to a region's border may be part of a nucleus that lies mostly outside.
RIM_UM = 2.0
# Model pixels beyond the regions that the network sees.
CONTEXT = 96
# All pictures together, with what is made of them, fit into half a gigabyte.
_MOST_PIXELS = 16_000_000
# Rows read at once: a job can be cancelled in between.
_STRIP = 192


@dataclass(frozen=True, eq=False)
class Patch:
    """A window of the slide at the model's scale, with every nucleus in it.

    Parameters
    ----------
    image : ndarray of uint8, shape (row, column, 3)
        Pixels of the window.
    numbers : ndarray of int32, shape (row, column)
        1 + position in :attr:`Corrected.nuclei`; 0 where there is none.
    on_slide : ndarray of bool, shape (row, column)
        False beyond the slide's edge.
    corner : tuple of float
        Top left corner in level-0 pixels.
    step : float
        Level-0 pixels per pixel.
    shape : shapely geometry
        The connected region that it was read for; of others nearby it may show a piece.
    """

    image: NDArray[np.uint8]
    numbers: NDArray[np.int32]
    on_slide: NDArray[np.bool_]
    corner: tuple[float, float]
    step: float
    shape: Any


@dataclass(frozen=True, eq=False)
class Corrected:
    """Corrected regions of a slide.

    Parameters
    ----------
    shape : shapely geometry
        All regions together, in (x, y) as outlines are: pixel centres at whole numbers.
    slide_shape : tuple of int
        Rows and columns of the slide.
    nuclei : Nuclei
        Those in or near the regions.
    mpp : float
        Microns per level-0 pixel.
    """

    shape: Any
    slide_shape: tuple[int, int]
    nuclei: Nuclei
    mpp: float

    @classmethod
    def of(cls, slide: Slide, nuclei: Nuclei, regions: Sequence[Region]) -> Corrected:
        """Gather regions and their nuclei.

        Raises
        ------
        ModelError
            If a region is none or lies outside the slide, or there are none.
        MissingPixelSizeError
            If the slide's microns per pixel are unknown.
        """
        import shapely

        mpp = slide.require_mpp()
        if not regions:
            raise ModelError("No region is given: name one in which every nucleus is right.")
        ground = slide_box(slide.shape)
        shapes = [common(region_shape(region), ground) for region in regions]
        for region, shape in zip(regions, shapes, strict=True):
            if shape.area < 1:
                raise ModelError(
                    f"Region {short(region)} lies outside {slide.name}, which is "
                    f"{slide.shape[0]} x {slide.shape[1]} px: move it onto the tissue."
                )
        union = shapely.union_all(shapes)
        near = nuclei.take(_near(nuclei, union, (CONTEXT + 1) * max(1.0, 1 / mpp)))
        return cls(union, slide.shape, near, mpp)

    def whole(self, part: Any) -> NDArray[np.bool_]:
        """Tell which nuclei lie wholly in a part of the regions, shape (n,).

        The slide's own edge cuts no nucleus: what lies beyond cannot be outlined.
        """
        import shapely

        found: NDArray[np.bool_] = shapely.covered_by(self.nuclei.shapely(), self._opened(part))
        return found

    def labels(self, patch: Patch, part: Any) -> NDArray[np.int32]:
        """Mark what is known of a patch within a part of the regions.

        Parameters
        ----------
        patch : Patch
            The window.
        part : shapely geometry
            What is looked at; all else is ignored.

        Returns
        -------
        ndarray of int32, shape (row, column)
            Nuclei wholly inside by their number, 0 for background, :data:`IGNORED`.
        """
        from scipy.ndimage import distance_transform_edt

        part = common(part, patch.shape)
        if part.is_empty:
            return np.full(patch.numbers.shape, IGNORED, np.int32)
        inside = _drawn(self._opened(part), patch)
        rim = RIM_UM / (self.mpp * patch.step)
        # What lies beyond the picture is no border: all regions in it end within.
        deep = distance_transform_edt(np.pad(inside, 1, mode="edge"))[1:-1, 1:-1] > rim
        labels = np.where(deep, 0, IGNORED).astype(np.int32)
        known = np.concatenate([[False], self.whole(part)])
        drawn = patch.numbers > 0
        labels[drawn] = np.where(known[patch.numbers[drawn]], patch.numbers[drawn], IGNORED)
        labels[~patch.on_slide] = IGNORED
        return labels

    def patches(self, slide: Slide, mpp: float) -> Generator[float, None, list[Patch]]:
        """Read a window for each connected region, strip by strip.

        Parameters
        ----------
        slide : Slide
            The slide.
        mpp : float
            Microns per pixel of the windows.

        Yields
        ------
        float
            Share done.

        Raises
        ------
        ModelError
            If the windows together are too large.
        """
        import shapely

        step = mpp / self.mpp
        parts = shapely.get_parts(self.shape)
        windows = [_window(part, step) for part in parts]
        total = sum(height * width for _, height, width in windows)
        if total > _MOST_PIXELS:
            raise ModelError(
                f"The regions span {total * (mpp / 1000) ** 2:.1f} mm2; at most "
                f"{_MOST_PIXELS * (mpp / 1000) ** 2:.1f} mm2 can be learned from at once. "
                "Choose smaller regions."
            )
        patches, done = [], 0
        for part, (corner, height, width) in zip(parts, windows, strict=True):
            strips = []
            for row in range(0, height, _STRIP):
                rows = min(_STRIP, height - row)
                place = (corner[0] + row * step, corner[1])
                strips.append(slide.read(*place, rows, width, mpp=mpp))
                done += rows * width
                yield done / total
            patches.append(self._patch(np.concatenate(strips), corner, step, part))
        return patches

    def _patch(
        self, image: NDArray[np.uint8], corner: tuple[float, float], step: float, part: Any
    ) -> Patch:
        height, width = image.shape[:2]
        numbers = rasterise(self.nuclei, height, width, corner, 1 / step)
        rows = corner[0] + (np.arange(height) + 0.5) * step
        columns = corner[1] + (np.arange(width) + 0.5) * step
        on_slide = ((rows >= 0) & (rows < self.slide_shape[0]))[:, None] & (
            (columns >= 0) & (columns < self.slide_shape[1])
        )
        return Patch(image, numbers, on_slide, corner, step, part)

    def _opened(self, part: Any) -> Any:
        """The part, going on beyond the slide's edge where it reaches it."""
        import shapely

        around = shapely.buffer(part, 4 * RIM_UM / self.mpp + 1, join_style="mitre")
        beyond = shapely.difference(around, slide_box(self.slide_shape))
        return shapely.union(part, beyond)


def _near(nuclei: Nuclei, shape: Any, margin: float) -> NDArray[np.int64]:
    import shapely

    west, south, east, north = shapely.bounds(shape)
    reach = margin + nuclei.reach if len(nuclei) else 0.0
    found: NDArray[np.int64] = nuclei.in_rectangle(
        south - reach, west - reach, north + reach, east + reach
    )
    return found


def _window(part: Any, step: float) -> tuple[tuple[float, float], int, int]:
    """Corner in level-0 pixels, height and width in window pixels, with context."""
    import shapely

    west, south, east, north = shapely.bounds(part) + 0.5
    height, width = (
        int(np.ceil(side / step)) + 2 * CONTEXT for side in (north - south, east - west)
    )
    return (south - CONTEXT * step, west - CONTEXT * step), height, width


def _drawn(shape: Any, patch: Patch) -> NDArray[np.bool_]:
    import shapely

    size = patch.numbers.shape
    inside = np.zeros(size, bool)
    for polygon in shapely.get_parts(shape):
        if polygon.is_empty:
            continue
        inside |= _ring(polygon.exterior, patch)
        for hole in polygon.interiors:
            inside &= ~_ring(hole, patch)
    return inside


def _ring(ring: Any, patch: Patch) -> NDArray[np.bool_]:
    import shapely

    corners = shapely.get_coordinates(ring)[:-1, ::-1]
    height, width = patch.numbers.shape
    return rasterise([corners], height, width, patch.corner, 1 / patch.step) > 0
