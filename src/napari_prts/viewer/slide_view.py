"""The slide as an image layer in micrometres, read without making the window wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_prts.viewer.layer_book import LayerBook, Role

if TYPE_CHECKING:
    from napari_prts.slide import Slide

SCREEN_KEY = "prts_screen"
SLIDE_NAME = "H&E"
COPY_NAME = "H&E (predicted side)"


def geometry(slide: Slide) -> dict[str, Any]:
    """Return the layer arguments that put level-0 pixels into the world.

    Without a pixel size the world is in pixels, so that no scale bar lies.
    """
    if slide.mpp is None:
        return {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    return {"scale": (slide.mpp, slide.mpp), "units": ("um", "um")}


def image_arguments(slide: Slide) -> dict[str, Any]:
    """Return ``data`` and the other arguments of a lazy image layer of a slide.

    Its metadata hold the :class:`~napari_prts.slide.screen.Screen` that reads it: whoever
    shows the layer redraws it when that has more to show.
    """
    from napari_prts.slide.screen import Screen

    screen = Screen(slide)
    multiscale = len(screen.levels) > 1
    return {
        "data": screen.levels if multiscale else screen.levels[0],
        "multiscale": multiscale,
        "rgb": True,
        "metadata": {SCREEN_KEY: screen},
        **geometry(slide),
    }


def show_slide(book: LayerBook, slide: Slide) -> None:
    """Show the slide, or move its layer to the slide's present pixel size."""
    layer = book.get(Role.SLIDE)
    if layer is None:
        book.add(Role.SLIDE, Image(name=SLIDE_NAME, **image_arguments(slide)))
    else:
        place = geometry(slide)
        layer.scale, layer.units = place["scale"], place["units"]
    viewer = book.viewer
    viewer.canvas.overlays.scale_bar.visible = slide.mpp is not None
    viewer.fit_to_view()


def show_copy(book: LayerBook, slide: Slide) -> None:
    """Show the slide a second time, for the right half of the comparison."""
    book.revive(Role.SLIDE_COPY)
    back = book.bring_back(Role.SLIDE_COPY)
    if back is not None:
        # Pixels may have come meanwhile.
        back.refresh(extent=False, highlight=False)
    layer = book.get(Role.SLIDE_COPY)
    if layer is None:
        book.add(Role.SLIDE_COPY, Image(name=COPY_NAME, **image_arguments(slide)))
        return
    place = geometry(slide)
    if tuple(layer.scale) != place["scale"]:
        layer.scale, layer.units = place["scale"], place["units"]


def fade(book: LayerBook, opacity: float) -> None:
    """Let the H&E step back so that colours can be read on it.

    Parameters
    ----------
    book : LayerBook
        Our layers.
    opacity : float
        0 (hidden) to 1.
    """
    for role in (Role.SLIDE, Role.SLIDE_COPY):
        layer = book.get(role)
        if layer is not None:
            layer.opacity = opacity
