"""Pixels: open any slide lazily, its pyramid and pixel size, read regions, find tissue.

The public names are imported when first used, so that importing this package
loads none of tifffile, zarr and dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.slide.info import slide_info
    from napari_prts.slide.opening import open_slide, open_slide_job
    from napari_prts.slide.quality import RegionQuality, SlideQuality, region_quality, slide_quality
    from napari_prts.slide.slide import Slide
    from napari_prts.slide.tissue import TissueMask, tissue_mask

_HOMES = {
    "RegionQuality": "quality",
    "Slide": "slide",
    "SlideQuality": "quality",
    "TissueMask": "tissue",
    "open_slide": "opening",
    "open_slide_job": "opening",
    "region_quality": "quality",
    "slide_info": "info",
    "slide_quality": "quality",
    "tissue_mask": "tissue",
}

__all__ = [
    "RegionQuality",
    "Slide",
    "SlideQuality",
    "TissueMask",
    "open_slide",
    "open_slide_job",
    "region_quality",
    "slide_info",
    "slide_quality",
    "tissue_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
