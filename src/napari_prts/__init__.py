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
    "show": "widgets",
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
    "show",
    "simulate_visium_hd",
]


def open(path: Path | str, mpp: float | None = None) -> Study:
    """Open a slide, or what was saved of one, as a study.

    Parameters
    ----------
    path : path
        Slide file or OME-Zarr folder; a folder that :meth:`Study.save` or *Save study folder*
        wrote; a session file (``.prts``).
    mpp : float, optional
        Microns per level-0 pixel of a slide, where the file does not say or is wrong.

    Raises
    ------
    SlideError
        If the slide cannot be opened.
    PrtsError
        If a saved study is damaged or its slide is not found, or a pixel size is given for it:
        it has its own.
    """
    from napari_prts.errors import PrtsError
    from napari_prts.slide import open_slide
    from napari_prts.study import Study, open_session_study, open_study

    place = Path(path)
    saved = (place / "study.json").is_file()
    if not saved and place.suffix.lower() != ".prts":
        return Study(open_slide(path, mpp))
    if mpp is not None:
        raise PrtsError(
            f"{place.name} is a saved study with a pixel size of its own: leave mpp out, and "
            "correct it with study.set_mpp()."
        )
    return open_study(place) if saved else open_session_study(place)


def __getattr__(name: str) -> Any:
    # Heavy rooms are imported when first used: opening napari stays quick.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
