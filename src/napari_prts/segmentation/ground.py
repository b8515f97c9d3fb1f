"""Where nuclei are looked for, and the stain's limits there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.tiling import Rectangle
from napari_prts.slide import Slide, TissueMask, tissue_mask

# The tissue mask is coarse: nuclei at its very edge shall not be lost.
MARGIN_UM = 16.0

# Stained tissue spans well over 100 grey values in each channel; on bare or nearly bare glass
# a smaller span would blow noise up to nuclei.
LEAST_SPAN = 64.0

# 24 windows of 256 px hold 1.6 million pixels: far more than percentiles need, read in a
# second, and spread so that no single fold or vessel sets the limits.
WINDOWS = 24
WINDOW = 256
_PICKS = 8

# Grey values by which even pale tissue is darker than glass in some channel; the noise and
# unevenness of glass stay below.
LEAST_STAIN = 16


@dataclass(frozen=True, eq=False)
class Ground:
    """The tissue with a margin, or the whole slide.

    Parameters
    ----------
    mask : ndarray of bool, shape (row, column)
        True where nuclei are looked for.
    downsample : float
        Level-0 pixels per pixel of the mask.
    """

    mask: NDArray[np.bool_]
    downsample: float

    @classmethod
    def of(cls, slide: Slide, tissue_only: bool) -> Ground:
        """Tissue of a slide and 16 um around it, without marks of pens; or everything."""
        tissue = tissue_mask(slide)
        if not tissue_only:
            return cls(np.ones_like(tissue.mask), tissue.downsample)
        reach = math.ceil(MARGIN_UM / (slide.require_mpp() * tissue.downsample))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        grown = cv2.dilate(tissue.mask.astype(np.uint8), disc).astype(bool)
        # The margin of tissue beside a pen's mark must not reach into the ink.
        return cls(grown & ~slide.survey().pen.mask, tissue.downsample)

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which points, (row, column) in level-0 pixels, lie on it."""
        cells = np.floor((points + 0.5) / self.downsample).astype(np.int64)
        cells = np.clip(cells, 0, np.array(self.mask.shape) - 1)
        found: NDArray[np.bool_] = self.mask[cells[:, 0], cells[:, 1]]
        return found

    def cover(self, tile: Rectangle, scale: float) -> Rectangle | None:
        """Shrink a tile to the part that holds all of the ground in it.

        Parameters
        ----------
        tile : Rectangle
            In model pixels.
        scale : float
            Level-0 pixels per model pixel.

        Returns
        -------
        Rectangle or None
            Within the tile, a model pixel wider than need be; None if there is no
            ground in the tile.
        """
        cell = self.downsample / scale
        r0, c0 = (max(0, math.floor(v / cell)) for v in (tile.row0, tile.column0))
        r1, c1 = (max(0, math.ceil(v / cell)) for v in (tile.row1, tile.column1))
        cells = np.argwhere(self.mask[r0:r1, c0:c1]) + np.array([r0, c0])
        if not len(cells):
            return None
        first, last = cells.min(axis=0) * cell, (cells.max(axis=0) + 1) * cell
        ground = Rectangle(
            math.floor(first[0]) - 1,
            math.floor(first[1]) - 1,
            math.ceil(last[0]) + 1,
            math.ceil(last[1]) + 1,
        )
        return ground.within(tile)


def on_glass(colours: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Tell which colours are those of bare glass.

    The tissue's margin and its holes are glass too: what the network sees there is
    dust, or nothing.

    Parameters
    ----------
    colours : ndarray of uint8, shape (n, 3)
        Means of a few pixels.
    background : tuple of int
        The slide's glass.
    """
    stain = np.asarray(background, np.int16) - colours
    bare: NDArray[np.bool_] = stain.max(axis=-1) < LEAST_STAIN
    return bare


def measure_limits(slide: Slide, mpp: float, percentiles: tuple[float, float]) -> Normalisation:
    """Measure the stain's limits on windows spread over the tissue.

    The limits are the slide's, not a tile's: a tile of empty glass stretched to its
    own percentiles shows nuclei where there are none.

    Parameters
    ----------
    slide : Slide
        The slide. Without any tissue, the windows lie anywhere on it.
    mpp : float
        Microns per pixel at which the windows are read.
    percentiles : tuple of float
        Percentiles, over the pixels of all windows, of the lower and upper limit.

    Returns
    -------
    Normalisation
        The same at each call for the same slide.
    """
    tissue = tissue_mask(slide)
    side = WINDOW * mpp / slide.require_mpp()
    corners = _window_corners(tissue, side)
    windows = [slide.read(row, column, WINDOW, WINDOW, mpp=mpp) for row, column in corners]
    limits = Normalisation.from_pixels(np.stack(windows), *percentiles)
    red, green, blue = (
        min(low, high - LEAST_SPAN) for low, high in zip(limits.low, limits.high, strict=True)
    )
    return replace(limits, low=(red, green, blue))


def _window_corners(tissue: TissueMask, side: float) -> list[tuple[float, float]]:
    """Corners of windows: one from each of equal shares of the tissue, row by row."""
    cells = np.argwhere(tissue.mask if tissue.mask.any() else np.ones_like(tissue.mask))
    rng = np.random.default_rng(0)
    corners = []
    for share in np.array_split(cells, min(WINDOWS, len(cells))):
        picks = share[rng.integers(len(share), size=_PICKS)]
        places = [(float(r), float(c)) for r, c in (picks + 0.5) * tissue.downsample - side / 2]
        # Of a few places, the one with most tissue: windows at the edge see mostly glass.
        tissues = [tissue.covers(row, column, side, side) for row, column in places]
        corners.append(places[int(np.argmax(tissues))])
    return corners
