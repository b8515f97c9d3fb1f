"""Files of other writers: OME-Zarr by hand, OME-TIFF of libvips, JPEG, PNG and TIFF of two more.

What is stored without loss must come back pixel by pixel. What went through JPEG may differ from
the picture, on average over its pixels, by what JPEG loses on it: at quality 95 at most 1.5 levels
of 255, or 2 where colours are stored at half resolution (4:2:0); at quality 85, with colours at
half resolution, 2.5, and 5 in a lower level, whose detail is finer. From the pixels that Pillow
decodes from the same JPEG, no pixel may differ by more than 3: decoders round in their own way.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pyvips
from PIL import Image as PilImage

from napari_prts.errors import SlideError
from napari_prts.slide import open_slide
from napari_prts.slide.formats.ome_zarr import read_ome_zarr
from napari_prts.slide.levels import halve
from tests.slide.conftest import Image, picture

ROWS, COLUMNS, CHUNK = 300, 211, 64
Encode = Callable[[bytes], bytes]


def tissue(rows: int = ROWS, columns: int = COLUMNS) -> Image:
    """Make a picture as soft as a scan is, so that JPEG loses little."""
    return np.asarray(cv2.GaussianBlur(picture(rows, columns), (0, 0), 3), np.uint8)


def whole(path: Path) -> Image:
    slide = open_slide(path)
    return slide.read(0, 0, *slide.shape)


def mean_difference(found: Image, expected: Image) -> float:
    return float(np.abs(found.astype(int) - expected).mean())


# OME-Zarr, chunk by chunk.


def chunks_of(data: Image) -> dict[tuple[int, ...], bytes]:
    """Cut (channel, row, column) into chunks of 3 x 64 x 64, the last ones filled up."""
    padded = np.pad(data, [(0, 0)] + [(0, -length % CHUNK) for length in data.shape[1:]])
    steps = [range(length // CHUNK) for length in padded.shape[1:]]
    return {
        (0, row, column): padded[
            :, row * CHUNK : (row + 1) * CHUNK, column * CHUNK : (column + 1) * CHUNK
        ].tobytes()
        for row, column in itertools.product(*steps)
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def multiscales(names: list[str], **more: Any) -> list[dict[str, Any]]:
    """Describe levels by name, ``"full"`` 0.5 um and every other twice that."""
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = []
    for name in names:
        size = 0.5 if name == "full" else 1.0
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, size, size]}]
        if name != "full":
            # The middle of a lower level's first pixel is not that of level 0's.
            transforms.append({"type": "translation", "translation": [0.0, 0.25, 0.25]})
        datasets.append({"path": name, "coordinateTransformations": transforms})
    return [{"axes": axes, "datasets": datasets, **more}]


def write_0_4(
    path: Path,
    levels: dict[str, Image],
    separator: str = "/",
    compressor: dict[str, Any] | None = None,
    encode: Encode = bytes,
    **attributes: Any,
) -> None:
    write_json(path / ".zgroup", {"zarr_format": 2})
    described = multiscales(list(levels), version="0.4")
    write_json(path / ".zattrs", {"multiscales": described, **attributes})
    for name, image in levels.items():
        data = image.transpose(2, 0, 1)
        array = {
            "zarr_format": 2,
            "shape": data.shape,
            "chunks": [data.shape[0], CHUNK, CHUNK],
            "dtype": "|u1",
            "compressor": compressor,
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": separator,
        }
        write_json(path / name / ".zarray", array)
        for place, chunk in chunks_of(data).items():
            write_bytes(path / name / separator.join(map(str, place)), encode(chunk))


def write_0_5(
    path: Path,
    levels: dict[str, Image],
    chunk: list[int],
    codecs: list[dict[str, Any]],
    files: Callable[[Image], dict[tuple[int, ...], bytes]],
    **attributes: Any,
) -> None:
    described = {"version": "0.5", "multiscales": multiscales(list(levels)), **attributes}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": described}}
    write_json(path / "zarr.json", group)
    for name, image in levels.items():
        data = image.transpose(2, 0, 1)
        array = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": data.shape,
            "data_type": "uint8",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": codecs,
            "attributes": {},
        }
        write_json(path / name / "zarr.json", array)
        for place, content in files(data).items():
            write_bytes(path.joinpath(name, "c", *map(str, place)), content)


def gzipped(data: bytes) -> bytes:
    coder = zlib.compressobj(1, zlib.DEFLATED, 31)
    return coder.compress(data) + coder.flush()


def one_shard(data: Image, index_first: bool) -> dict[tuple[int, ...], bytes]:
    """Put all chunks into one file, with an index of where each one is (zarr 3, sharding)."""
    chunks = chunks_of(data)
    rows, columns = (1 + max(place[axis] for place in chunks) for axis in (1, 2))
    body = b""
    # The shard has places for 8 x 8 chunks; those outside the array are absent: all ones.
    index = np.full((1, 8, 8, 2), 2**64 - 1, "<u8")
    start = index.nbytes if index_first else 0
    for row, column in itertools.product(range(rows), range(columns)):
        content = gzipped(chunks[0, row, column])
        index[0, row, column] = start + len(body), len(content)
        body += content
    parts = [index.tobytes(), body] if index_first else [body, index.tobytes()]
    return {(0, 0, 0): b"".join(parts)}


def check_ome_zarr(path: Path) -> None:
    image = picture(ROWS, COLUMNS)
    slide = open_slide(path)
    assert (slide.format, slide.mpp, slide.mpp_source) == ("ome-zarr", 0.5, "file (OME)")
    assert slide.downsamples == (1.0, 2.0)
    np.testing.assert_array_equal(slide.read(0, 0, ROWS, COLUMNS), image)
    np.testing.assert_array_equal(slide.levels[1].compute(), halve(image))


def two_levels(names: tuple[str, str] = ("full", "half")) -> dict[str, Image]:
    image = picture(ROWS, COLUMNS)
    images = {"full": image, "half": halve(image)}
    return {name: images[name] for name in names}


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize(
    ("compressor", "encode"), [(None, bytes), ({"id": "zlib", "level": 1}, zlib.compress)]
)
def test_ome_zarr_0_4(
    tmp_path: Path, separator: str, compressor: dict[str, Any] | None, encode: Encode
) -> None:
    write_0_4(tmp_path, two_levels(), separator, compressor, encode)
    check_ome_zarr(tmp_path)


@pytest.mark.parametrize("codec", ["bytes", "gzip"])
def test_ome_zarr_0_5(tmp_path: Path, codec: str) -> None:
    codecs: list[dict[str, Any]] = [{"name": "bytes"}]
    encode: Encode = bytes
    if codec == "gzip":
        codecs.append({"name": "gzip", "configuration": {"level": 1}})
        encode = gzipped

    def files(data: Image) -> dict[tuple[int, ...], bytes]:
        return {place: encode(chunk) for place, chunk in chunks_of(data).items()}

    write_0_5(tmp_path, two_levels(), [3, CHUNK, CHUNK], codecs, files)
    check_ome_zarr(tmp_path)


@pytest.mark.parametrize("index_first", [False, True])
def test_ome_zarr_0_5_in_shards(tmp_path: Path, index_first: bool) -> None:
    sharding = {
        "chunk_shape": [3, CHUNK, CHUNK],
        "codecs": [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_location": "start" if index_first else "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    write_0_5(
        tmp_path,
        two_levels(),
        [3, 8 * CHUNK, 8 * CHUNK],
        codecs,
        lambda data: one_shard(data, index_first),
    )
    check_ome_zarr(tmp_path)
    # A small region decodes a chunk, not the shard.
    assert read_ome_zarr(tmp_path).levels[0].chunk == (CHUNK, CHUNK)


def test_levels_of_any_order(tmp_path: Path) -> None:
    write_0_4(tmp_path, two_levels(("half", "full")))
    check_ome_zarr(tmp_path)


def test_the_version_may_be_left_out_of_0_4(tmp_path: Path) -> None:
    write_0_4(tmp_path, two_levels())
    described = json.loads((tmp_path / ".zattrs").read_text())
    del described["multiscales"][0]["version"]
    write_json(tmp_path / ".zattrs", described)
    check_ome_zarr(tmp_path)


def test_labels_beside_the_image_are_ignored(tmp_path: Path) -> None:
    write_0_4(tmp_path, two_levels())
    before = open_slide(tmp_path).fingerprint
    write_json(tmp_path / "labels" / ".zgroup", {"zarr_format": 2})
    write_json(tmp_path / "labels" / ".zattrs", {"labels": ["nuclei"]})
    nuclei = tmp_path / "labels" / "nuclei"
    write_0_4(nuclei, {"full": picture(ROWS, COLUMNS)[..., :1]}, **{"image-label": {}})
    check_ome_zarr(tmp_path)
    assert open_slide(tmp_path).fingerprint == before
    with pytest.raises(SlideError, match="holds labels of an OME-Zarr image"):
        open_slide(nuclei)


def named(*names: str, colours: tuple[str, ...] = ("FF0000", "00FF00", "0000FF")) -> dict[str, Any]:
    channels = [
        {"label": name, "color": colour} for name, colour in zip(names, colours, strict=True)
    ]
    return {"omero": {"channels": channels}}


def test_channels_in_red_green_and_blue(tmp_path: Path) -> None:
    write_0_4(tmp_path / "a", two_levels(), **named("Red", "Green", "Blue"))
    check_ome_zarr(tmp_path / "a")
    write_0_4(tmp_path / "b", two_levels(), **named("0", "1", "2", colours=("ffffff",) * 3))
    check_ome_zarr(tmp_path / "b")
    write_0_4(tmp_path / "c", two_levels(), omero={"channels": None})
    check_ome_zarr(tmp_path / "c")


@pytest.mark.parametrize(
    ("channels", "omero", "said"),
    [
        (3, named("0", "1", "2", colours=("0000FF", "00FF00", "FF0000")), "shown in 0000FF"),
        (3, named("DAPI", "FITC", "Cy3"), "a channel named DAPI"),
        (7, {}, "7 channels, as in fluorescence"),
        (2, {}, "2 channels, as in fluorescence"),
        (1, {}, "greyscale"),
    ],
)
def test_fluorescence_is_refused(
    tmp_path: Path, channels: int, omero: dict[str, Any], said: str
) -> None:
    image = np.tile(picture(ROWS, COLUMNS), 3)[..., :channels]
    write_0_4(tmp_path, {"full": image}, **omero)
    with pytest.raises(SlideError, match=rf"{said}.*8-bit RGB"):
        open_slide(tmp_path)


def test_of_several_images_the_first_is_opened(tmp_path: Path) -> None:
    write_json(tmp_path / ".zgroup", {"zarr_format": 2})
    write_json(tmp_path / ".zattrs", {"bioformats2raw.layout": 3})
    write_0_4(tmp_path / "0", two_levels())
    write_0_4(tmp_path / "1", {"full": picture(90, 80, seed=1)})
    check_ome_zarr(tmp_path)
    assert read_ome_zarr(tmp_path).remarks == ("The OME-Zarr holds 2 images; the first is opened.",)


@pytest.mark.parametrize(
    "transforms", [[{"type": "scale"}], [{"type": "scale", "scale": ["a", 1, 1]}], ["scale"], 7]
)
def test_a_scale_that_is_none_is_damage(tmp_path: Path, transforms: Any) -> None:
    write_0_4(tmp_path, two_levels())
    described = json.loads((tmp_path / ".zattrs").read_text())
    described["multiscales"][0]["datasets"][0]["coordinateTransformations"] = transforms
    write_json(tmp_path / ".zattrs", described)
    with pytest.raises(SlideError, match="do not state its scale properly"):
        open_slide(tmp_path)


# OME-TIFF of libvips.

OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
 <Image ID="Image:0">
  <Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="3" SizeT="1" SizeX="{columns}" SizeY="{rows}"
   SizeZ="1" Type="uint8" PhysicalSizeX="0.25" PhysicalSizeXUnit="µm" PhysicalSizeY="0.25"
   PhysicalSizeYUnit="µm">
   <Channel ID="Channel:0:0" SamplesPerPixel="3"/>
   <TiffData IFD="0" PlaneCount="1"/>
  </Pixels>
 </Image>
</OME>"""


