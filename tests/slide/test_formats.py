"""Every format opens lazily, as the same pixels, by its content and not its name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_prts.slide import open_slide, slide_info
from napari_prts.slide.colours import Coding
from napari_prts.slide.formats.tiff_tiles import TiffTiles
from napari_prts.slide.levels import halve
from tests.slide.conftest import Image, picture, write_pyramid


def pixels_of(path: Path) -> Image:
    slide = open_slide(path)
    return slide.read(0, 0, *slide.shape)


def test_the_embedded_aperio_slide(demo_slide_path: Path) -> None:
    slide = open_slide(demo_slide_path)
    assert (slide.format, slide.shape) == ("aperio-svs", (2967, 2220))
    assert (slide.mpp, slide.mpp_source) == (0.499, "file (Aperio MPP)")
    assert slide.downsamples == (1.0, 2.0, 4.0)
    np.testing.assert_array_equal(
        slide.read(1000, 700, 300, 200),
        tifffile.imread(demo_slide_path)[1000:1300, 700:900],
    )
    assert slide_info(slide) == {
        "path": str(demo_slide_path),
        "format": "aperio-svs",
        "levels": [[2967, 2220], [1484, 1110], [742, 555]],
        "dtype": "uint8",
        "mpp": 0.499,
        "mpp_source": "file (Aperio MPP)",
        "fingerprint": slide.fingerprint,
        "associated": ["label", "macro", "thumbnail"],
        "remarks": [],
        "broken": [],
    }


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"tile": (128, 128), "compression": "zlib"}, id="tiled"),
        pytest.param({"tile": (240, 240), "compression": "lzw"}, id="tiled, odd tiles"),
        pytest.param({"rowsperstrip": 16, "compression": "zlib"}, id="stripped"),
        pytest.param({"compression": "zlib"}, id="one strip"),
        pytest.param({}, id="uncompressed"),
        pytest.param({"tile": (128, 128)}, id="uncompressed tiles"),
        pytest.param({"tile": (64, 64), "planarconfig": "separate"}, id="planes apart"),
        pytest.param({"byteorder": ">", "rowsperstrip": 50}, id="big-endian"),
        pytest.param({"bigtiff": True, "tile": (128, 128)}, id="BigTIFF"),
        pytest.param({"predictor": True, "compression": "zlib"}, id="predictor"),
    ],
)
def test_tiffs_of_all_layouts(tmp_path: Path, options: dict[str, Any]) -> None:
    image = picture(301, 417)
    options = dict(options)
    stored = image.transpose(2, 0, 1) if options.get("planarconfig") else image
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **options)
    slide = open_slide(tmp_path / "a.tif")
    assert slide.format == "tiff"
    np.testing.assert_array_equal(slide.read(0, 0, 301, 417), image)
    np.testing.assert_array_equal(slide.read(130, 120, 9, 250), image[130:139, 120:370])


sides = st.integers(1, 150)
tile_sides = st.integers(1, 7).map(lambda count: 16 * count)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Ways to write a TIFF: tiles or strips, packed or not, colours together or apart."""
    options: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries({"tile": st.tuples(tile_sides, tile_sides)}),
            st.fixed_dictionaries({"rowsperstrip": st.integers(1, 160)}),
        )
    )
    options["compression"] = draw(
        st.sampled_from([None, "zlib", "lzw", "packbits", "zstd", "jpeg", "webp", "png", "lerc"])
    )
    if options["compression"] in ("zlib", "lzw", "zstd"):
        options["predictor"] = draw(st.booleans())
    if options["compression"] not in ("webp", "png"):
        options["planarconfig"] = draw(st.sampled_from(["contig", "separate"]))
    options["byteorder"] = draw(st.sampled_from("<>"))
    options["bigtiff"] = draw(st.booleans())
    return options


@st.composite
def within(draw: st.DrawFn, rows: int, columns: int) -> tuple[int, int, int, int]:
    top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    return top, left, draw(st.integers(top + 1, rows)), draw(st.integers(left + 1, columns))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=sides, columns=sides, options=layouts(), data=st.data())
