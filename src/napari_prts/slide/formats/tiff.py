"""TIFF of every maker: Aperio, Hamamatsu, Philips, OME-TIFF, BigTIFF, through tifffile."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.colours import Coding
from napari_prts.slide.formats.openslide_reader import read_openslide
from napari_prts.slide.formats.slide_file import (
    SlideFile,
    check_dtype,
    check_samples,
    damaged,
    refused,
)
from napari_prts.slide.formats.tiff_associated import associated_pictures
from napari_prts.slide.formats.tiff_jpeg2000 import mend_decoder
from napari_prts.slide.formats.tiff_pixel_size import stated_size
from napari_prts.slide.formats.tiff_series import main_picture
from napari_prts.slide.formats.tiff_tiles import MISSING, TiffTiles
from napari_prts.slide.formats.tiff_whole import check_whole
from napari_prts.slide.pixels import ArrayPixels, Pixels

# tifffile reports damage to its log and carries on; here damage is an error of its own.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_PHOTOMETRIC = {
    0: "greyscale",
    1: "greyscale",
    3: "in indexed colours (a palette)",
    4: "a transparency mask",
    5: "CMYK (printing inks)",
    8: "in CIE L*a*b* colours",
    9: "in ICC L*a*b* colours",
    10: "in ITU L*a*b* colours",
    32803: "raw sensor data",
    32844: "in LogLuv colours",
    32845: "in LogLuv colours",
}
_FORMATS = {
    "is_svs": "aperio-svs",
    "is_ndpi": "hamamatsu-ndpi",
    "is_philips": "philips-tiff",
    "is_ome": "ome-tiff",
}
# Version of the file; every Hamamatsu NDPI has it.
_NDPI_TAG = 65420


def read_tiff(path: Path) -> SlideFile:
    """Open a TIFF of any kind.

    Aperio SVS, Hamamatsu NDPI, Philips TIFF, OME-TIFF, and TIFF or BigTIFF in
    tiles or strips; of others than the scanners' own, the largest picture is
    the slide. Ventana, Leica and Trestle go on to OpenSlide.

    Raises
    ------
    SlideError
        If it is cut short, not 8-bit RGB, or needs OpenSlide and that is not installed.
    """
    file = _open(path)
    try:
        kind = _for_openslide(file)
        if kind is None:
            return _read(path, file)
        check_whole(path, file)
    except (SlideError, OSError, MemoryError):
        file.close()
        raise
    except Exception as error:
        # A wrong byte in a directory may bring tifffile to any exception, at any attribute.
        file.close()
        raise damaged(
            path, f"its TIFF directories make no sense ({type(error).__name__}: {error})"
        ) from error
    file.close()
    return read_openslide(path, kind)


def _read(path: Path, file: tifffile.TiffFile) -> SlideFile:
    picture = main_picture(path, file)
    series = picture.series
    _check_form(path, series)
    check_whole(path, file, series)
    for level in series.levels:
        mend_decoder(level.keyframe)
    # What still needs the file comes first: it is closed with the last of its levels.
    size, pictures = stated_size(file, series), associated_pictures(path, file, series)
    owner = _Owner(file)
    return SlideFile(
        path,
        _format(file),
        fingerprint.of_file(path),
        size,
        tuple(_level(path, series, number, owner) for number in range(len(series.levels))),
        pictures,
        picture.remarks,
    )


class _Owner:
    """Closes the file when the last level of the slide is gone."""

    def __init__(self, file: tifffile.TiffFile) -> None:
        weakref.finalize(self, file.close)


def _open(path: Path) -> tifffile.TiffFile:
    try:
        # tifffile would go by the name.
        file = tifffile.TiffFile(path, is_ndpi=_is_ndpi(path))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # As in read_tiff.
        raise damaged(path, f"its TIFF header cannot be read ({error})") from error
    if not file.pages:
        file.close()
        raise damaged(path, "there is no image in it")
    return file


def _is_ndpi(path: Path) -> bool:
    """Whether the first directory has Hamamatsu's tag, at a 64-bit offset or a 32-bit one."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"II*\0" or len(head) < 12:
            return False
        end = path.stat().st_size
        for size in (8, 4):
            offset = int.from_bytes(head[4 : 4 + size], "little")
            # Whatever else follows the 32-bit offset in other files.
            if offset > end:
                continue
            file.seek(offset)
            count = int.from_bytes(file.read(2), "little")
            tags = file.read(12 * min(count, 4096))
            codes = [int.from_bytes(tags[at : at + 2], "little") for at in range(0, len(tags), 12)]
            if _NDPI_TAG in codes:
                return True
    return False


