"""TIFF, BigTIFF and OME-TIFF from pyvips and Pillow come back pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import pyvips
import tifffile

from napari_prts.slide.formats.tiff import read_tiff
from tests.slide.comparing import error, seen_by_openslide, shapes, whole
from tests.slide.conftest import picture
from tests.slide.scanner_files import (
    picture_of,
    smooth_picture,
    write_vips,
)


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits", "webp"])
@pytest.mark.parametrize("tile", [True, False])
@pytest.mark.parametrize("bigtiff", [True, False])
def test_tiff_from_vips(tmp_path: Path, compression: str, tile: bool, bigtiff: bool) -> None:
    image, path = picture(301, 211), tmp_path / ("a.btf" if bigtiff else "a.tif")
    options: dict[str, Any] = {"lossless": True} if compression == "webp" else {}
    if compression in ("deflate", "lzw"):
        options["predictor"] = "horizontal"
    write_vips(
        path, image, dpcm=36_470, compression=compression, tile=tile, bigtiff=bigtiff, **options
    )
    file = read_tiff(path)
    assert file.format == "tiff"
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    assert file.stated is not None
    assert file.stated.height == pytest.approx(0.2742, abs=1e-4)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_in_strips_from_pillow(tmp_path: Path, compression: str) -> None:
    image, path = picture(301, 211), tmp_path / "a.tif"
    PIL.Image.fromarray(image).save(path, compression=compression, dpi=(300, 300))
    file = read_tiff(path)
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    assert file.stated is None


@pytest.mark.parametrize("subifd", [True, False])
@pytest.mark.parametrize("shape", [(700, 900), (701, 903)])
def test_pyramids_from_vips(tmp_path: Path, subifd: bool, shape: tuple[int, int]) -> None:
    image, path = picture(*shape), tmp_path / "a.tif"
    options: dict[str, Any] = {"tile_width": 128, "tile_height": 128}
    write_vips(
        path, image, compression="deflate", tile=True, pyramid=True, subifd=subifd, **options
    )
    file = read_tiff(path)
    assert shapes(file) == [shape, (350, shape[1] // 2), (175, 225), (87, 112)]
    for level, pixels in enumerate(file.levels):
        place = {"subifd": level - 1} if subifd and level else {}
        page = {} if subifd else {"page": level}
        loaded = pyvips.Image.tiffload(str(path), **place, **page)
        np.testing.assert_array_equal(whole(pixels), loaded.numpy())


def test_jpeg_tiles_from_vips(tmp_path: Path) -> None:
    image, path = smooth_picture(500, 400), tmp_path / "a.tif"
    write_vips(path, image, compression="jpeg", Q=90, tile=True)
    assert error(whole(read_tiff(path).levels[0]), image) <= 12
    assert error(whole(read_tiff(path).levels[0]), seen_by_openslide(path)) <= 1


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0" Name="slide"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
    'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1" Interleaved="true" '
    'PhysicalSizeX="0.25" PhysicalSizeY="0.25"><Channel ID="Channel:0" SamplesPerPixel="3"/>'
    '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
)


def test_ome_tiff_with_levels_in_sub_directories_from_vips(tmp_path: Path) -> None:
    image, path = picture(700, 900), tmp_path / "a.ome.tif"
    options: dict[str, Any] = {"tile_width": 128, "tile_height": 128, "bigtiff": True}
    text = OME.format(width=900, height=700)
    write_vips(
        path, image, text, compression="deflate", tile=True, pyramid=True, subifd=True, **options
    )
    file = read_tiff(path)
    assert file.format == "ome-tiff"
    assert shapes(file) == [(700, 900), (350, 450), (175, 225), (87, 112)]
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    loaded = pyvips.Image.tiffload(str(path), subifd=1).numpy()
    np.testing.assert_array_equal(whole(file.levels[2]), loaded)
    assert file.stated is not None
    assert (file.stated.height, file.stated.source) == (0.25, "file (OME)")


def test_pictures_in_an_ome_tiff_by_their_names(tmp_path: Path) -> None:
    """Written by tifffile: pyvips writes one image a file."""
    image, path = picture(400, 300), tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, pixels in (
            ("Label Image", picture_of("label")),
            ("slide", image),
            ("macro image", picture_of("macro")),
        ):
            writer.write(pixels, photometric="rgb", metadata={"axes": "YXS", "Name": name})
    file = read_tiff(path)
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    assert list(file.associated) == ["label", "macro"]
    for name, read in file.associated.items():
        np.testing.assert_array_equal(read(), picture_of(name))
