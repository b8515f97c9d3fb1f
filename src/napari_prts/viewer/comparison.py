"""The viewer around painted cells: one canvas or two, and the H&E stepping back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import OVERVIEW_OPACITY, view_rectangle
from napari_prts.viewer.slide_view import COPY_NAME, fade, show_copy

if TYPE_CHECKING:
    from napari_prts.slide import Slide

SWAPPED_COPY_NAME = "H&E (measured side)"
# Outlines under painted cells would be read as colours.
_OUTLINES = 0.35


def arrange(
    book: LayerBook,
    slide: Slide,
    *,
    painted: bool,
    side_by_side: bool,
    slide_opacity: float,
    swapped: bool = False,
) -> None:
    """Put what is painted on one canvas or on two. The camera stays where it is.

    The H&E's copy for the right canvas stays when there is one canvas again; who calls puts it
    away.

    Parameters
    ----------
    book : LayerBook
        Our layers.
    slide : Slide
        The slide.
    painted : bool
        Whether anything is.
    side_by_side : bool
        Two canvases, measured left and predicted right.
    slide_opacity : float
        How far the H&E steps back, 0 to 1.
    swapped : bool
        Predicted left and measured right, or under the measured one on one canvas.
    """
    book.swap(swapped)
    _divide(book, slide, side_by_side, COPY_NAME if not swapped else SWAPPED_COPY_NAME)
    for role, opacity in ((Role.EDITING, 1.0), (Role.NUCLEI, OVERVIEW_OPACITY)):
        outlines = book.get(role)
        wanted = _OUTLINES if painted else opacity
        if outlines is not None and outlines.opacity != wanted:
            outlines.opacity = wanted
    slides = [book.get(role) for role in (Role.SLIDE, Role.SLIDE_COPY)]
    # Setting an opacity makes a thumbnail.
    if any(layer is not None and layer.opacity != slide_opacity for layer in slides):
        fade(book, slide_opacity)


def shows_all(book: LayerBook, slide: Slide) -> bool:
    """Whether the whole slide is in view, as it is after it was opened."""
    top, left, bottom, right = view_rectangle(book.viewer, slide.mpp)
    rows, columns = slide.shape
    return top <= 0 and left <= 0 and bottom >= rows - 1 and right >= columns - 1


def _divide(book: LayerBook, slide: Slide, both: bool, name: str) -> None:
    viewer = book.viewer
    grid = viewer.canvas.grid
    if both:
        show_copy(book, slide)
        copy = book.get(Role.SLIDE_COPY)
        assert copy is not None
        if copy.name != name:
            copy.name = name
        grid.stride = viewer.layers.index(copy)
        grid.shape = (1, 2)
        grid.spacing = 6
    viewer.canvas.overlays.scale_bar.gridded = both
    if grid.enabled != both:
        grid.enabled = both
