"""Where the tissue is, found once at low resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.artefacts import find_edges, find_folds, find_pen
from napari_prts.slide.glass import Cells, density, find_glass, find_tissue, glass_colour
from napari_prts.slide.regions import Rectangle, sample

if TYPE_CHECKING:
    from napari_prts.slide.slide import Slide

# A cell of the mask is 8 to 16 um wide, about one nucleus (up to 32 um on very large slides).
_CELL_UM = 8.0
# Level-0 pixels of a cell where their size is unknown: 4 to 8 um on usual scans.
_CELL_PIXELS = 16
# Texture is measured among this many samples along a cell, 2 to 4 um apart.
_SAMPLES = 4
# Dust is smaller than 70 x 70 um; fat cells and small vessels leave holes of up to 150 x 150.
_SMALLEST_UM2 = 5_000.0
_LARGEST_HOLE_UM2 = 22_500.0
_SMALL_SHARE = 0.02
# Level pixels that a look at a slide may decode: about a second's work.
_AFFORDABLE = 64_000_000
# Samples that are looked at together.
_BAND_SAMPLES = 2**22


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Where tissue is.

    Parameters
    ----------
    mask : ndarray of bool, shape (row, column)
        True where a cell shows tissue.
    downsample : float
        Level-0 pixels along a cell; cell (0, 0) begins at level-0 pixel (0, 0).
    """

    mask: NDArray[np.bool_]
    downsample: float

    @property
    def fraction(self) -> float:
        """Share of the slide that is tissue, 0 to 1."""
        return float(self.mask.mean())

    def covers(self, row: float, column: float, height: float, width: float) -> float:
        """Return the share of tissue in a rectangle of level-0 pixels, 0 to 1.

        What lies outside the slide is not tissue.
        """
        if height <= 0 or width <= 0:
            return 0.0
        top, bottom = row / self.downsample, (row + height) / self.downsample
        left, right = column / self.downsample, (column + width) / self.downsample
        tissue = (
            self._before(bottom, right)
            - self._before(top, right)
            - self._before(bottom, left)
            + self._before(top, left)
        )
        return float(min(max(tissue / ((bottom - top) * (right - left)), 0.0), 1.0))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Tissue cells above and left of each grid corner."""
        sums = np.zeros((self.mask.shape[0] + 1, self.mask.shape[1] + 1))
        sums[1:, 1:] = self.mask.cumsum(axis=0).cumsum(axis=1)
        return sums

    def _before(self, row: float, column: float) -> float:
        """Tissue above and left of a point in cells; between corners it grows linearly."""
        row = min(max(row, 0.0), float(self.mask.shape[0]))
        column = min(max(column, 0.0), float(self.mask.shape[1]))
        r, c = min(int(row), self.mask.shape[0] - 1), min(int(column), self.mask.shape[1] - 1)
        y, x = row - r, column - c
        corners = self._sums[r : r + 2, c : c + 2]
        return float(np.array([1 - y, y]) @ corners @ np.array([1 - x, x]))


@dataclass(frozen=True, eq=False)
class Survey:
    """What a look at the whole slide found.

    Parameters
    ----------
    tissue : TissueMask
        Where tissue is.
    background : tuple of int
        Red, green, blue of bare glass; white if there is none.
    pen : TissueMask
        Where the slide seems to be drawn on with a felt pen; never tissue.
    folds : TissueMask
        Where tissue seems to lie on tissue; part of the tissue.
    remembered : dict
        What others measured of this slide and need not measure again.
    """

    tissue: TissueMask
    background: tuple[int, int, int]
    pen: TissueMask
    folds: TissueMask
    remembered: dict[Any, Any] = field(default_factory=dict, repr=False)


def tissue_mask(slide: Slide) -> TissueMask:
    """Find the tissue of a slide.

    Cells of 8 to 16 um are tissue if they have texture or are darker than the
    glass. Marks of felt pens, edges of coverslips and areas that were never
    scanned are not. A picture without any glass is all tissue. The mask is made
    once per slide.
    """
    return slide.survey().tissue


def look_at(slide: Slide) -> Survey:
    """Find tissue and glass colour; :meth:`Slide.survey` remembers them."""
    grid = _grid_for(slide)
    cells = _measure(slide, grid)
    glass = find_glass(cells)
    background = glass_colour(cells, glass)
    cell_um = grid.cell * (slide.mpp or _CELL_UM / _CELL_PIXELS)
    pen = find_pen(cells, background, cell_um)
    other = pen | find_edges(cells, background, cell_um)
    # On a picture of a few cells, dust and holes are what is small beside it.
    dust, hole = (
        math.ceil(min(limit / cell_um**2, _SMALL_SHARE * glass.size))
        for limit in (_SMALLEST_UM2, _LARGEST_HOLE_UM2)
    )
    tissue = find_tissue(cells, glass & ~other, dust, hole, other)
    folds = find_folds(cells, tissue, background, cell_um)
    found, drawn, folded = (TissueMask(mask, grid.cell) for mask in (tissue, pen, folds))
    return Survey(found, background, drawn, folded)


@dataclass(frozen=True)
class _Grid:
    """Cells over a slide.

    Parameters
    ----------
    cell : float
        Level-0 pixels along a cell.
    samples : int
        Samples along a cell.
    """

    cell: float
    samples: int


def _grid_for(slide: Slide) -> _Grid:
    """Choose cells of about 8 um with samples of a quarter, coarser on a slide of gigapixels."""
    cell = _CELL_PIXELS
    if slide.mpp is not None:
        # A scan of 0.499 um/px is one of 0.5: a little under 8 um is near enough.
        cell = 2 ** max(0, math.ceil(math.log2(_CELL_UM / slide.mpp) - 0.1))
    samples = min(_SAMPLES, cell)
    area = math.prod(slide.shape)
    affordable = [down for down in slide.downsamples if area / down**2 <= _AFFORDABLE]
    step = affordable[0] if affordable else slide.downsamples[-1]
    if step <= cell / samples:
        return _Grid(float(cell), samples)
    samples = _SAMPLES if step * _SAMPLES <= 2 * cell else 2
    return _Grid(step * samples, samples)


def _measure(slide: Slide, grid: _Grid) -> Cells:
    """Measure colour and texture of all cells, in bands."""
    rows, columns = (math.ceil(length / grid.cell) for length in slide.shape)
    band = max(1, _BAND_SAMPLES // (columns * grid.samples**2))
    parts = [
        _measure_band(slide, grid, top, min(band, rows - top), columns)
        for top in range(0, rows, band)
    ]
    colour = np.concatenate([part.colour for part in parts])
    texture = np.concatenate([part.texture for part in parts])
    return Cells(colour, texture)


def _measure_band(slide: Slide, grid: _Grid, top: int, rows: int, columns: int) -> Cells:
    samples = grid.samples
    taken = sample(
        slide.stack,
        Rectangle(top * grid.cell, 0, rows * samples, columns * samples, grid.cell / samples),
    )
    inside = np.asarray(np.maximum(taken.inside, 1e-3), np.float32)
    image = taken.sums / inside[..., None]
    weight = taken.inside
    dense = density(image)

    def per_cell(values: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(mean, np.float32)

    counted = np.asarray(np.maximum(per_cell(weight), 1e-6), np.float32)
    colour = per_cell(image * weight[..., None]) / counted[..., None]
    mean = per_cell(dense * weight) / counted
    square = per_cell(dense * dense * weight) / counted
    variance = np.asarray(np.maximum(square - mean * mean, 0), np.float32)
    return Cells(colour, np.sqrt(variance))
