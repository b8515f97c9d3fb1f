"""Every bad file is refused when it is opened, in words that say what to do."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_prts.errors import SlideError
from napari_prts.slide import Slide, open_slide
from tests.slide.conftest import picture
from tests.slide.test_formats import write_ome_zarr

# Each example writes its own file to the same folder.
FEW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(path: Path) -> str:
    """Return what is said about a file, in one line that names it."""
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_no_such_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.svs")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    assert "0 bytes" in refusal(tmp_path / "a.svs")


def test_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("Dear colleague, please find the slide attached.")
    assert "OME-TIFF" in refusal(tmp_path / "a.tif")


def test_a_folder_that_is_no_ome_zarr(tmp_path: Path) -> None:
    assert "no OME-Zarr" in refusal(tmp_path)
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    assert "multiscales" in refusal(tmp_path / "a.zarr")
    write_ome_zarr(tmp_path / "b.zarr", picture(64, 64), "0.6")
    assert "version 0.6" in refusal(tmp_path / "b.zarr")
    write_ome_zarr(tmp_path / "c.zarr", picture(64, 64), "0.4")
    shutil.rmtree(tmp_path / "c.zarr" / "1")
    assert "level" in refusal(tmp_path / "c.zarr")


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "words"),
    [
        ((40, 30), np.uint8, {}, "greyscale"),
        ((40, 30), np.uint16, {}, "16-bit"),
        ((40, 30, 3), np.uint16, {"photometric": "rgb"}, "16-bit"),
        ((40, 30, 3), np.float32, {"photometric": "rgb"}, "floating point"),
        ((40, 30, 3), np.int8, {"photometric": "rgb"}, "signed 8-bit"),
        ((40, 30), np.bool_, {}, "1 bit"),
        ((40, 30, 4), np.uint8, {"photometric": "separated"}, "CMYK"),
        ((40, 30, 6), np.uint8, {"photometric": "rgb"}, "6 channels"),
        ((7, 40, 30, 3), np.uint8, {"photometric": "rgb"}, "stack of 7"),
        ((40, 30, 3), np.uint8, {"photometric": "cielab"}, "L*a*b*"),
    ],
)
def test_tiffs_that_are_not_8_bit_rgb(
    tmp_path: Path, shape: tuple[int, ...], dtype: Any, options: dict[str, str], words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, dtype), **options)
    message = refusal(tmp_path / "a.tif")
    assert words in message
    assert "Export" in message or "Save" in message


def test_tiff_in_indexed_colours(tmp_path: Path) -> None:
    palette = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((40, 30), np.uint8), photometric="palette", colormap=palette
    )
    assert "palette" in refusal(tmp_path / "a.tif")


def test_jpeg_and_png_that_are_not_8_bit_rgb(tmp_path: Path) -> None:
    grey, cmyk = picture(40, 30)[..., 0].copy(), np.zeros((40, 30, 4), np.uint8)
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(grey))
    assert "greyscale" in refusal(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(
        imagecodecs.jpeg_encode(cmyk, colorspace="CMYK", outcolorspace="CMYK")
    )
    assert "CMYK" in refusal(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(grey))
    assert "greyscale" in refusal(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(imagecodecs.png_encode(picture(40, 30).astype(np.uint16)))
    assert "16-bit" in refusal(tmp_path / "d.png")


def test_ome_zarr_that_is_not_8_bit_rgb(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a.zarr", picture(64, 64)[..., :1].repeat(7, axis=2), "0.4")
    assert "7 channels" in refusal(tmp_path / "a.zarr")
    write_ome_zarr(tmp_path / "b.zarr", picture(64, 64)[..., 0], "0.4", "yx")
    assert "greyscale" in refusal(tmp_path / "b.zarr")


def test_arrays_that_are_no_rgb_image() -> None:
    with pytest.raises(SlideError, match="16-bit"):
        Slide.from_array(np.zeros((9, 9, 3), np.uint16))  # type: ignore[arg-type]
    with pytest.raises(SlideError, match=r"\(9, 9\)"):
        Slide.from_array(np.zeros((9, 9), np.uint8))
    with pytest.raises(SlideError, match="four channels"):
        Slide.from_array(np.zeros((9, 9, 4), np.uint8))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 0.99999))
def test_an_aperio_slide_cut_short_anywhere(
    tmp_path: Path, demo_slide_path: Path, share: float
) -> None:
    whole = demo_slide_path.read_bytes()
    (tmp_path / "cut.svs").write_bytes(whole[: int(share * len(whole))])
    refusal(tmp_path / "cut.svs")


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    share=st.floats(0, 0.9999),
    layout=st.sampled_from(["tiff", "uncompressed", "bigtiff", "jpeg", "png"]),
)
def test_images_cut_short_anywhere(tmp_path: Path, share: float, layout: str) -> None:
    image, path = picture(80, 70), tmp_path / "whole"
    if layout == "jpeg":
        path.write_bytes(imagecodecs.jpeg_encode(image))
    elif layout == "png":
        path.write_bytes(imagecodecs.png_encode(image))
    elif layout == "uncompressed":
        tifffile.imwrite(path, image, photometric="rgb")
    else:
        tifffile.imwrite(
            path,
            image,
            photometric="rgb",
            tile=(32, 32),
            compression="zlib",
            bigtiff=layout == "bigtiff",
        )
    whole = path.read_bytes()
    # What follows the end of a PNG or JPEG is not part of it; nor is a TIFF's padding.
    (tmp_path / "cut").write_bytes(whole[: int(share * (len(whole) - 12))])
    refusal(tmp_path / "cut")


def test_missing_tiles_are_glass(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture(128, 128), photometric="rgb", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        tags["TileByteCounts"].overwrite((*file.pages.first.databytecounts[:3], 0))
        tags["TileOffsets"].overwrite((*file.pages.first.dataoffsets[:3], 0))
    assert (open_slide(path).read(64, 64, 64, 64) == 255).all()


def test_nothing_is_written_to_the_log_beside_the_error(
    tmp_path: Path, demo_slide_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # As in a program that has not set up logging: Python then prints warnings to stderr.
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        (tmp_path / "cut.svs").write_bytes(demo_slide_path.read_bytes()[:1_800_000])
        refusal(tmp_path / "cut.svs")
    finally:
        root.handlers = handlers
    assert capfd.readouterr().err == ""
