"""Through OpenSlide: files that tifffile reads too must look the same."""

from __future__ import annotations

import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_prts.errors import SlideError
from napari_prts.slide.formats.openslide_reader import (
    needs_openslide,
    openslide_vendor,
    read_openslide,
)
from napari_prts.slide.formats.tiff import read_tiff
from napari_prts.slide.levels import halve
from tests.slide.comparing import error, shapes, whole
from tests.slide.conftest import picture
from tests.slide.scanner_files import (
    Image,
    smooth_picture,
    write_bif,
    write_philips,
    write_vips,
)


@pytest.fixture
def without_openslide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import openslide`` fail, as where it is not installed."""
    monkeypatch.setitem(sys.modules, "openslide", None)


def test_openslide_reads_the_demo_slide_as_tifffile_does(demo_slide_path: Path) -> None:
    assert openslide_vendor(demo_slide_path) == "aperio"
    file, other = read_openslide(demo_slide_path), read_tiff(demo_slide_path)
    assert (file.format, shapes(file)) == (other.format, shapes(other))
    assert file.levels[0].chunk == (240, 240)
    assert file.fingerprint == other.fingerprint
    assert error(whole(file.levels[0]), whole(other.levels[0])) <= 1
    assert file.stated is not None
    assert (file.stated.width, file.stated.source) == (0.499, "file (OpenSlide)")
    assert set(file.associated) == set(other.associated)
    for name, read in file.associated.items():
        assert error(read(), other.associated[name]()) <= 1


def test_openslide_reads_a_plain_tiled_tiff(tmp_path: Path) -> None:
    image, path = picture(700, 900), tmp_path / "a.tif"
    options: dict[str, Any] = {"tile_width": 128, "tile_height": 128}
    write_vips(path, image, compression="deflate", tile=True, pyramid=True, **options)
    file = read_openslide(path)
    assert (file.format, file.stated) == ("tiff", None)
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    for pixels, other in zip(file.levels, read_tiff(path).levels, strict=True):
        np.testing.assert_array_equal(whole(pixels), whole(other))


def test_levels_of_odd_sizes_are_not_shifted(tmp_path: Path) -> None:
    """A level smaller by 4.0346: OpenSlide's corners in level-0 pixels fall between pixels."""
    image, lower, path = picture(1303, 1207), picture(321, 301, seed=1), tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(image, tile=(128, 128), photometric="rgb")
        writer.write(lower, tile=(128, 128), photometric="rgb", subfiletype=1)
    pixels = read_openslide(path).levels[1]
    assert pixels.shape == lower.shape[:2]
    for top, left in ((0, 0), (3, 100), (151, 7), (200, 240)):
        # Asked for as it comes, the same place is off by up to 27 grey values.
        read = pixels.read(top, left, top + 60, left + 60)
        assert error(read, lower[top : top + 60, left : left + 60]) <= 2


def test_what_openslide_leaves_transparent_is_glass(tmp_path: Path) -> None:
    path, image = tmp_path / "a.tiff", smooth_picture(128, 192)
    write_philips(path, [image, halve(image)], glass=4)
    read = whole(read_openslide(path).levels[0])
    assert (read[64:128, 64:128] == 255).all()
    assert error(read[:64], image[:64]) <= 6


def test_openslide_reads_in_several_threads(demo_slide_path: Path) -> None:
    pixels = read_openslide(demo_slide_path).levels[0]
    places = [(top, left) for top in range(0, 2400, 400) for left in range(0, 2000, 400)]

    def read(place: tuple[int, int]) -> Image:
        return pixels.read(place[0], place[1], place[0] + 200, place[1] + 200)

    alone = [read(place) for place in places]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(read, places))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_openslide_cannot_read_is_told_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "a.bif"
    write_bif(path, picture(248, 352), 128, (8, 16))
    path.write_bytes(path.read_bytes().replace(b' Width="128"', b' Width="129"'))
    with pytest.raises(SlideError, match=r"a\.bif cannot be opened, OpenSlide says: Tile size"):
        read_tiff(path)


def test_openslide_errors_are_slide_errors(tmp_path: Path, demo_slide_path: Path) -> None:
    (tmp_path / "a.czi").write_text("Dear colleague, please find the slide attached.")
    assert openslide_vendor(tmp_path / "a.czi") is None
    with pytest.raises(SlideError, match=r"a\.czi is no slide that OpenSlide knows"):
        read_openslide(tmp_path / "a.czi")
    (tmp_path / "a.svs").write_bytes(demo_slide_path.read_bytes())
    pixels = read_openslide(tmp_path / "a.svs").levels[0]
    os.truncate(tmp_path / "a.svs", 100_000)
    with pytest.raises(SlideError, match=r"a\.svs: rows 2400 to 2967"):
        pixels.read(2400, 0, 2967, 2000)


@pytest.mark.usefixtures("without_openslide")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mrxs", "a MIRAX"), ("a.svslide", "a Sakura"), ("a.czi", "a Zeiss CZI")],
)
def test_what_needs_openslide_is_told_by_name(tmp_path: Path, name: str, kind: str) -> None:
    # The .mrxs of a MIRAX slide is a JPEG.
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture(40, 30)).save(buffer, "JPEG")
    (tmp_path / name).write_bytes(buffer.getvalue())
    assert needs_openslide(tmp_path / name) == (name != "a.mrxs")
    (tmp_path / "a").mkdir()
    assert needs_openslide(tmp_path / name)
    with pytest.raises(SlideError, match=rf"this is {kind} file: install the reader with  pip"):
        read_openslide(tmp_path / name)
