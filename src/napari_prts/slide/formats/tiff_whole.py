"""Whether a TIFF is whole: everything that its directories point to lies inside it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide.formats.slide_file import damaged

# Bytes of a value of each TIFF and BigTIFF data type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}


def check_whole(path: Path, file: Any, series: Any = None) -> None:
    """Refuse a TIFF of which something is missing.

    A slide whose copying broke off often opens well and shows its beginning;
    what is missing is noticed only here.

    Parameters
    ----------
    path : Path
        The slide, for messages.
    file : tifffile.TiffFile
        The open file.
    series : tifffile.TiffPageSeries, optional
        The picture, whose levels may lie in sub-directories and other files.

    Raises
    ------
    SlideError
        If pixels, values or directories lie beyond the end of the file.
    """
    levels = [] if series is None else series.levels
    pages = [*file.pages, *(page for level in levels for page in level.pages)]
    for page in pages:
        if page is None:
            raise SlideError(
                f"{path}: parts of the image are in other files that are not beside it. "
                "Copy all files of the slide into one folder."
            )
        _check_pixels(path, page)
        _check_values(path, page)
    for level in levels:
        _check_tiles(path, level.keyframe)
        if _samples(level.keyframe) != _samples(levels[0].keyframe):
            raise damaged(path, "its levels do not hold the same colours")
    _check_chain(path, file)


def _check_tiles(path: Path, page: Any) -> None:
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip,)
    if min(*tile, page.imagelength, page.imagewidth) < 1:
        raise damaged(path, "its image or its tiles have no size")


def _samples(page: Any) -> tuple[object, ...]:
    return page.dtype, page.samplesperpixel, page.planarconfig


def _check_pixels(path: Path, page: Any) -> None:
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) == 0 or len(counts) != len(offsets):
        raise damaged(path, "a list of its tiles is missing")
    # Float holds every offset up to 2^53; a damaged one may be larger than an integer holds.
    ends = np.asarray(offsets, np.float64) + np.asarray(counts, np.float64)
    _check_end(path, page, int(ends.max()), "pixels")


def _check_values(path: Path, page: Any) -> None:
    """Check the values that a directory keeps elsewhere, such as JPEG tables."""
    handle, tiff = page.parent.filehandle, page.parent.tiff
    handle.seek(page.offset)
    count = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))[0]
    tags = handle.read(count * tiff.tagsize)
    high = _high_bytes(handle, count) if tiff.is_ndpi else b""
    for number, start in enumerate(range(0, len(tags) - tiff.tagsize + 1, tiff.tagsize)):
        # NDPI has 32-bit values and offsets, and four more bytes for each behind the directory.
        tag = tags[start : start + tiff.tagsize] + high[4 * number : 4 * number + 4]
        kind = struct.unpack(tiff.tagformat1, tag[:4])[1]
        values, value = struct.unpack(tiff.tagformat2, tag[4:])
        size = values * _SIZES.get(kind, 0)
        if size > tiff.tagoffsetthreshold:
            offset = struct.unpack(tiff.offsetformat, value)[0]
            _check_end(path, page, offset + size, "values of a directory")


def _high_bytes(handle: Any, count: int) -> bytes:
    """Read an NDPI directory's second part, after the offset of the next directory."""
    handle.seek(8, os.SEEK_CUR)
    return bytes(handle.read(4 * count)).ljust(4 * count, b"\0")


def _check_end(path: Path, page: Any, end: int, what: str) -> None:
    size = page.parent.filehandle.size
    if end > size:
        raise damaged(path, f"{what} should go on to byte {end:,}, but it ends at {size:,}")


def _check_chain(path: Path, file: Any) -> None:
    """Refuse a file whose last directory points to one that is not there."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(file.pages.next_page_offset or 0)
    following = handle.read(tiff.offsetsize)
    if len(following) < tiff.offsetsize or struct.unpack(tiff.offsetformat, following)[0] != 0:
        raise damaged(path, "its list of images breaks off")
