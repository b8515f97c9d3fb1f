"""The slide that ships with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def demo_slide_path() -> Path:
    """Path of the embedded H&E slide.

    ``CMU-1-Small-Region.svs``: skin, 2,220 x 2,967 px at 0.499 um/px, Aperio;
    from OpenSlide's test data, CC0.
    """
    return Path(str(files("napari_prts") / "data" / "CMU-1-Small-Region.svs"))