def test_tiles_and_strips_are_as_tifffile_reads_them(
    tmp_path: Path, rows: int, columns: int, options: dict[str, Any], data: st.DataObject
) -> None:
    image, path = picture(rows, columns), tmp_path / "a.tif"
    apart = options.get("planarconfig") == "separate"
    stored = image.transpose(2, 0, 1) if apart else image
    tifffile.imwrite(path, stored, photometric="rgb", **options)
    expected = tifffile.imread(path)
    expected = expected.transpose(1, 2, 0) if apart else expected
    with tifffile.TiffFile(path) as file:
        tiles = TiffTiles(file.pages.first, path, Coding.RGB)
    assert tiles.shape == (rows, columns)
    np.testing.assert_array_equal(tiles.read(0, 0, rows, columns), expected)
    top, left, bottom, right = data.draw(within(rows, columns))
    np.testing.assert_array_equal(
        tiles.read(top, left, bottom, right), expected[top:bottom, left:right]
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=sides,
    columns=sides,
    side=st.tuples(tile_sides, tile_sides),
    compression=st.sampled_from([None, "zlib", "jpeg"]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_tiles_that_the_scanner_left_out_are_glass(
    tmp_path: Path,
    rows: int,
    columns: int,
    side: tuple[int, int],
    compression: str | None,
    seed: int,
    data: st.DataObject,
) -> None:
    image, path = picture(rows, columns), tmp_path / "a.tif"
    rng = np.random.default_rng(seed)
    missing = np.zeros((rows, columns), bool)

    def tiles() -> Iterator[Image | None]:
        for r in range(0, rows, side[0]):
            for c in range(0, columns, side[1]):
                part = slice(r, r + side[0]), slice(c, c + side[1])
                # tifffile wants to see a tile first.
                if r + c > 0 and rng.integers(3) == 0:
                    missing[part] = True
                    yield None
                else:
                    tile = np.zeros((*side, 3), np.uint8)
                    found = image[part]
                    tile[: found.shape[0], : found.shape[1]] = found
                    yield tile

    tifffile.imwrite(
        path,
        tiles(),
        shape=image.shape,
        dtype=np.uint8,
        tile=side,
        photometric="rgb",
        compression=compression,
    )
    expected = tifffile.imread(path)
    expected[missing] = 255
    top, left, bottom, right = data.draw(within(rows, columns))
    found = open_slide(path).read(top, left, bottom - top, right - left)
    np.testing.assert_array_equal(found, expected[top:bottom, left:right])


def test_files_are_read_at_a_place_on_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, path = picture(700, 600), tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib")
    # As on Windows, where threads share one position in the file.
    monkeypatch.delattr("os.pread", raising=False)
    with tifffile.TiffFile(path) as file:
        tiles = TiffTiles(file.pages.first, path, Coding.RGB)
    rng = np.random.default_rng(0)

    def read(corner: list[int]) -> bool:
        row, column = corner
        found = tiles.read(row, column, row + 90, column + 90)
        return bool((found == image[row : row + 90, column : column + 90]).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, rng.integers(0, 500, (60, 2)).tolist()))


@pytest.mark.parametrize("subifds", [True, False])
def test_tiffs_with_a_pyramid_of_their_own(tmp_path: Path, subifds: bool) -> None:
    image = picture(1500, 1203)
    write_pyramid(tmp_path / "a.tif", image, levels=3, subifds=subifds)
    slide = open_slide(tmp_path / "a.tif")
    assert slide.downsamples == (1.0, 2.0, 4.0)
    np.testing.assert_array_equal(slide.levels[2].compute(), halve(halve(image)))


@pytest.mark.parametrize("axes", ["YXS", "CYX"])
def test_ome_tiff(tmp_path: Path, axes: str) -> None:
    image = picture(300, 200)
    stored = image if axes == "YXS" else image.transpose(2, 0, 1)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stored,
        photometric="rgb" if axes == "YXS" else "minisblack",
        tile=(64, 64),
        metadata={
            "axes": axes,
            "PhysicalSizeX": 0.25,
            "PhysicalSizeY": 0.25,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
        },
    )
    slide = open_slide(tmp_path / "a.ome.tif")
    assert (slide.format, slide.mpp, slide.mpp_source) == ("ome-tiff", 0.25, "file (OME)")
    np.testing.assert_array_equal(slide.read(0, 0, 300, 200), image)


def test_the_largest_picture_in_a_tiff_is_the_slide(tmp_path: Path) -> None:
    image = picture(300, 200)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(picture(30, 77, seed=1), photometric="rgb", metadata=None)
        writer.write(image, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), image)


