"""Writers of small slides as the scanners write them, for what no library writes.

pyvips and Pillow write what they can. Aperio's JPEG 2000, Hamamatsu's NDPI and
Philips' TIFF are put together here from the published descriptions of the
formats: the compressed tiles come from Pillow and OpenJPEG, only the
directories around them are made by hand.
"""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pyvips
import tifffile
from numpy.typing import NDArray

from napari_prts.slide.levels import halve

Image = NDArray[np.uint8]

APERIO = (
    "Aperio Image Library v12.0.15\r\n{width}x{height} [0,0 {width}x{height}] (128x128) "
    "{coding}|AppMag = 40|MPP = 0.2520|Left = 25.6"
)


def smooth_picture(rows: int, columns: int) -> Image:
    """Make a picture without hard edges, which JPEG keeps to within a few grey values."""
    y, x = np.mgrid[:rows, :columns]
    waves = [np.sin(y / (19 + 6 * k) + k) * np.cos(x / (23 - 4 * k) - k) for k in range(3)]
    return np.asarray(150 + 80 * np.stack(waves, axis=-1), np.uint8)


def write_vips(
    path: Path, image: Image, description: str = "", dpcm: float = 0, **options: Any
) -> None:
    """Write a TIFF with libvips; ``dpcm`` are pixels per centimetre."""
    made = pyvips.Image.new_from_array(image, interpretation="srgb").copy()
    if description:
        made.set_type(pyvips.GValue.gstr_type, "image-description", description)
    if dpcm:
        options |= {"xres": dpcm / 10, "yres": dpcm / 10, "resunit": "cm"}
    made.tiffsave(str(path), **options)


