"""Where each kind of TIFF states its pixel size, and what is not believed."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest
import tifffile

from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.formats.tiff import read_tiff
from napari_prts.slide.levels import halve
from tests.slide.comparing import error, whole
from tests.slide.conftest import picture
from tests.slide.scanner_files import (
    NdpiPage,
    smooth_picture,
    write_ndpi,
    write_philips,
    write_vips,
)


def imagej(tmp_path: Path, unit: str, resolution: float) -> SlideFile:
    """Write and open an ImageJ TIFF; pixels per unit are in its tags, which name no unit."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        picture(40, 30),
        imagej=True,
        resolution=(resolution, resolution),
        metadata={"unit": unit},
    )
    return read_tiff(path)


@pytest.mark.parametrize(
    ("unit", "resolution", "mpp"),
    [("micron", 4.0, 0.25), ("um", 2.0, 0.5), ("\\u00B5m", 2.0, 0.5), ("mm", 2000.0, 0.5)],
)
def test_pixel_size_by_imagej(tmp_path: Path, unit: str, resolution: float, mpp: float) -> None:
    stated = imagej(tmp_path, unit, resolution).stated
    assert stated is not None
    assert (stated.height, stated.source) == (pytest.approx(mpp), "file (ImageJ)")


@pytest.mark.parametrize(
    ("unit", "resolution"), [("pixel", 4.0), ("inch", 300.0), ("micron", 1e-3), ("", 4.0)]
)
def test_imagej_without_a_believable_size(tmp_path: Path, unit: str, resolution: float) -> None:
    assert imagej(tmp_path, unit, resolution).stated is None


@pytest.mark.parametrize("dots", [72, 96, 150, 300, 600, 1200, 2400])
def test_print_sizes_are_no_pixel_sizes(tmp_path: Path, dots: int) -> None:
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(picture(40, 30)).save(path, dpi=(dots, dots))
    assert read_tiff(path).stated is None


@pytest.mark.parametrize(
    ("told", "mpp"),
    [("0.2520", 0.252), ("0,2520", 0.252), ("", None), ("1e", None), ("-", None), ("1e999", None)],
)
def test_odd_aperio_sizes(tmp_path: Path, told: str, mpp: float | None) -> None:
    path = tmp_path / "a.svs"
    write_vips(path, picture(40, 30), f"Aperio Image Library v11|MPP = {told}|Left = 2", tile=True)
    stated = read_tiff(path).stated
    assert (stated and stated.height) == mpp


@pytest.mark.parametrize("resolution", [0.0, 1e-3, 4e7])
def test_odd_hamamatsu_sizes(tmp_path: Path, resolution: float) -> None:
    path = tmp_path / "a.ndpi"
    write_ndpi(path, [NdpiPage(smooth_picture(64, 64), 20.0, resolution=resolution)])
    assert read_tiff(path).stated is None


@pytest.mark.parametrize("spacing", [0.0, float("nan"), 5.0])
def test_odd_philips_sizes(tmp_path: Path, spacing: float) -> None:
    path, image = tmp_path / "a.tiff", smooth_picture(128, 192)
    write_philips(path, [image, halve(image)], spacing=spacing)
    file = read_tiff(path)
    assert file.stated is None
    assert error(whole(file.levels[0]), image) <= 6
