"""What a figure shows: panels, cells in their colours, and how these are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_prts.errors import PrtsError
from napari_prts.viewer.painting import Limits

if TYPE_CHECKING:
    from napari_prts.slide import Slide
    from napari_prts.study.state import Region


@dataclass(frozen=True, eq=False)
class Key:
    """How colours are read: a bar of values, or names of clusters.

    Parameters
    ----------
    limits : Limits, optional
        Values of the bar's ends; None for clusters.
    colormap : Colormap, optional
        Its colours.
    gene : str
        Written in italics before the unit; empty for none.
    unit : str
        What the values are.
    log : bool
        The colours go with the logarithm of one plus the value.
    zeros : bool
        Cells without expression are drawn, in a colour of their own.
    clusters : dict of ndarray
        Colour by name.
    """

    limits: Limits | None = None
    colormap: Colormap | None = None
    gene: str = ""
    unit: str = ""
    log: bool = False
    zeros: bool = False
    clusters: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CellsDrawn:
    """Cells of one side in a figure.

    Parameters
    ----------
    name : str
        ``"Predicted KRT5"``: always with predicted, measured or simulated.
    italic : str
        The part of the name that is a gene; empty for none.
    centroids : ndarray of float32, shape (n, 2)
        (row, column) in level-0 pixels; a later cell covers earlier ones.
    colours : ndarray of float32, shape (n, 4)
        RGBA, 0 to 1.
    diameter : float
        In level-0 pixels.
    key : Key
        How the colours are read.
    axes : ndarray, shape (2, 2), optional
        For bins, which are drawn as squares: its columns are the sides, (row, column) in
        level-0 pixels.
    """

    name: str
    italic: str
    centroids: NDArray[np.float32]
    colours: NDArray[np.float32]
    diameter: float
    key: Key
    axes: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Parameters
    ----------
    cells : tuple of CellsDrawn
        Lower ones first, or from left to right; none is the H&E alone.
    between : str
        What is written between their names: ``" over "`` or ``" | "``.
    line : float, optional
        Column of level 0 where two sides meet.
    """

    cells: tuple[CellsDrawn, ...] = ()
    between: str = " over "
    line: float | None = None


@dataclass(frozen=True, eq=False)
class FigureRequest:
    """A figure to be drawn; holds nothing that changes.

    Parameters
    ----------
    slide : Slide
        The H&E.
    region : tuple of float
        (row, column, height, width) in level-0 pixels.
    panels : tuple of Panel
        From left to right.
    slide_opacity : float
        How far the H&E steps back into the paper, 0 to 1.
    outlines : tuple of ndarray, shape (k, 2)
        Nuclei drawn as lines, (row, column) in level-0 pixels.
    title : str
        What the figure shows, for its metadata.
    about : mapping of str
        Slide, its fingerprint, model, its hash, version: written small below and into the file.
    width_mm : float
        Width on paper.
    dpi : int
        Pixels per inch of all that is raster.
    """

    slide: Slide
    region: Region
    panels: tuple[Panel, ...] = (Panel(),)
    slide_opacity: float = 1.0
    outlines: tuple[NDArray[np.float32], ...] = ()
    title: str = "H&E"
    about: Mapping[str, str] = field(default_factory=dict)
    width_mm: float = 180.0
    dpi: int = 300

    def __post_init__(self) -> None:
        if not (20 <= self.width_mm <= 1000 and 30 <= self.dpi <= 1200):
            raise PrtsError(
                f"A figure of {self.width_mm:g} mm at {self.dpi} dpi cannot be made: choose 20 to "
                "1000 mm and 30 to 1200 dpi."
            )
