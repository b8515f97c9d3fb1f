"""Slides as lazy image layers, for napari's readers and sample data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_prts.slide import Slide

# A layer that carries this key in its metadata holds the open Slide; the panels take it over.
SLIDE_KEY = "prts_slide"

LayerTuple = tuple[Any, dict[str, Any], str]


def read_slide(path: str) -> list[LayerTuple]:
    """Open a slide lazily.

    Parameters
    ----------
    path : str
        The file or folder.

    Returns
    -------
    list of tuple
        One image layer in micrometres, in pixels if the file states no pixel size. A
        large slide without a pyramid is shown before that is built: whoever takes
        over the layer runs the job of :attr:`Slide.growth`.
    """
    from napari_prts.slide import open_slide

    return [slide_layer(open_slide(path, wait=False))]


def slide_layer(slide: Slide) -> LayerTuple:
    """Describe a slide's image layer for napari."""
    from napari_prts.viewer.slide_view import SLIDE_NAME, image_arguments

    arguments = image_arguments(slide)
    data = arguments.pop("data")
    metadata = {SLIDE_KEY: slide, **arguments.pop("metadata")}
    return data, {"name": SLIDE_NAME, "metadata": metadata, **arguments}, "image"


def picture_layer(slide: Slide) -> Layer:
    """Make a layer that only shows a slide, beside the one that is worked on."""
    from napari.layers import Image

    from napari_prts.viewer.slide_view import image_arguments

    return Image(name=slide.name, **image_arguments(slide))