def write_ome_tiff(path: Path, image: Image, **options: Any) -> None:
    source = pyvips.Image.new_from_array(image).copy(interpretation="srgb")
    xml = OME.format(rows=image.shape[0], columns=image.shape[1])
    source.set_type(pyvips.GValue.gstr_type, "image-description", xml)
    source.tiffsave(
        str(path),
        tile=True,
        tile_width=128,
        tile_height=128,
        pyramid=True,
        subifd=True,
        **options,
    )


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw"])
def test_ome_tiff_of_libvips(tmp_path: Path, compression: str) -> None:
    image = picture(600, 422)
    write_ome_tiff(tmp_path / "a.tif", image, compression=compression)
    slide = open_slide(tmp_path / "a.tif")
    assert (slide.format, slide.mpp, slide.mpp_source) == ("ome-tiff", 0.25, "file (OME)")
    np.testing.assert_array_equal(slide.read(0, 0, 600, 422), image)
    # The lower levels are libvips' own, which rounds in its own way.
    assert slide.downsamples[:2] == (1.0, 2.0)
    half = slide.levels[1].compute()
    assert half.shape == (300, 211, 3)
    assert np.abs(half.astype(int) - halve(image)).max() <= 1


@pytest.mark.parametrize(("quality", "full", "half"), [(95, 1.5, 1.5), (85, 2.5, 5.0)])
def test_ome_tiff_of_libvips_in_jpeg(
    tmp_path: Path, quality: int, full: float, half: float
) -> None:
    # Below 90, libvips stores colours at half resolution.
    image = tissue(600, 422)
    write_ome_tiff(tmp_path / "a.tif", image, compression="jpeg", Q=quality)
    slide = open_slide(tmp_path / "a.tif")
    assert (slide.format, slide.downsamples[:2]) == ("ome-tiff", (1.0, 2.0))
    assert mean_difference(slide.read(0, 0, 600, 422), image) <= full
    assert mean_difference(slide.levels[1].compute(), halve(image)) <= half


