"""One side's cells as an image layer of napari: only what changed is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_prts.viewer.cell_picture import CellPicture
from napari_prts.viewer.painting import (
    BLUE_TO_YELLOW,
    Limits,
    category_colormap,
    expression_colormap,
    log_bend,
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
        One of :data:`~napari_prts.viewer.painting.COLORMAPS`, or of any napari colormap; for
        expression.
    clusters : tuple of str
        Names, where the values are numbers of clusters; empty for expression.
    log : bool
        Colours go with the logarithm of one plus the value; for expression.
    hide_zeros : bool
        Cells without expression are not drawn; otherwise they are faint.
    opacity : ndarray of float32, shape (cells,), optional
        How much of each cell is drawn, 0 to 1; all of it by default. What is the same object
        is taken to be unchanged.
    cluster_colours : tuple of str
        Of each cluster, ``"#1f77b4"``; empty for colours of our own.
    """

    limits: Limits
    colormap: str = BLUE_TO_YELLOW
    clusters: tuple[str, ...] = ()
    log: bool = False
    hide_zeros: bool = False
    opacity: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    cluster_colours: tuple[str, ...] = ()

    @classmethod
    def of_clusters(
        cls,
        names: Sequence[str],
        opacity: NDArray[np.float32] | None = None,
        colours: Sequence[str] = (),
    ) -> Look:
        """Return the look of clusters, with a colour for each or with colours of our own."""
        limits = Limits(-0.5, len(names) - 0.5)
        return cls(limits, clusters=tuple(names), opacity=opacity, cluster_colours=tuple(colours))

    def same_colours(self, other: Look) -> bool:
        """Whether the colormap of another look would do."""
        fields = ("colormap", "clusters", "log", "hide_zeros", "cluster_colours")
        if any(getattr(self, name) != getattr(other, name) for name in fields):
            return False
        return not self.log or log_bend(self.limits) == log_bend(other.limits)


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
        layer = self._layer
        if layer is None or not self._book.holds(self._role, layer):
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
        self._book.bring_back(self._role)

    def _fill(
        self, dots: CellDots, values: NDArray[np.float32], look: Look
    ) -> NDArray[np.bool_] | None:
        """Put values into the picture; tell which cells have others, None if it is the same."""
        assert self._picture is not None
        limits = self._look.limits if self._look is not None else None
        opacity = self._look.opacity if self._look is not None else None
        same = dots is self._dots and values is self._values and opacity is look.opacity
        if same and look.limits == limits:
            return None
        shown = values if look.clusters else shown_values(values, look.limits)
        before, self._shown = self._shown, shown
        whole = dots is not self._dots or opacity is not look.opacity
        self._picture.show(dots, shown, look.opacity)
        self._dots, self._values = dots, values
        if whole or before is None:
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
        if before is None or not look.same_colours(before):
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
        return category_colormap(list(look.clusters), look.cluster_colours)
    limits = look.limits if look.log else None
    return expression_colormap(look.colormap, log=limits, hide_zeros=look.hide_zeros)
