"""How a level looks here, and to OpenSlide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import PIL.Image

from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.pixels import Pixels
from tests.slide.scanner_files import Image


def whole(pixels: Pixels) -> Image:
    """Read a level whole."""
    return pixels.read(0, 0, *pixels.shape)


def error(one: Image, other: Image) -> int:
    """Return the largest difference in grey values."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


def seen_by_openslide(path: Path, level: int = 0) -> Image:
    """Read a level through OpenSlide itself, transparent pixels as white."""
    with openslide.OpenSlide(path) as slide:
        region = slide.read_region((0, 0), level, slide.level_dimensions[level])
    glass = PIL.Image.new("RGBA", region.size, "white")
    return np.asarray(PIL.Image.alpha_composite(glass, region).convert("RGB"))


def shapes(file: SlideFile) -> list[tuple[int, int]]:
    """Return the shapes of all levels."""
    return [pixels.shape for pixels in file.levels]