def test_aperio_jpeg_2000_in_ycbcr(tmp_path: Path) -> None:
    import cv2

    image = halve(halve(picture(512, 512)))
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    path = tmp_path / "a.svs"
    tifffile.imwrite(
        path,
        np.ascontiguousarray(stored),
        photometric="rgb",
        tile=(128, 128),
        compression="jpeg2000",
        compressionargs={"reversible": True, "mct": False},
        description="Aperio Image Library v11\n128x128 (128x128) J2K/YUV16|MPP = 0.25",
        metadata=None,
    )
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(33003)
    difference = pixels_of(path).astype(int) - image
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".svs"])
def test_jpeg_and_png_by_content(tmp_path: Path, suffix: str) -> None:
    image = picture(300, 200)
    (tmp_path / f"a{suffix}").write_bytes(imagecodecs.png_encode(image))
    slide = open_slide(tmp_path / f"a{suffix}")
    assert (slide.format, slide.mpp, slide.mpp_source) == ("png", None, "unknown")
    np.testing.assert_array_equal(slide.read(0, 0, 300, 200), image)

    jpeg = imagecodecs.jpeg_encode(image, level=90)
    (tmp_path / f"b{suffix}").write_bytes(jpeg)
    assert open_slide(tmp_path / f"b{suffix}").format == "jpeg"
    np.testing.assert_array_equal(pixels_of(tmp_path / f"b{suffix}"), imagecodecs.jpeg_decode(jpeg))


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    image = np.zeros((40, 40, 4), np.uint8)
    image[..., 0] = 200
    image[:20, :, 3] = 255
    image[20:30, :, 3] = 51
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    found = pixels_of(tmp_path / "a.png")
    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[25, 0].tolist() == [244, 204, 204]
    assert found[35, 0].tolist() == [255, 255, 255]

    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), found)
    image[35, :, :3] = 0
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="rgb", extrasamples=["assocalpha"])
    assert pixels_of(tmp_path / "b.tif")[35, 0].tolist() == [255, 255, 255]
    # A fourth sample of no stated meaning is no opacity.
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(pixels_of(tmp_path / "c.tif"), image[..., :3])


def write_ome_zarr(path: Path, image: Image, version: str, axes: str = "cyx", **scale: Any) -> None:
    """Write two levels; ``scale`` may hold ``size`` and ``unit``."""
    order = ["yxc".index(axis) for axis in axes if axis in "yxc"]
    kinds = {"c": "channel", "z": "space", "y": "space", "x": "space", "t": "time"}
    unit = {"unit": scale.get("unit", "micrometer")}

    def shrink(pixels: Image) -> Image:
        return halve(pixels) if pixels.ndim == 3 else pixels[::2, ::2]

    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level, pixels in enumerate([image, shrink(image)]):
        data = pixels.transpose(order)
        for position, axis in enumerate(axes):
            if axis in "zt":
                data = np.expand_dims(data, position)
        chunks = tuple(min(64, length) if length > 4 else 1 for length in data.shape)
        array = group.create_array(str(level), shape=data.shape, chunks=chunks, dtype="uint8")
        array[...] = data
        size = scale.get("size", 0.5) * 2**level
        factors = [size if axis in "yx" else 1.0 for axis in axes]
        transform = {"type": "scale", "scale": factors}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    multiscale = {
        "axes": [
            {"name": axis, "type": kinds[axis], **(unit if axis in "yx" else {})} for axis in axes
        ],
        "datasets": datasets,
    }
    if version == "0.4":
        group.attrs["multiscales"] = [{**multiscale, "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["cyx", "yxc", "tczyx"])
def test_ome_zarr(tmp_path: Path, version: str, axes: str) -> None:
    image = picture(300, 211)
    write_ome_zarr(tmp_path / "a.zarr", image, version, axes)
    slide = open_slide(tmp_path / "a.zarr")
    assert (slide.format, slide.mpp, slide.mpp_source) == ("ome-zarr", 0.5, "file (OME)")
    assert slide.downsamples == (1.0, 2.0)
    np.testing.assert_array_equal(slide.read(0, 0, 300, 211), image)
    np.testing.assert_array_equal(slide.levels[1].compute(), halve(image))


def test_ome_zarr_from_bioformats2raw(tmp_path: Path) -> None:
    image = picture(120, 110)
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(tmp_path / "a.zarr" / "0", image, "0.4", "tczyx", unit="nanometer", size=250)
    slide = open_slide(tmp_path / "a.zarr")
    assert slide.mpp == pytest.approx(0.25)
    np.testing.assert_array_equal(slide.read(0, 0, 120, 110), image)