def _for_openslide(file: tifffile.TiffFile) -> str | None:
    """Name the kind of file whose tiles overlap or are put together from several scans."""
    if file.is_scn:
        return "Leica SCN"
    software = str(file.pages.first.software)
    if software.startswith("MedScan"):
        return "Trestle TIFF"
    xmp = file.pages.first.tags.valueof(700)
    if file.is_bif or (isinstance(xmp, bytes) and b"<iScan" in xmp):
        return "Ventana BIF"
    return None


def _format(file: tifffile.TiffFile) -> str:
    for flag, name in _FORMATS.items():
        if getattr(file, flag):
            return name
    return "tiff"


def _check_form(path: Path, series: Any) -> None:
    """Refuse what is not one 8-bit RGB picture."""
    check_dtype(path, series.dtype)
    page, lengths = series.keyframe, dict(zip(series.axes, series.shape, strict=True))
    if "Y" not in lengths or "X" not in lengths:
        raise refused(path, f"no plane (its axes are {series.axes})")
    samples = lengths.get("S", 1) * lengths.get("C", 1)
    photometric = int(page.photometric)
    if samples > 1 and photometric in (3, 4, 5, 8, 9, 10):
        raise refused(path, _PHOTOMETRIC[photometric])
    if samples == 1:
        raise refused(path, _PHOTOMETRIC.get(photometric, "greyscale"))
    check_samples(path, samples)
    if photometric not in (0, 1, 2, 6):
        raise refused(path, _PHOTOMETRIC.get(photometric, f"of photometric kind {photometric}"))
    if "S" in lengths and "C" in lengths and lengths["S"] > 1 and lengths["C"] > 1:
        raise refused(path, f"of {lengths['C']} RGB channels")
    for axis, length in lengths.items():
        if axis not in "YXSC" and length > 1:
            raise SlideError(
                f"{path}: the image is a stack of {length} planes; a slide has one. "
                "Save the plane in focus, or a projection, as RGB and open that."
            )


def _level(path: Path, series: Any, index: int, owner: _Owner) -> Pixels:
    level = series.levels[index]
    page = level.keyframe
    if level.dataoffset is not None and page.is_contiguous and page.is_memmappable:
        array: Any = np.memmap(
            page.parent.filehandle.path,
            np.uint8,
            "r",
            level.dataoffset,
            tuple(level.shape),
        )
        return ArrayPixels(array, str(path), level.axes, _coding(page))
    if len(level.pages) == 1 and int(page.imagedepth) == 1:
        return TiffTiles(level.pages[0], path, _coding(page))
    # Imported when needed: nearly all slides are one page a level.
    import zarr

    array = zarr.open_array(series.aszarr(level=index, fillvalue=MISSING, squeeze=False), mode="r")
    axes = level.get_axes(False)
    chunks = dict(zip(axes, array.chunks, strict=True))
    return ArrayPixels(array, str(path), axes, _coding(page), (chunks["Y"], chunks["X"]), owner)


def _coding(page: Any) -> Coding:
    extra = tuple(int(kind) for kind in page.extrasamples)
    if extra == (1,):
        return Coding.PREMULTIPLIED
    return Coding.RGBA if extra == (2,) else Coding.RGB
