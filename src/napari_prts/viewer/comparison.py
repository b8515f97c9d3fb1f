"""The viewer around painted cells: one canvas or two, and the H&E stepping back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import OVERVIEW_OPACITY
from napari_prts.viewer.slide_view import fade, show_copy

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_prts.slide import Slide

# Outlines under painted cells would be read as colours.
_OUTLINES = 0.35


def arrange(
    book: LayerBook,
    slide: Slide,
    sides: Collection[str],
    *,
    side_by_side: bool,
    slide_opacity: float,
    stay: bool = False,
) -> None:
    """Put the painted sides on one canvas or on two.

    Parameters
    ----------
    book : LayerBook
        Our layers.
    slide : Slide
        The slide.
    sides : collection of str
        What is painted.
    side_by_side : bool
        Measured left, predicted right, when both are.
    slide_opacity : float
        How far the H&E steps back, 0 to 1.
    stay : bool
        Keep looking at the same place; otherwise the whole slide is shown when the
        canvases change.
    """
    both = side_by_side and len(sides) == 2
    _divide(book, slide, both, stay)
    for role, opacity in ((Role.EDITING, 1.0), (Role.NUCLEI, OVERVIEW_OPACITY)):
        outlines = book.get(role)
        wanted = _OUTLINES if sides else opacity
        if outlines is not None and outlines.opacity != wanted:
            outlines.opacity = wanted
    slides = [book.get(role) for role in (Role.SLIDE, Role.SLIDE_COPY)]
    # Setting an opacity makes a thumbnail.
    if any(layer is not None and layer.opacity != slide_opacity for layer in slides):
        fade(book, slide_opacity)


def _divide(book: LayerBook, slide: Slide, both: bool, stay: bool) -> None:
    viewer = book.viewer
    if both:
        show_copy(book, slide)
        copy = book.get(Role.SLIDE_COPY)
        viewer.canvas.grid.stride = viewer.layers.index(copy)
        viewer.canvas.grid.shape = (1, 2)
        viewer.canvas.grid.spacing = 6
    else:
        book.remove(Role.SLIDE_COPY)
    viewer.canvas.overlays.scale_bar.gridded = both
    if viewer.canvas.grid.enabled != both:
        viewer.canvas.grid.enabled = both
        if not stay:
            viewer.fit_to_view()
