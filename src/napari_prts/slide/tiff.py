"""Aperio SVS, TIFF, BigTIFF and OME-TIFF, through tifffile's zarr view."""

from __future__ import annotations

import logging
import struct
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.colours import Coding
from napari_prts.slide.pixels import ArrayPixels, Pixels
from napari_prts.slide.slide_file import (
    SlideFile,
    check_dtype,
    check_samples,
    damaged,
    refused,
)
from napari_prts.slide.tiff_pixel_size import stated_size
from napari_prts.slide.tiff_whole import check_whole

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
# JPEG 2000 in YCbCr without a stated transform (Aperio; OpenSlide's notes on the format).
_APERIO_YCBCR = 33003
# Tiles that a scanner left out are glass.
_MISSING = 255


def read_tiff(path: Path) -> SlideFile:
    """Open a TIFF of any kind; the largest picture in it is the slide.

    Raises
    ------
    SlideError
        If it is cut short, or not 8-bit RGB.
    """
    file = _open(path)
    try:
        series = _main_series(path, file)
        _check_form(path, series)
        check_whole(path, file, series)
        owner = _Owner(file)
        levels = tuple(_level(path, series, i, owner) for i in range(len(series.levels)))
        return SlideFile(
            path, _format(file), fingerprint.of_file(path), stated_size(file, series), levels
        )
    except BaseException:
        file.close()
        raise


class _Owner:
    """Closes the file when the last level of the slide is gone."""

    def __init__(self, file: tifffile.TiffFile) -> None:
        weakref.finalize(self, file.close)


def _open(path: Path) -> tifffile.TiffFile:
    try:
        file = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, struct.error, ValueError, IndexError, KeyError) as error:
        raise damaged(path, f"its TIFF header cannot be read ({error})") from error
    return file


def _format(file: tifffile.TiffFile) -> str:
    if file.is_svs:
        return "aperio-svs"
    return "ome-tiff" if file.is_ome else "tiff"


def _main_series(path: Path, file: tifffile.TiffFile) -> Any:
    try:
        series = list(file.series)
    except Exception as error:  # Whatever tifffile stumbles over in a damaged directory.
        raise damaged(path, f"its TIFF directories cannot be read ({error})") from error
    if not series:
        raise damaged(path, "there is no image in it")
    if file.is_svs:
        return series[0]
    return max(series, key=_area)


def _area(series: Any) -> int:
    lengths = dict(zip(series.axes, series.shape, strict=True))
    return int(lengths.get("Y", 0) * lengths.get("X", 0))


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
    array = zarr.open_array(series.aszarr(level=index, fillvalue=_MISSING, squeeze=False), mode="r")
    axes = level.get_axes(False)
    chunks = dict(zip(axes, array.chunks, strict=True))
    return ArrayPixels(array, str(path), axes, _coding(page), (chunks["Y"], chunks["X"]), owner)


def _coding(page: Any) -> Coding:
    if int(page.compression) == _APERIO_YCBCR:
        return Coding.YCBCR
    extra = tuple(int(kind) for kind in page.extrasamples)
    if extra == (1,):
        return Coding.PREMULTIPLIED
    return Coding.RGBA if extra == (2,) else Coding.RGB
