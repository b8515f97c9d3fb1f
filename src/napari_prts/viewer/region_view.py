"""A rectangle that the user draws to say where to work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_prts.errors import NucleiError
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.study.state import Region

REGION_NAME = "Region"


class RegionView:
    """The region layer, and the view as a region.

    Parameters
    ----------
    book : LayerBook
        Where the layer goes.
    study : Study
        Whose slide.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study

    def start_drawing(self) -> None:
        """Let the user draw a rectangle with the mouse."""
        self._book.revive(Role.REGION)
        layer = self._book.get(Role.REGION)
        if layer is None:
            layer = Shapes(
                name=REGION_NAME,
                ndim=2,
                edge_color="#1f77ff",
                edge_width=3 / (self._study.slide.mpp or 1.0),
                face_color=(0.1, 0.4, 1.0, 0.08),
                **geometry(self._study.slide),
            )
            self._book.add(Role.REGION, layer)
        self._book.viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"

    def drawn(self) -> Region:
        """Return the last region drawn: (row, column, height, width) in level-0 pixels.

        Raises
        ------
        NucleiError
            If nothing is drawn, or only outside the slide.
        """
        layer = self._book.get(Role.REGION)
        if layer is None or not layer.nshapes:
            raise NucleiError("No region is drawn: choose Draw region and drag a rectangle.")
        corners = np.asarray(layer.data[-1])
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        return self._clipped(top, left, bottom, right)

    def in_view(self) -> Region:
        """Return what the canvas shows: (row, column, height, width) in level-0 pixels.

        Raises
        ------
        NucleiError
            If the slide is out of view.
        """
        return self._clipped(*view_rectangle(self._book.viewer, self._study.slide.mpp))

    def _clipped(self, top: float, left: float, bottom: float, right: float) -> Region:
        rows, columns = self._study.slide.shape
        top, left = max(top, 0.0), max(left, 0.0)
        bottom, right = min(bottom, float(rows)), min(right, float(columns))
        if bottom - top < 1 or right - left < 1:
            raise NucleiError("The region lies outside the slide: move it onto the tissue.")
        return (float(top), float(left), float(bottom - top), float(right - left))
