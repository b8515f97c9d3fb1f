"""napari readers and sample data: a slide as a lazy image layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# A layer that carries this key in its metadata holds the open Slide; the panels take it over.
SLIDE_KEY = "prts_slide"

LayerTuple = tuple[Any, dict[str, Any], str]


def get_slide_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerTuple]] | None:
    """Return a reader for one slide file (npe2 reader contribution)."""
    if not isinstance(path, str):
        if len(path) != 1:
            return None
        path = path[0]
    return read_slide


def read_slide(path: str | Sequence[str]) -> list[LayerTuple]:
    """Open a slide lazily.

    Parameters
    ----------
    path : str or sequence of one str
        The file.

    Returns
    -------
    list of tuple
        One image layer in micrometres, in pixels if the file states no pixel size.
    """
    from napari_prts.slide import open_slide

    return [slide_layer(open_slide(path if isinstance(path, str) else path[0]))]


def slide_layer(slide: Slide) -> LayerTuple:
    """Describe a slide's image layer for napari."""
    from napari_prts.viewer.slide_view import SLIDE_NAME, image_arguments

    arguments = image_arguments(slide)
    data = arguments.pop("data")
    return data, {"name": SLIDE_NAME, "metadata": {SLIDE_KEY: slide}, **arguments}, "image"
