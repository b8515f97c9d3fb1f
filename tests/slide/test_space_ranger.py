"""The small tissue images of Space Ranger have the pixel size of the scale factors beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from napari_prts.slide.formats.space_ranger import hires_size
from napari_prts.slide.pixel_size import PixelSize

HD = {"microns_per_pixel": 0.25, "tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.01}
SAID = "file (Space Ranger scale factors)"


def beside(folder: Path, scales: object, name: str = "tissue_hires_image.png") -> Path:
    """Write scale factors and return where an image would be beside them."""
    (folder / "scalefactors_json.json").write_text(json.dumps(scales))
    return folder / name


def test_visium_hd_as_the_machine_writes_it(shared_data: Path, tmp_path: Path) -> None:
    spatial = shared_data / "visium_hd_2um_tiny" / "binned_outputs" / "square_002um" / "spatial"
    # 0.2738 um and a factor of 0.0251: the whole image is 600 pixels long.
    size = hires_size(spatial / "tissue_lowres_image.png")
    assert size == PixelSize(pytest.approx(10.92878), pytest.approx(10.92878), SAID)
    shutil.copy(spatial / "scalefactors_json.json", tmp_path)
    size = hires_size(tmp_path / "tissue_hires_image.png")
    assert size == PixelSize(pytest.approx(1.092878), pytest.approx(1.092878), SAID)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tiff", ".tif"])
def test_any_file_ending(tmp_path: Path, suffix: str) -> None:
    hires = beside(tmp_path, HD, f"tissue_hires_image{suffix}")
    assert hires_size(hires) == PixelSize(2.5, 2.5, SAID)
    lowres = beside(tmp_path, HD, f"tissue_lowres_image{suffix}")
    assert hires_size(lowres) == PixelSize(25, 25, SAID)


def test_older_visium_by_the_diameter_of_a_spot(tmp_path: Path) -> None:
    # The example of 10x Genomics' documentation, which gives 65 / 89.438 = 0.72676 um for it.
    scales = {
        "spot_diameter_fullres": 89.43834961021503,
        "tissue_hires_scalef": 0.17011142,
        "fiducial_diameter_fullres": 144.4773339857,
        "tissue_lowres_scalef": 0.051033426,
    }
    size = hires_size(beside(tmp_path, scales))
    assert size is not None
    assert size.height == size.width == pytest.approx(0.7267575965 / 0.17011142)
    assert size.source == "file (Space Ranger scale factors, from a spot diameter of 65 um)"


def test_a_bin_of_visium_hd_is_no_spot(tmp_path: Path) -> None:
    scales = {"spot_diameter_fullres": 7.3, "bin_size_um": 2.0, "tissue_hires_scalef": 0.25}
    assert hires_size(beside(tmp_path, scales)) is None


@pytest.mark.parametrize(
    "name",
    ["aligned_fiducials.jpg", "cytassist_image.tiff", "slide.png", "detected_tissue_image.jpg"],
)
def test_other_images_have_no_size_here(tmp_path: Path, name: str) -> None:
    assert hires_size(beside(tmp_path, HD, name)) is None


def test_without_scale_factors_nothing_is_said(tmp_path: Path) -> None:
    assert hires_size(tmp_path / "tissue_hires_image.png") is None
    assert hires_size(tmp_path / "absent" / "tissue_hires_image.png") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "null",
        '{"microns_per_pixel": 0.25}',
        '{"microns_per_pixel": "0.25", "tissue_hires_scalef": 0.1}',
        '{"microns_per_pixel": 0.25, "tissue_hires_scalef": 0}',
        '{"microns_per_pixel": -1, "tissue_hires_scalef": 0.1}',
        '{"microns_per_pixel": NaN, "tissue_hires_scalef": 0.1}',
        '{"microns_per_pixel": true, "tissue_hires_scalef": 0.1}',
        '{"microns_per_pixel": 0.25, "tissue_hires_scalef": null}',
        '{"microns_per_pixel": 1e9, "tissue_hires_scalef": 1e-305}',
        '{"microns_per_pixel": ' + "9" * 400 + ', "tissue_hires_scalef": 0.1}',
        "[" * 100_000,
    ],
)
def test_damaged_scale_factors_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "scalefactors_json.json").write_text(text)
    assert hires_size(tmp_path / "tissue_hires_image.png") is None


def test_scale_factors_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "scalefactors_json.json").write_bytes(b"\xff\xfe\x00\x80")
    assert hires_size(tmp_path / "tissue_hires_image.png") is None