# JPEG and PNG.


@pytest.mark.parametrize(("subsampling", "tolerance"), [("4:4:4", 1.5), ("4:2:0", 2.0)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("writer", ["Pillow", "libvips"])
def test_jpeg(
    tmp_path: Path, writer: str, progressive: bool, subsampling: str, tolerance: float
) -> None:
    image, path = tissue(), tmp_path / "a.jpg"
    if writer == "Pillow":
        PilImage.fromarray(image).save(
            path, quality=95, subsampling=subsampling, progressive=progressive
        )
    else:
        pyvips.Image.new_from_array(image).jpegsave(
            str(path),
            Q=95,
            subsample_mode="off" if subsampling == "4:4:4" else "on",
            interlace=progressive,
        )
    found = whole(path)
    assert open_slide(path).format == "jpeg"
    assert mean_difference(found, image) <= tolerance
    decoded = np.asarray(PilImage.open(path))
    assert np.abs(found.astype(int) - decoded).max() <= 3


def test_greyscale_and_printing_jpegs_are_refused(tmp_path: Path) -> None:
    PilImage.fromarray(tissue()).convert("L").save(tmp_path / "grey.jpg")
    PilImage.fromarray(tissue()).convert("CMYK").save(tmp_path / "ink.jpg")
    with pytest.raises(SlideError, match="greyscale"):
        open_slide(tmp_path / "grey.jpg")
    with pytest.raises(SlideError, match="CMYK"):
        open_slide(tmp_path / "ink.jpg")


@pytest.mark.parametrize("interlace", [False, True])
@pytest.mark.parametrize("samples", [3, 4])
def test_png_of_libvips(tmp_path: Path, samples: int, interlace: bool) -> None:
    image = picture(ROWS, COLUMNS)
    opaque = np.full((ROWS, COLUMNS, 1), 255, np.uint8)
    stored = image if samples == 3 else np.concatenate([image, opaque], axis=2)
    pyvips.Image.new_from_array(stored).pngsave(str(tmp_path / "a.png"), interlace=interlace)
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), image)


