"""What on a slide is neither tissue nor glass: felt pen, edges of glass, folds.

Everything is found on the coarse grid of cells that the tissue is found on. In a section
stained with haematoxylin and eosin green light is always absorbed most, and blue light
clearly less: what breaks this rule over a wide patch is no such section.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.slide.glass import Cells, Mask, without_small
from napari_prts.slide.stain import optical_density, unmixed

# Shares of the strongest channel. Measured on cells of five HER2+ sections, a skin slide, a lung
# and 150 tiles: (red - green) reaches 0.12 to 0.19 (99.9 %), (blue - green) -0.05, and
# weakest / strongest 0.85 (all of these only in single cells).
_BLUE_OR_GREEN = 0.24
_YELLOW = 0.02
# Red pen absorbs hardly any red, but nearly as much blue as green; eosin half as much.
_RED_RED, _RED_BLUE = 0.22, -0.19
_GREY, _GREY_NEARLY = 0.85, 0.68
# Pale pen is told from tinted glass above the first density, black pen from grey dust above
# the second.
_PALE, _BLACK_PEN = 0.10, 0.35
# A stroke is wider than this (felt pens draw 0.3 to 3 mm); ink on a resection margin is not.
_STROKE_UM = 80.0
_STROKE_AREA_UM2 = 20_000.0
# Over tissue a stroke shows in gaps of the tissue only: these are bridged.
_BRIDGE_UM = 160.0
_GAPS_UM = 60.0
_RIM_UM = 24.0
# Edges of coverslips are thin, grey and long.
_EDGE_UM, _EDGE_WIDTH_UM, _EDGE_DENSITY, _EDGE_GREY = 500.0, 60.0, 0.03, 0.75
# The rim of what was not scanned is dark and grey, and blurred by compression.
_DARK = 0.5
# A fold has both stains doubled; nuclei that lie close have more of one and less of the other.
_FOLD_UM, _FOLD_AREA_UM2, _FOLD_TIMES = 32.0, 8_000.0, 1.55


def find_pen(cells: Cells, background: tuple[int, int, int], cell_um: float) -> Mask:
    """Return which cells are drawn on with a felt pen.

    Blue, green, red, yellow or black; wider than 80 um, so that ink on the margin of a
    specimen remains tissue. Purple and navy pens look as haematoxylin does and are not
    told from it; nor is a stroke of red, blue or black that lies on dense tissue alone.

    Parameters
    ----------
    cells : Cells
        The grid.
    background : tuple of int
        Colour of bare glass.
    cell_um : float
        um along a cell.
    """
    density = optical_density(cells.colour, background)
    # Where pen runs over tissue, gaps of the tissue show what is left of its colour.
    floor = np.asarray(cv2.erode(density, _disc(_GAPS_UM / cell_um)), np.float32)
    sure = _coloured(density) | _black(density) | _coloured(floor) | _black(floor)
    strokes = _opened(sure, _STROKE_UM / cell_um)
    strokes = without_small(strokes, math.ceil(_STROKE_AREA_UM2 / cell_um**2))
    if not strokes.any():
        return strokes
    dark = density.max(axis=2) > _PALE
    strokes |= _grown(strokes, _BRIDGE_UM / cell_um) & sure
    bridged = _closed(strokes, _BRIDGE_UM / cell_um) & dark
    return np.asarray(strokes | bridged | (_grown(strokes, _RIM_UM / cell_um) & dark))


def find_edges(cells: Cells, background: tuple[int, int, int], cell_um: float) -> Mask:
    """Return cells of coverslip edges, scale bars and the rim of what was never scanned.

    Parameters
    ----------
    cells : Cells
        The grid.
    background : tuple of int
        Colour of bare glass.
    cell_um : float
        um along a cell.
    """
    density = optical_density(cells.colour, background)
    strongest, weakest = density.max(axis=2), density.min(axis=2)
    colourless = weakest > _EDGE_GREY * strongest
    grey = colourless & (strongest > _EDGE_DENSITY)
    thin = grey & ~_opened(grey, _EDGE_WIDTH_UM / cell_um)
    lines = _long(_closed(thin, 5), _EDGE_UM / cell_um)
    # Cells that an edge only grazes are paler, but still have its texture.
    return np.asarray(lines | (_grown(lines, 1) & colourless) | _frame(strongest, weakest))


def find_folds(
    cells: Cells, tissue: Mask, background: tuple[int, int, int], cell_um: float
) -> Mask:
    """Return cells where tissue seems to lie on tissue.

    Parameters
    ----------
    cells : Cells
        The grid.
    tissue : ndarray of bool, shape (row, column)
        Where tissue is.
    background : tuple of int
        Colour of bare glass.
    cell_um : float
        um along a cell.
    """
    if not tissue.any():
        return np.zeros_like(tissue)
    width = max(1, round(_FOLD_UM / cell_um))
    # Means over several nuclei: a single one is darker than any fold of stroma.
    stains = cv2.blur(unmixed(optical_density(cells.colour, background)), (width, width))
    usual = np.median(stains[tissue], axis=0)
    doubled = (stains > _FOLD_TIMES * np.maximum(usual, 0.03)).all(axis=2) & tissue
    folds = _opened(_closed(doubled, width) & tissue, 1.5 * width)
    return without_small(folds, math.ceil(_FOLD_AREA_UM2 / cell_um**2))


def _coloured(density: NDArray[np.float32]) -> Mask:
    """Whether the colour is one that no mixture of haematoxylin and eosin has."""
    strongest = density.max(axis=2)
    red, green, blue = (density[..., k] / np.maximum(strongest, 1e-3) for k in range(3))
    cold = red - green > _BLUE_OR_GREEN
    warm = (blue - green > _YELLOW) | ((red < _RED_RED) & (blue - green > _RED_BLUE))
    return np.asarray((cold | warm) & (strongest > _PALE))


def _black(density: NDArray[np.float32]) -> Mask:
    strongest, weakest = density.max(axis=2), density.min(axis=2)
    return np.asarray((weakest > _GREY * strongest) & (weakest > _BLACK_PEN))


def _frame(strongest: NDArray[np.float32], weakest: NDArray[np.float32]) -> Mask:
    """Dark grey that reaches the border of the picture, and one cell around it."""
    dark = ((weakest > _DARK) & (weakest > _GREY_NEARLY * strongest)).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark, connectivity=8)
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    touching = np.unique(np.concatenate(sides))
    frame = np.isin(labels, touching[touching > 0])
    return _grown(frame, 2) if frame.any() else frame


def _long(mask: Mask, length: float) -> Mask:
    """Keep objects that are longer than this along rows or columns, and thin."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    keep = (sides.max(axis=1) >= length) & (stats[:, cv2.CC_STAT_AREA] < 6 * sides.max(axis=1))
    keep[0] = False
    return np.asarray(keep[labels])


def _disc(width: float) -> NDArray[np.uint8]:
    side = max(1, 2 * round((width - 1) / 2) + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _opened(mask: Mask, width: float) -> Mask:
    # The border is taken as set, so that a stroke along the slide's edge is as wide as it seems.
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(width))
    return np.asarray(opened > 0)


def _closed(mask: Mask, width: float) -> Mask:
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disc(width))
    return np.asarray(closed > 0)


def _grown(mask: Mask, reach: float) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(2 * reach + 1)) > 0)
