"""Nuclei and predicted gene expression on H&E slides, in napari.

Examples
--------
>>> import napari_prts
>>> study = napari_prts.open("slide.svs")  # doctest: +SKIP
>>> study.segment()  # doctest: +SKIP
>>> study.predict("my-model")  # doctest: +SKIP
>>> study.predicted  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.study import Study

__version__ = "0.1.0"

_HOMES = {
    "PrtsError": "errors",
    "Study": "study",
    "evaluate": "analysis",
    "open_slide": "slide",
    "open_study": "study",
    "read_space_ranger": "visium_hd",
    "simulate_visium_hd": "visium_hd",
}

__all__ = [
    "PrtsError",
    "Study",
    "evaluate",
    "open",
    "open_slide",
    "open_study",
    "read_space_ranger",
    "simulate_visium_hd",
]


def open(path: Path | str, mpp: float | None = None) -> Study:
    """Open a slide as a study.

    Parameters
    ----------
    path : path
        Slide file, or OME-Zarr folder.
    mpp : float, optional
        Microns per level-0 pixel, where the file does not say or is wrong.

    Raises
    ------
    SlideError
        If the slide cannot be opened.
    """
    from napari_prts.slide import open_slide
    from napari_prts.study import Study

    return Study(open_slide(path, mpp))


def __getattr__(name: str) -> Any:
    # Heavy rooms are imported when first used: opening napari stays quick.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
