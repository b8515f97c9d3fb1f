"""Microns per pixel: from the file if it can be believed, else from the user, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_prts.errors import MissingPixelSizeError, SlideError
from napari_prts.slide import Slide, open_slide
from napari_prts.slide.pixel_size import PixelSize, Settled, microns, settle
from tests.slide.conftest import picture
from tests.slide.test_formats import write_ome_zarr


def mpp_of(path: Path) -> tuple[float | None, str]:
    slide = open_slide(path)
    return slide.mpp, slide.mpp_source


def write_tiff(path: Path, **options: Any) -> Path:
    tifffile.imwrite(path, picture(40, 30), photometric="rgb", **options)
    return path


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40_000, 40_000), "centimeter", 0.25),
        ((20_000, 20_000), "centimeter", 0.5),
        ((50_800, 50_800), "inch", 0.5),
        ((72, 72), "inch", None),
        ((96, 96), "inch", None),
        ((300, 300), "inch", None),
        ((4_800, 4_800), "inch", None),
        ((1, 1), "centimeter", None),
        ((1e7, 1e7), "centimeter", None),
        ((4, 4), "none", None),
    ],
)
def test_tiff_resolution_tags(
    tmp_path: Path, resolution: tuple[float, float], unit: str, mpp: float | None
) -> None:
    path = write_tiff(tmp_path / "a.tif", resolution=resolution, resolutionunit=unit)
    found, source = mpp_of(path)
    assert found == (None if mpp is None else pytest.approx(mpp))
    assert source == ("unknown" if mpp is None else "file (TIFF resolution)")


def aperio(mpp: str) -> str:
    return f"Aperio Image Library v11\n30x40 (64x64) JPEG/RGB Q=70|AppMag = 40{mpp}|Left = 2"


def test_aperio_goes_before_resolution_tags(tmp_path: Path) -> None:
    options = {"resolution": (20_000, 20_000), "resolutionunit": "centimeter", "tile": (64, 64)}
    path = write_tiff(
        tmp_path / "a.svs", description=aperio("|MPP = 0.2520"), metadata=None, **options
    )
    assert mpp_of(path) == (0.252, "file (Aperio MPP)")
    path = write_tiff(tmp_path / "b.svs", description=aperio(""), metadata=None, **options)
    assert mpp_of(path) == (0.5, "file (TIFF resolution)")
    path = write_tiff(
        tmp_path / "c.svs", description=aperio("|MPP = 0"), metadata=None, tile=(64, 64)
    )
    assert mpp_of(path) == (None, "unknown")


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [
        (0.5, "µm", 0.5),
        (250, "nm", 0.25),
        (0.0005, "mm", 0.5),
        (1, "pixel", None),
        (1, "reference frame", None),
        (300, "µm", None),
    ],
)
def test_ome_tiff_units(tmp_path: Path, size: float, unit: str, mpp: float | None) -> None:
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": unit,
    }
    found, source = mpp_of(write_tiff(tmp_path / "a.ome.tif", metadata=metadata))
    assert found == (None if mpp is None else pytest.approx(mpp))
    assert source == ("unknown" if mpp is None else "file (OME)")


@pytest.mark.parametrize(
    ("unit", "mpp"), [("micrometer", 0.5), ("millimeter", None), ("", None), ("pixel", None)]
)
def test_ome_zarr_scale_needs_a_unit(tmp_path: Path, unit: str, mpp: float | None) -> None:
    write_ome_zarr(tmp_path / "a.zarr", picture(64, 64), "0.5", unit=unit)
    assert mpp_of(tmp_path / "a.zarr")[0] == mpp


def test_print_resolution_of_a_jpeg_says_nothing(shared_data: Path) -> None:
    # This one states 98 x 106 dots per inch.
    assert imagecodecs.jpeg_decode is not None
    path = shared_data / "xenium_ncbi858" / "NCBI858.jpg"
    assert mpp_of(path) == (None, "unknown")


def test_pixels_that_are_not_square_are_asked_about(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", resolution=(40_000, 39_000), resolutionunit="centimeter")
    assert mpp_of(path) == (None, "unknown")
    assert open_slide(path, mpp=0.25).mpp == 0.25
    nearly = write_tiff(
        tmp_path / "b.tif", resolution=(40_000, 39_800), resolutionunit="centimeter"
    )
    assert open_slide(nearly).mpp == pytest.approx(0.2506, abs=1e-4)


def test_the_user_is_told_what_the_file_says_and_why_it_is_not_believed() -> None:
    path = Path("folder/biopsy.tif")
    oblong = settle(path, PixelSize(0.5, 0.25, "file (OME)"), None)
    assert oblong == Settled(
        None,
        "unknown",
        "By the file (OME), pixels of biopsy.tif are 0.5 um high and 0.25 um wide: not square. "
        "Enter the right microns per pixel.",
    )
    huge = settle(path, PixelSize(300, 300, "file (OME)"), None)
    assert huge == Settled(
        None,
        "unknown",
        "By the file (OME), pixels of biopsy.tif are 300 um: no slide has such pixels "
        "(0.05 to 20 um). Enter the right microns per pixel.",
    )
    for size in (0.0, -1.0, float("nan"), float("inf"), 1e-9):
        settled = settle(path, PixelSize(size, size, "file (OME)"), None)
        assert settled.mpp is None
        assert f"{size:g} um" in str(settled.remark)
    # Nothing said is nothing to remark on.
    assert settle(path, None, None) == Settled(None, "unknown")


def test_now_goes_before_earlier_and_both_before_the_file() -> None:
    path, stated = Path("biopsy.tif"), PixelSize(0.5, 0.5, "file (OME)")
    assert settle(path, stated, 0.25, 0.3) == Settled(0.25, "user")
    assert settle(path, stated, None, 0.3) == Settled(0.3, "user (remembered)")
    assert settle(path, None, None, 0.3) == Settled(0.3, "user (remembered)")
    assert settle(path, PixelSize(0.5, 0.25, "file (OME)"), None, 0.3).remark is None
    assert settle(path, stated, None) == Settled(0.5, "file (OME)")
    with pytest.raises(SlideError, match="um per pixel"):
        settle(path, stated, 300, 0.3)


def test_the_user_goes_before_the_file(demo_slide_path: Path) -> None:
    slide = open_slide(demo_slide_path, mpp=0.25)
    assert (slide.mpp, slide.mpp_source) == (0.25, "user")
    again = open_slide(demo_slide_path).with_mpp(0.3)
    assert (again.mpp, again.mpp_source) == (0.3, "user")
    assert again.fingerprint == slide.fingerprint


@pytest.mark.parametrize("mpp", [0, -0.5, 0.01, 25, float("nan"), float("inf")])
def test_impossible_numbers_are_refused(mpp: float) -> None:
    slide = Slide.from_array(np.full((9, 9, 3), 200, np.uint8))
    with pytest.raises(SlideError, match="um per pixel"):
        slide.with_mpp(mpp)
    with pytest.raises(SlideError, match="um per pixel"):
        Slide.from_array(np.full((9, 9, 3), 200, np.uint8), mpp=mpp)


def test_an_unknown_size_is_asked_for() -> None:
    slide = Slide.from_array(np.full((9, 9, 3), 200, np.uint8), name="biopsy")
    with pytest.raises(MissingPixelSizeError, match=r"biopsy.*--mpp.*Slide widget"):
        slide.require_mpp()
    with pytest.raises(MissingPixelSizeError):
        slide.read(0, 0, 4, 4, mpp=0.5)
    assert slide.read(0, 0, 4, 4).shape == (4, 4, 3)
    assert slide.with_mpp(0.5).require_mpp() == 0.5


@pytest.mark.parametrize("unit", ["um", "µm", "μm", "micron", "Micrometer"])
def test_all_names_of_the_micron(unit: str) -> None:
    assert microns(0.25, unit) == 0.25