def test_png_of_pillow(tmp_path: Path) -> None:
    image = picture(ROWS, COLUMNS)
    PilImage.fromarray(image).save(tmp_path / "a.png", optimize=True)
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), image)
    # Half transparent black on white glass.
    clear = PilImage.new("RGBA", (40, 30), (0, 0, 0, 128))
    clear.save(tmp_path / "b.png")
    assert (whole(tmp_path / "b.png") == 127).all()


@pytest.mark.parametrize("colours", [2, 16, 256])
def test_png_with_a_palette(tmp_path: Path, colours: int) -> None:
    # 1, 4 and 8 bits a pixel.
    few = PilImage.fromarray(tissue()).quantize(colours)
    few.save(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), np.asarray(few.convert("RGB")))


@pytest.mark.parametrize("bits", [4, 8])
def test_png_with_a_palette_of_libvips(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.png"
    pyvips.Image.new_from_array(tissue()).pngsave(str(path), palette=True, bitdepth=bits)
    np.testing.assert_array_equal(whole(path), np.asarray(PilImage.open(path).convert("RGB")))


def test_png_with_a_transparent_colour(tmp_path: Path) -> None:
    few = PilImage.new("P", (40, 30), 1)
    few.putpalette([200, 10, 10, 0, 0, 0])
    few.paste(0, (0, 0, 40, 10))
    few.save(tmp_path / "a.png", transparency=1)
    found = whole(tmp_path / "a.png")
    assert found[0, 0].tolist() == [200, 10, 10]
    assert found[29, 0].tolist() == [255, 255, 255]


# TIFF of Pillow, in strips.


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_of_pillow(tmp_path: Path, compression: str | None) -> None:
    image = picture(ROWS, COLUMNS)
    PilImage.fromarray(image).save(tmp_path / "a.tif", compression=compression, dpi=(300, 300))
    slide = open_slide(tmp_path / "a.tif")
    # 300 dots per inch are a print size.
    assert (slide.format, slide.mpp) == ("tiff", None)
    np.testing.assert_array_equal(slide.read(0, 0, ROWS, COLUMNS), image)


def test_tiff_of_pillow_in_jpeg(tmp_path: Path) -> None:
    image = tissue()
    PilImage.fromarray(image).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    assert mean_difference(whole(tmp_path / "a.tif"), image) <= 1.5