def jpeg(image: Image, quality: int = 95, **options: Any) -> bytes:
    """Compress with Pillow, colours as fine as brightness."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0, **options)
    return buffer.getvalue()


def tiles(image: Image, size: int) -> Iterator[Image]:
    """Cut into full tiles, row by row, the last ones filled with white."""
    rows, columns = image.shape[:2]
    padding = ((0, -rows % size), (0, -columns % size), (0, 0))
    padded = np.pad(image, padding, constant_values=255)
    for top in range(0, rows, size):
        for left in range(0, columns, size):
            yield np.ascontiguousarray(padded[top : top + size, left : left + size])


def write_svs(
    path: Path,
    image: Image,
    compression: int = 33005,
    encoded: Sequence[bytes] | None = None,
    tile: int = 128,
    planes: int = 1,
) -> None:
    """Write an Aperio slide in Aperio's order: level 0, thumbnail, level 1, label, macro.

    The tiles are JPEG 2000 from OpenJPEG, without loss. 33005 holds RGB; 33003
    holds what ``encoded`` has. Focal planes are darker by 20 each.
    """
    half = halve(image)
    heights = range(planes)
    with tifffile.TiffWriter(path) as writer:
        for z in heights:
            _write_j2k(writer, image - np.uint8(20 * z), compression, tile, z, encoded)
        writer.write(picture_of("thumbnail"), photometric="rgb", description=_aperio(image, "- ;"))
        for z in heights:
            if encoded is None:
                _write_j2k(writer, half - np.uint8(20 * z), compression, tile, z)
        for name, kind in (("label", 1), ("macro", 9)):
            text = f"Aperio Image Library v12.0.15\r\n{name} 40x30"
            writer.write(
                picture_of(name),
                photometric="rgb",
                description=text,
                subfiletype=kind,
                metadata=None,
                compression="lzw",
            )


def picture_of(name: str) -> Image:
    """Make the picture of the label, the macro or the thumbnail: each of one colour."""
    colours = {"label": (250, 250, 40), "macro": (90, 160, 200), "thumbnail": (200, 90, 160)}
    return np.full((30, 40, 3), colours[name], np.uint8)


def _aperio(image: Image, coding: str) -> str:
    return APERIO.format(height=image.shape[0], width=image.shape[1], coding=coding)


def _write_j2k(
    writer: tifffile.TiffWriter,
    image: Image,
    compression: int,
    tile: int,
    z: int,
    encoded: Sequence[bytes] | None = None,
) -> None:
    data = encoded or [
        imagecodecs.jpeg2k_encode(part, level=0, codecformat="j2k", mct=True)
        for part in tiles(image, tile)
    ]
    writer.write(
        iter(data),
        shape=image.shape,
        dtype=np.uint8,
        tile=(tile, tile),
        photometric="rgb",
        compression=compression,
        description=_aperio(image, f"J2K/YUV16 Q=70|OffsetZ = {1.5 * z:.1f}"),
        metadata=None,
    )


@dataclass(frozen=True)
class NdpiPage:
    """One page of an NDPI file.

    Parameters
    ----------
    image : ndarray of uint8, shape (row, column, 3)
        Its pixels.
    magnification : float
        Of the lens; -1 for the macro picture, -2 for a map.
    height : int
        Of the focal plane, in nm.
    strip : int
        Columns of a restart interval; 0 for one JPEG without restart markers.
    resolution : float
        Pixels per centimetre.
    """

    image: Image
    magnification: float
    height: int = 0
    strip: int = 0
    resolution: float = 45_331.0
    extra: dict[int, tuple[str, Any]] = field(default_factory=dict)


def write_ndpi(path: Path, pages: Sequence[NdpiPage], start: int = 12) -> None:
    """Write a Hamamatsu NDPI: TIFF whose offsets have 64 bits where TIFF's have 32.

    Each page is one JPEG, from Pillow, as its only strip; tag 65426 says where
    each restart interval begins. The upper halves of all offsets follow the
    directory. From ``start`` = 4 GiB on the file is sparse.
    """
    with path.open("wb") as file:
        link = 4
        file.write(b"II*\0" + bytes(8))
        file.seek(start)
        for page in pages:
            data = jpeg(page.image, **_restarts(page.strip))
            at = file.tell()
            file.write(data)
            values = _ndpi_values(page, data, at)
            link = _write_ndpi_directory(file, values, link)
        file.seek(link)
        file.write(bytes(8))


def _restarts(strip: int) -> dict[str, int]:
    return {"restart_marker_blocks": strip // 8} if strip else {}


def _ndpi_values(page: NdpiPage, data: bytes, at: int) -> dict[int, tuple[str, Any]]:
    rows, columns = page.image.shape[:2]
    resolution = (round(page.resolution * 100), 100)
    values: dict[int, tuple[str, Any]] = {
        256: ("I", [columns]),
        257: ("I", [rows]),
        258: ("H", [8, 8, 8]),
        259: ("H", [7]),
        262: ("H", [6]),
        271: ("s", b"Hamamatsu\0"),
        272: ("s", b"C13210\0"),
        273: ("I", [at]),
        277: ("H", [3]),
        278: ("I", [rows]),
        279: ("I", [len(data)]),
        282: ("R", resolution),
        283: ("R", resolution),
        296: ("H", [3]),
        65420: ("I", [1]),
        65421: ("f", [page.magnification]),
        65422: ("i", [0]),
        65423: ("i", [0]),
        65424: ("i", [page.height]),
    }
    if page.strip:
        header = data.index(b"\xff\xda") + 2
        header += struct.unpack(">H", data[header : header + 2])[0]
        ends = [match.end() for match in re.finditer(rb"\xff[\xd0-\xd7]", data[header:])]
        values[65426] = ("I", [header, *(header + end for end in ends)])
    return values | page.extra


def _write_ndpi_directory(file: Any, values: dict[int, tuple[str, Any]], link: int) -> int:
    """Write one directory and its values; returns where the place of the next one is written."""
    kinds = {"s": 2, "H": 3, "I": 4, "R": 5, "i": 9, "f": 11}
    tags, high = b"", b""
    for code, (form, value) in sorted(values.items()):
        if form == "s":
            count, data = len(value), value
        elif form == "R":
            count, data = 1, struct.pack("<2I", *value)
        elif code == 273:
            count, data = 1, struct.pack("<Q", *value)
        else:
            count, data = len(value), struct.pack(f"<{len(value)}{form}", *value)
        if len(data) > 4 and code != 273:
            place = file.tell()
            file.write(data)
            data = struct.pack("<Q", place)
        data = data.ljust(8, b"\0")
        tags += struct.pack("<HHI", code, kinds[form], count) + data[:4]
        high += data[4:]
    place = file.tell()
    file.write(struct.pack("<H", len(values)) + tags)
    following = file.tell()
    file.write(bytes(8) + high)
    end = file.tell()
    file.seek(link)
    file.write(struct.pack("<Q", place))
    file.seek(end)
    return following


def write_philips(
    path: Path, levels: Sequence[Image], glass: int = -1, tile: int = 64, spacing: float = 0.00025
) -> None:
    """Write a Philips slide: levels padded to whole tiles, label and macro in the XML.

    Tile number ``glass`` of level 0 is left out. The JPEG tiles are Pillow's.
    """
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, image in enumerate(levels):
            padded = np.pad(
                image,
                ((0, -image.shape[0] % tile), (0, -image.shape[1] % tile), (0, 0)),
                constant_values=255,
            )
            data = [jpeg(part) for part in tiles(padded, tile)]
            if number == 0 and glass >= 0:
                data[glass] = b""
            writer.write(
                iter(data),
                shape=padded.shape,
                dtype=np.uint8,
                tile=(tile, tile),
                photometric="ycbcr",
                subsampling=(1, 1),
                compression="jpeg",
                software="Philips DP v1.0",
                description=_philips_xml(levels, spacing) if number == 0 else f"level={number}",
                metadata=None,
                subfiletype=0 if number == 0 else 1,
            )


def _philips_xml(levels: Sequence[Image], spacing: float) -> str:
    def attribute(name: str, value: str) -> str:
        return f'<Attribute Name="{name}" Group="0x301D" Element="0x1004">{value}</Attribute>'

    def scanned(kind: str, inside: str) -> str:
        kind = attribute("PIM_DP_IMAGE_TYPE", kind)
        return f'<DataObject ObjectType="DPScannedImage">{kind}{inside}</DataObject>'

    def spaced(number: int) -> str:
        size = f"{spacing * 2**number:.9f}"
        return attribute("DICOM_PIXEL_SPACING", f"&quot;{size}&quot; &quot;{size}&quot;")

    representations = "".join(
        '<DataObject ObjectType="PixelDataRepresentation">'
        + spaced(number)
        + attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", str(number))
        + "</DataObject>"
        for number in range(len(levels))
    )
    pictures = "".join(
        scanned(
            f"{name.upper()}IMAGE",
            attribute(
                "PIM_DP_IMAGE_DATA", base64.b64encode(jpeg(picture_of(name))).decode("ascii")
            ),
        )
        for name in ("label", "macro")
    )
    whole = scanned(
        "WSI",
        attribute("DICOM_MANUFACTURER", "PHILIPS")
        + spaced(0)
        + f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{representations}'
        "</Array></Attribute>",
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        + attribute("DICOM_MANUFACTURER", "PHILIPS")
        + f'<Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>{whole}{pictures}</Array></Attribute>'
        "</DataObject>"
    )


def write_bif(path: Path, image: Image, tile: int, overlap: tuple[int, int]) -> None:
    """Write a Ventana slide: tiles that overlap by so many rows and columns.

    The XML says for each pair of neighbours by how much; tiles are numbered
    from the bottom left, every other row from right to left.
    """
    advance = (tile - overlap[0], tile - overlap[1])
    rows, columns = (
        -(-(length - beyond) // step)
        for length, beyond, step in zip(image.shape, overlap, advance, strict=False)
    )
    cut = [
        np.ascontiguousarray(
            image[r * advance[0] : r * advance[0] + tile, c * advance[1] : c * advance[1] + tile]
        )
        for r in range(rows)
        for c in range(columns)
    ]
    scan = '<iScan Magnification="20" ScanRes="0.465" Z-layers="1"/>'
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(
            picture_of("macro"),
            photometric="rgb",
            description="Label Image",
            software="ScanOutputManager 1.1.0.15854",
            metadata=None,
            extratags=[(700, "B", len(scan), scan.encode(), True)],
        )
        stitch = _ventana_xml(rows, columns, tile, overlap)
        writer.write(
            iter([part.tobytes() for part in cut]),
            shape=(rows * tile, columns * tile, 3),
            dtype=np.uint8,
            tile=(tile, tile),
            photometric="rgb",
            description="level=0 mag=20 quality=90",
            metadata=None,
            extratags=[(700, "B", len(stitch), stitch.encode(), True)],
        )


def _ventana_xml(rows: int, columns: int, tile: int, overlap: tuple[int, int]) -> str:
    def number(row: int, column: int) -> int:
        up = rows - 1 - row
        return up * columns + (columns - 1 - column if up % 2 else column) + 1

    def joint(direction: str, first: int, second: int, y: int, x: int) -> str:
        return (
            f'<TileJointInfo FlagJoined="1" Confidence="98" Direction="{direction}" '
            f'Tile1="{first}" Tile2="{second}" OverlapX="{x}" OverlapY="{y}"/>'
        )

    joints = [
        joint("RIGHT", number(r, c), number(r, c + 1), 0, overlap[1])
        for r in range(rows)
        for c in range(columns - 1)
    ]
    joints += [
        joint("UP", number(r + 1, c), number(r, c), overlap[0], 0)
        for r in range(rows - 1)
        for c in range(columns)
    ]
    return (
        '<EncodeInfo Ver="2"><SlideStitchInfo>'
        f'<ImageInfo AOIScanned="1" Width="{tile}" Height="{tile}" NumRows="{rows}" '
        f'NumCols="{columns}" Pos-X="0" Pos-Y="0">{"".join(joints)}</ImageInfo>'
        '</SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )
