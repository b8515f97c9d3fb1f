"""A large file without a pyramid gets one, once, in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder
from napari_prts.jobs import Progress, run
from napari_prts.slide import Slide, open_slide, open_slide_job
from napari_prts.slide.bands import bands_of, first_look
from napari_prts.slide.damage import BrokenTile
from napari_prts.slide.formats.raster import read_jpeg
from napari_prts.slide.levels import BAND_ROWS, halve
from napari_prts.slide.pixels import ArrayPixels
from napari_prts.slide.pyramid import create_pyramid, open_pyramid
from tests.slide.conftest import Image, picture, write_pyramid

Limit = Callable[[int], None]


@pytest.fixture
def image() -> Image:
    return picture(1300, 1111)


def halves(image: Image) -> list[Image]:
    levels = [image]
    while max(levels[-1].shape) > 200:
        levels.append(halve(levels[-1]))
    return levels


def only_pyramid() -> Path:
    """Return the folder of the one pyramid in the cache."""
    (folder,) = (cache_folder() / "pyramids").glob("*.zarr")
    return folder


def check_levels(path: Path, expected: list[Image]) -> None:
    slide = open_slide(path, mpp=0.5)
    assert slide.downsamples == tuple(2.0**k for k in range(len(expected)))
    for level, pixels in zip(slide.levels, expected, strict=True):
        np.testing.assert_array_equal(level.compute(), pixels)


@pytest.mark.parametrize("layout", ["jpeg", "png", "stripped", "one strip", "tiled", "memory map"])
def test_built_once_and_reopened(
    tmp_path: Path, image: Image, layout: str, few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    path = tmp_path / "slide"
    if layout == "jpeg":
        path.write_bytes(imagecodecs.jpeg_encode(image, level=90))
        image = imagecodecs.jpeg_decode(path.read_bytes())
    elif layout == "png":
        path.write_bytes(imagecodecs.png_encode(image))
    else:
        options = {
            "stripped": {"rowsperstrip": 7, "compression": "zlib"},
            "one strip": {"rowsperstrip": 1300, "compression": "zlib"},
            "tiled": {"tile": (48, 80), "compression": "zlib"},
            "memory map": {},
        }[layout]
        tifffile.imwrite(path, image, photometric="rgb", **options)
    reports: list[Progress] = []
    run(open_slide_job(path, 0.5), reports.append)
    assert reports[-1].done == reports[-1].total == 1300
    assert [report.unit for report in reports] == ["rows"] * len(reports)
    check_levels(path, halves(image))

    again: list[Progress] = []
    run(open_slide_job(path, 0.5), again.append)
    assert again == []
    path.rename(tmp_path / "moved")
    run(open_slide_job(tmp_path / "moved", 0.5), again.append)
    assert again == []
    check_levels(tmp_path / "moved", halves(image))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 2600),
    columns=st.integers(1, 40),
    cuts=st.lists(st.integers(1, 1500), max_size=4),
    first=st.integers(0, 1),
)
def test_rows_may_come_in_any_portions(
    tmp_path: Path, rows: int, columns: int, cuts: list[int], first: int
) -> None:
    image = picture(rows, columns)
    truth = [image, halve(image), halve(halve(image))]
    with TemporaryDirectory(dir=tmp_path) as folder:
        target = Path(folder) / "a.zarr"
        writer = create_pyramid(target, [level.shape[:2] for level in truth], first)
        written = [0, 0, 0]
        for portion in np.split(image, sorted({cut for cut in cuts if cut < rows})):
            before, written = written, writer.push(portion)
            assert all(later >= earlier for earlier, later in zip(before, written, strict=True))
            # What is counted as written is there for good.
            for array, count, level in zip(writer.arrays, written, truth, strict=True):
                if array is not None:
                    np.testing.assert_array_equal(array[:count], level[:count])
        broken = BrokenTile(0.0, 1.5, 2.0, 3.0, "A sentence, like 'µm'.")
        assert writer.finish([broken]) == [len(level) for level in truth]

        stored = open_pyramid(target)
        assert (stored.shape, stored.broken) == ((rows, columns), (broken,))
        assert (stored.arrays[0] is None) == (first == 1)
        for array, level in zip(stored.arrays[first:], truth[first:], strict=True):
            np.testing.assert_array_equal(array[:], level)


def test_it_begins_below_the_levels_of_the_file(
    tmp_path: Path, image: Image, few_megapixels: Limit
) -> None:
    few_megapixels(100_000)
    write_pyramid(tmp_path / "a.tif", image, levels=2, subifds=False)
    check_levels(tmp_path / "a.tif", halves(image))
    stored = only_pyramid()
    assert sorted(p.name for p in stored.iterdir() if p.is_dir()) == ["1", "2"]


def test_small_files_and_files_with_small_levels_need_none(tmp_path: Path, image: Image) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    assert open_slide(tmp_path / "a.png").downsamples == (1.0, 2.0)
    assert not (cache_folder() / "pyramids").exists()


def test_nothing_half_built_is_left(tmp_path: Path, image: Image, few_megapixels: Limit) -> None:
    few_megapixels(100_000)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    job = open_slide_job(tmp_path / "a.png")
    next(job)
    next(job)
    job.close()
    assert list((cache_folder() / "pyramids").iterdir()) == []
    check_levels(tmp_path / "a.png", halves(image))


def test_a_source_that_cannot_be_decoded_to_its_end_leaves_nothing(
    tmp_path: Path, image: Image, few_megapixels: Limit
) -> None:
    few_megapixels(100_000)
    data = bytearray(imagecodecs.png_encode(image))
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SlideError, match=r"a\.png.*decoded"):
        open_slide(tmp_path / "a.png")
    assert list((cache_folder() / "pyramids").iterdir()) == []


def test_a_cache_that_was_tampered_with_is_built_again(
    tmp_path: Path, image: Image, few_megapixels: Limit
) -> None:
    few_megapixels(100_000)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    open_slide(tmp_path / "a.png")
    stored = only_pyramid()
    (stored / "zarr.json").unlink()
    check_levels(tmp_path / "a.png", halves(image))


def test_a_file_of_the_cache_that_is_gone_is_no_black_tile(
    tmp_path: Path, image: Image, few_megapixels: Limit
) -> None:
    few_megapixels(100_000)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    open_slide(tmp_path / "a.png")
    slide = open_slide(tmp_path / "a.png")
    (only_pyramid() / "0" / "c" / "1" / "1" / "0").unlink()
    assert (slide.read(512, 512, 512, 512) == 255).all()
    (tile,) = slide.broken
    assert (tile.row, tile.column, tile.height, tile.width) == (512, 512, 512, 512)
    assert "delete it to have it made again" in tile.reason


def test_a_pyramid_of_another_version_is_built_again(
    tmp_path: Path, image: Image, few_megapixels: Limit
) -> None:
    few_megapixels(100_000)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    open_slide(tmp_path / "a.png")
    zarr.open_group(only_pyramid(), mode="r+").attrs["version"] = 0
    assert open_slide(tmp_path / "a.png", wait=False).growth is not None
    check_levels(tmp_path / "a.png", halves(image))


@pytest.mark.parametrize(
    ("columns", "rows_of_strip", "kept"),
    [
        pytest.param(4224, 8, True, id="8 x 4224"),
        pytest.param(4224, 7, True, id="7 x 4224"),
        pytest.param(4224, 513, True, id="513 x 4224"),
        pytest.param(4224, 640, True, id="one strip"),
        pytest.param(3840, 8, False, id="8 x 3840, narrow enough to be read as they are"),
    ],
)
def test_strips_are_tiled_anew(
    tmp_path: Path, columns: int, rows_of_strip: int, kept: bool, few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    image, path = picture(640, columns), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression="zlib", rowsperstrip=rows_of_strip)
    slide = open_slide(path, mpp=0.5)
    assert slide.stack[0].pixels.chunk == ((512, 512) if kept else (128, columns))
    for level, expected in zip(slide.levels, halves(image), strict=True):
        np.testing.assert_array_equal(level.compute(), expected)
    # From the second time on, out of the cache.
    check_levels(path, halves(image))


def test_lower_levels_in_strips_too_are_made_from_the_first(
    tmp_path: Path, few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    image = picture(640, 4224)
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "rowsperstrip": 8}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(image, subifds=1, **options)
        # A quarter, without a picture: it is not needed.
        writer.write(np.zeros((160, 1056, 3), np.uint8), subfiletype=1, **options)
    check_levels(tmp_path / "a.tif", halves(image))


@settings(max_examples=25)
@given(rows=st.integers(1, 1700), columns=st.integers(1, 9), chunk=st.integers(1, 1700))
def test_bands_are_the_whole_level(rows: int, columns: int, chunk: int) -> None:
    image = picture(rows, columns)
    bands = list(bands_of(ArrayPixels(image, "a", chunk=(chunk, columns))))
    np.testing.assert_array_equal(np.concatenate(bands), image)
    # No chunk is decoded twice, and no band is too thin for the levels below.
    assert all(len(band) >= BAND_ROWS and len(band) % chunk == 0 for band in bands[:-1])


def test_bands_of_a_jpeg(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(imagecodecs.jpeg_encode(image, level=90))
    (pixels,) = read_jpeg(path).levels
    bands = list(bands_of(pixels))
    np.testing.assert_array_equal(np.concatenate(bands), imagecodecs.jpeg_decode(path.read_bytes()))
    assert [len(band) for band in bands] == [512, 512, 276]
    look = first_look(pixels)
    assert look is not None
    # An eighth; decoders round it up or down.
    np.testing.assert_allclose(look.shape[:2], (1300 / 8, 1111 / 8), atol=1)


def test_a_first_look_samples_rows_that_are_quick_to_read() -> None:
    image = picture(3000, 2000)
    look = first_look(ArrayPixels(image, "a", chunk=(2, 2000)))
    assert look is not None
    # Every third row and column, from the middle of the first three on.
    np.testing.assert_array_equal(look, image[1::3, 1::3])
    # Most of the image would have to be decoded.
    assert first_look(ArrayPixels(image, "a", chunk=(256, 256))) is None
    assert first_look(ArrayPixels(image, "a", chunk=(3000, 2000))) is None


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, image: Image, few_megapixels: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_megapixels(100_000)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_prts.slide.pyramid._LevelWriter.push", full)
    with pytest.raises(SlideError, match=r"No space left.*NAPARI_PRTS_CACHE"):
        open_slide(tmp_path / "a.png")


def test_a_real_section_without_a_pyramid(shared_data: Path, sections: dict[str, Slide]) -> None:
    slide = sections["C2"]
    assert (slide.format, slide.shape) == ("jpeg", (9911, 9274))
    assert slide.downsamples == (1.0, 2.0, 4.0, 8.0, 16.0)
    assert slide.levels[0].chunksize == (512, 512, 3)
    whole = imagecodecs.jpeg_decode((shared_data / "her2st" / "C2.jpg").read_bytes())
    np.testing.assert_array_equal(slide.read(6000, 5000, 300, 300), whole[6000:6300, 5000:5300])
