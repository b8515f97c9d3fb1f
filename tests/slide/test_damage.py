"""Tiles that cannot be decoded are white, never tissue, named, and known again next time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_prts.errors import LostSlideError, SlideError
from napari_prts.slide import open_slide, tissue_mask
from napari_prts.slide.damage import BrokenTile, Damage, MendedPixels
from napari_prts.slide.pixels import ArrayPixels
from tests.slide.conftest import Image, picture, write_pyramid
from tests.slide.test_formats import write_ome_zarr

Limit = Callable[[int], None]
Place = tuple[float, float, float, float]


def spoil(path: Path, segment: int, page: int = 0) -> None:
    """Overwrite one tile or strip of a TIFF with zeros, which no decoder takes."""
    with tifffile.TiffFile(path) as file:
        start = file.pages[page].dataoffsets[segment]
        count = file.pages[page].databytecounts[segment]
    with path.open("r+b") as writer:
        writer.seek(start)
        writer.write(bytes(count))


def places(tiles: tuple[BrokenTile, ...]) -> list[Place]:
    return sorted((tile.row, tile.column, tile.height, tile.width) for tile in tiles)


def whitened(image: Image, *rectangles: tuple[int, int, int, int]) -> Image:
    """Return a copy with rectangles (row, column, height, width) in white."""
    image = image.copy()
    for row, column, height, width in rectangles:
        image[row : row + height, column : column + width] = 255
    return image


@pytest.fixture
def spoilt(tmp_path: Path) -> tuple[Path, Image]:
    """TIFF in tiles of 64 px; that at row 256, column 320 is broken."""
    path, image = tmp_path / "a.tif", picture(512, 500)
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib")
    spoil(path, 4 * 8 + 5)
    return path, image


def test_a_broken_tile_reads_as_white_and_is_named(spoilt: tuple[Path, Image]) -> None:
    path, image = spoilt
    slide = open_slide(path, mpp=0.5)
    assert slide.broken == ()
    assert slide.read(0, 0, 64, 64).shape == (64, 64, 3)
    assert slide.broken == ()

    expected = whitened(image, (256, 320, 64, 64))
    np.testing.assert_array_equal(slide.read(200, 300, 200, 200), expected[200:400, 300:500])
    np.testing.assert_array_equal(slide.levels[0].compute(), expected)
    (tile,) = slide.broken
    assert (tile.row, tile.column, tile.height, tile.width) == (256, 320, 64, 64)
    assert str(path) in tile.reason
    assert "rows 256 to 320, columns 320 to 384" in tile.reason
    assert "copy it again" in tile.reason
    assert "\n" not in tile.reason


def test_who_listens_hears_of_each_broken_tile_once(spoilt: tuple[Path, Image]) -> None:
    slide = open_slide(spoilt[0], mpp=0.5)
    heard: list[BrokenTile] = []
    assert slide.damage is not None
    slide.damage.found.connect(heard.append)
    for _ in range(3):
        slide.read(0, 0, 512, 500)
        slide.read(255, 319, 3, 3, mpp=0.7)
    assert heard == list(slide.broken)
    assert len(heard) == 1


def test_a_tile_of_a_lower_level_is_measured_in_level_0_pixels(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.tif", picture(1024, 1024), levels=3, subifds=False)
    spoil(tmp_path / "a.tif", 5, page=1)
    slide = open_slide(tmp_path / "a.tif", mpp=0.5)
    slide.read(0, 0, 512, 512, mpp=1.0)
    assert places(slide.broken) == [(256, 256, 256, 256)]
    # The full resolution is whole there, and is read.
    assert (slide.read(256, 256, 256, 256) < 255).any()


@pytest.mark.parametrize(
    ("options", "segment", "place"),
    [
        pytest.param({"tile": (64, 64)}, 3, (0, 192, 64, 7), id="at the right edge"),
        pytest.param({"tile": (64, 64)}, 19, (256, 192, 44, 7), id="in the corner"),
        pytest.param({"rowsperstrip": 7}, 5, (35, 0, 7, 199), id="a strip"),
        pytest.param({"rowsperstrip": 7}, 42, (294, 0, 6, 199), id="the last strip"),
        pytest.param(
            {"tile": (64, 64), "planarconfig": "separate"}, 45, (64, 64, 64, 64), id="one colour"
        ),
    ],
)
def test_only_what_is_broken_is_lost(
    tmp_path: Path, options: dict[str, Any], segment: int, place: tuple[int, int, int, int]
) -> None:
    image, path = picture(300, 199), tmp_path / "a.tif"
    stored = image.transpose(2, 0, 1) if "planarconfig" in options else image
    tifffile.imwrite(path, stored, photometric="rgb", compression="zlib", **options)
    spoil(path, segment)
    slide = open_slide(path, mpp=0.5)
    np.testing.assert_array_equal(slide.read(0, 0, 300, 199), whitened(image, place))
    assert places(slide.broken) == [place]


def test_a_damaged_chunk_of_an_ome_zarr(tmp_path: Path) -> None:
    image = picture(640, 640)
    write_ome_zarr(tmp_path / "a.zarr", image, "0.4", "yxc")
    slide = open_slide(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "0" / "2.2.0").write_bytes(b"nothing")
    expected = whitened(image, (128, 128, 64, 64))
    np.testing.assert_array_equal(slide.read(0, 0, 640, 640), expected)
    assert places(slide.broken) == [(128, 128, 64, 64)]
    assert str(tmp_path / "a.zarr") in slide.broken[0].reason


@pytest.mark.parametrize(
    "options", [{"tile": (64, 64)}, {"rowsperstrip": 8}], ids=["tiles", "strips"]
)
def test_a_pyramid_remembers_what_was_broken(
    tmp_path: Path, options: dict[str, Any], few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    # Strips this wide are tiled anew.
    image, path = picture(640, 4224), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression="zlib", **options)
    spoil(path, 20)
    place = (0, 1280, 64, 64) if "tile" in options else (160, 0, 8, 4224)
    built = open_slide(path, mpp=0.5)
    assert places(built.broken) == [place]
    expected = whitened(image, place)
    np.testing.assert_array_equal(built.read(0, 0, 640, 4224), expected)

    again = open_slide(path, mpp=0.5)
    # Known before anything is read: the pyramid's lower levels are white there too.
    assert again.broken == built.broken
    np.testing.assert_array_equal(again.read(0, 0, 640, 4224), expected)
    np.testing.assert_array_equal(again.levels[1].compute(), built.levels[1].compute())


def test_nothing_is_left_of_an_image_in_one_broken_piece(
    tmp_path: Path, few_megapixels: Limit
) -> None:
    path = tmp_path / "small.tif"
    tifffile.imwrite(path, picture(64, 64), photometric="rgb", compression="zlib")
    spoil(path, 0)
    with pytest.raises(SlideError, match=r"small\.tif: rows 0 to 64"):
        open_slide(path).read(0, 0, 1, 1)

    few_megapixels(1_000_000)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, picture(640, 4224), photometric="rgb", compression="zlib", rowsperstrip=640
    )
    spoil(path, 0)
    with pytest.raises(SlideError, match=r"a\.tif: rows 0 to 640"):
        open_slide(path)


def test_broken_tiles_are_not_tissue(tmp_path: Path, demo_slide_path: Path) -> None:
    whole = open_slide(demo_slide_path)
    row, column = 1920, 960
    assert tissue_mask(whole).covers(row, column, 480, 240) == 1
    path = tmp_path / "skin.svs"
    path.write_bytes(demo_slide_path.read_bytes())
    across = -(-2220 // 240)
    for segment in (row // 240 * across + column // 240, (row // 240 + 1) * across + column // 240):
        spoil(path, segment)
    slide = open_slide(path)
    mask = tissue_mask(slide)
    assert places(slide.broken) == [(1920, 960, 240, 240), (2160, 960, 240, 240)]
    # All but the cells that reach over the edge of the broken tiles.
    assert mask.covers(row + 16, column + 16, 480 - 32, 240 - 32) == 0
    beside = row, column - 300, 480, 240
    assert mask.covers(*beside) == tissue_mask(whole).covers(*beside) > 0.5
    assert slide.background == whole.background


def test_a_file_that_has_shrunk_since_it_was_opened(tmp_path: Path) -> None:
    image, path = picture(128, 128), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib")
    slide = open_slide(path, mpp=0.5)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    np.testing.assert_array_equal(slide.read(0, 0, 128, 128), whitened(image, (64, 64, 64, 64)))
    assert "too early" in slide.broken[0].reason
    assert "has changed since it was opened" in slide.broken[0].reason


def test_a_lost_drive_breaks_no_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, path = picture(128, 128), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib")
    slide = open_slide(path, mpp=0.5)

    def gone(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("napari_prts.slide.formats.tiff_tiles.os.pread", gone)
        with pytest.raises(LostSlideError, match=r"a\.tif can no longer be read \(Input/output"):
            slide.read(0, 0, 128, 128)
    assert slide.broken == ()
    np.testing.assert_array_equal(slide.read(0, 0, 128, 128), image)


def test_reading_around_broken_tiles() -> None:
    image = picture(100, 90)

    class Torn(ArrayPixels):
        """Pixels of which the tile at row 40, column 20 raises."""

        def read(self, top: int, left: int, bottom: int, right: int) -> Image:
            key = image if top < 60 and bottom > 40 and left < 40 and right > 20 else None
            self._array = key[..., 0] if key is not None else image
            return super().read(top, left, bottom, right)

    damage = Damage((200, 180))
    mended = MendedPixels(Torn(image, "torn", chunk=(20, 20)), damage)
    expected = whitened(image, (40, 20, 20, 20))
    np.testing.assert_array_equal(mended.read(0, 0, 100, 90), expected)
    np.testing.assert_array_equal(mended.read(45, 5, 46, 25), expected[45:46, 5:25])
    assert places(damage.tiles) == [(80, 40, 40, 40)]
