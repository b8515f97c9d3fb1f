"""One side's cells as an image layer of napari: only what changed is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_prts.viewer.cell_picture import CellPicture
from napari_prts.viewer.painting import (
    Limits,
    category_colormap,
    expression_colormap,
    shown_values,
)
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_prts.slide import Slide
    from napari_prts.viewer.cell_dots import CellDots
    from napari_prts.viewer.layer_book import LayerBook, Role


@dataclass(frozen=True)
class Look:
    """How values become colours.

    Parameters
    ----------
    limits : Limits
        Values of the lowest and the highest colour.
    colormap : str
        Name of a napari colormap; for expression.
    clusters : tuple of str
        Names, where the values are numbers of clusters; empty for expression.
    """

    limits: Limits
    colormap: str = "viridis"
    clusters: tuple[str, ...] = ()

    @classmethod
    def of_clusters(cls, names: list[str]) -> Look:
        """Return the look of so many clusters."""
        return cls(Limits(-0.5, len(names) - 0.5), clusters=tuple(names))


class CellLayer:
    """The cells of one side in the viewer.

    Parameters
    ----------
    book : LayerBook
        Where the layer goes.
    role : Role
        Which layer.
    """

    def __init__(self, book: LayerBook, role: Role) -> None:
        self._book = book
        self._role = role
        self._picture: CellPicture | None = None
        self._layer: Image | None = None
        self._dots: CellDots | None = None
        self._values: NDArray[np.float32] | None = None
        self._shown: NDArray[np.float32] | None = None
        self._look: Look | None = None
        self._declined = False

    def revive(self) -> None:
        """Show the layer again even if the user deleted it."""
        self._book.revive(self._role)
        self._declined = False

    def remove(self) -> None:
        """Take the layer away."""
        self._book.remove(self._role)
        self._layer = self._picture = self._look = None
        self._dots = self._values = self._shown = None

    def show(
        self, slide: Slide, dots: CellDots, values: NDArray[np.float32], look: Look, name: str
    ) -> None:
        """Show values; what is the same object as before is taken to be unchanged.

        Parameters
        ----------
        slide : Slide
            The slide that the cells lie on.
        dots : CellDots
            Where they are drawn.
        values : ndarray of float32, shape (cells,)
            NaN where nothing is to be shown.
        look : Look
            Their colours.
        name : str
            Of the layer, and written on the canvas.
        """
        layer, there = self._layer, self._book.get(self._role) is self._layer
        if layer is None or not there:
            self.remove()
            if not self._declined:
                self._add(slide, dots, values, look, name)
            return
        place = geometry(slide)
        if tuple(layer.scale) != place["scale"]:
            layer.scale, layer.units = place["scale"], place["units"]
        changed = self._fill(dots, values, look)
        # Each redraw takes the window's time, and most cells arrive where nobody looks.
        if changed is not None and self._on_screen(layer, changed):
            layer.refresh(extent=False, highlight=False, thumbnail=False)
        self._dress(layer, look)
        if layer.name != name:
            layer.name = name

    def _fill(
        self, dots: CellDots, values: NDArray[np.float32], look: Look
    ) -> NDArray[np.bool_] | None:
        """Put values into the picture; tell which cells have others, None if it is the same."""
        assert self._picture is not None
        limits = self._look.limits if self._look is not None else None
        if dots is self._dots and values is self._values and look.limits == limits:
            return None
        shown = values if look.clusters else shown_values(values, look.limits)
        before, self._shown = self._shown, shown
        other_cells = dots is not self._dots or before is None
        self._picture.show(dots, shown)
        self._dots, self._values = dots, values
        if other_cells or before is None:
            return np.ones(len(dots), bool)
        changed: NDArray[np.bool_] = (shown != before) & ~(np.isnan(shown) & np.isnan(before))
        return changed

    def _on_screen(self, layer: Image, cells: NDArray[np.bool_]) -> bool:
        """Whether any of these cells lies in what napari holds of the picture."""
        assert self._dots is not None
        if cells.all():
            return True
        pixel = 2**layer.data_level
        top_left, bottom_right = np.asarray(layer.corner_pixels) * pixel
        reach = self._dots.diameter + 2 * pixel
        places = self._dots.centroids[cells]
        inside = (places > top_left - reach) & (places < bottom_right + pixel + reach)
        return bool(inside.all(axis=1).any())

    def _dress(self, layer: Image, look: Look) -> None:
        before, self._look = self._look, look
        if before is None or (before.colormap, before.clusters) != (look.colormap, look.clusters):
            layer.colormap = _colormap(look)
            layer.colorbar.visible = not look.clusters
        if before is None or before.limits != look.limits:
            layer.contrast_limits = (look.limits.low, look.limits.high)

    def _add(
        self, slide: Slide, dots: CellDots, values: NDArray[np.float32], look: Look, name: str
    ) -> None:
        self._picture = CellPicture(slide.shape)
        self._fill(dots, values, look)
        layer = Image(
            self._picture.levels,
            multiscale=True,
            name=name,
            colormap=_colormap(look),
            contrast_limits=(look.limits.low, look.limits.high),
            **geometry(slide),
        )
        overlay, bar = layer.name_overlay, layer.colorbar
        overlay.visible, overlay.font_size, overlay.box = True, 11, True
        overlay.position = "top_left"
        bar.visible, bar.box, bar.font_size, bar.size = not look.clusters, True, 9, (16, 120)
        bar.position = "bottom_left"
        self._look = look
        if self._book.add(self._role, layer):
            self._layer = layer
        else:
            self._declined = True


def _colormap(look: Look) -> object:
    if look.clusters:
        return category_colormap(list(look.clusters))
    return expression_colormap(look.colormap)
