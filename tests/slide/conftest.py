"""Pictures and files to open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_prts.slide import Slide, open_slide
from napari_prts.slide.levels import halve

Image = NDArray[np.uint8]


def picture(rows: int, columns: int, seed: int = 0) -> Image:
    """Make a colourful picture with detail everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (-(-rows // 16), -(-columns // 16), 3), dtype=np.uint8)
    smooth = coarse.repeat(16, axis=0).repeat(16, axis=1)[:rows, :columns]
    return smooth + rng.integers(0, 56, (rows, columns, 3), dtype=np.uint8)


def write_pyramid(path: Path, image: Image, levels: int, subifds: bool, **options: Any) -> None:
    """Write a tiled TIFF with lower levels, each half of the one above."""
    with tifffile.TiffWriter(path, bigtiff=bool(options.pop("bigtiff", False))) as writer:
        common = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}
        first = {**common, **options}
        if subifds:
            first["subifds"] = levels - 1
        writer.write(image, **first)
        for _ in range(levels - 1):
            image = halve(image)
            writer.write(image, **common, subfiletype=1, metadata=None)


@pytest.fixture
def picture_slide() -> Slide:
    """Slide of an odd size with lower levels in memory, 0.5 um/px."""
    return Slide.from_array(picture(1301, 1110), mpp=0.5)


@pytest.fixture
def demo_slide(demo_slide_path: Path) -> Slide:
    """The slide that ships with the package."""
    return open_slide(demo_slide_path)


@pytest.fixture(scope="session")
def sections(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Slide]]:
    """Two real sections of 92 megapixels without a pyramid, opened once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("sections")))
        yield {
            name: open_slide(shared_data / "her2st" / f"{name}.jpg", mpp=0.69)
            for name in ("B4", "C2")
        }


@pytest.fixture
def few_megapixels(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let images count as large, and pyramids be built, from fewer pixels on."""

    def limit(pixels: int) -> None:
        monkeypatch.setattr("napari_prts.slide.completing.SMALL_IMAGE", pixels)
        monkeypatch.setattr("napari_prts.slide.levels.SMALLEST_LEVEL", 200)

    return limit
