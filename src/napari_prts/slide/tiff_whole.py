"""Whether a TIFF is whole: everything that its directories point to lies inside it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide.slide_file import damaged

# Bytes of a value of each TIFF and BigTIFF data type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}


def check_whole(path: Path, file: Any, series: Any) -> None:
    """Refuse a TIFF of which something is missing.

    A slide whose copying broke off often opens well and shows its beginning;
    what is missing is noticed only here.

    Parameters
    ----------
    path : Path
        The slide, for messages.
    file : tifffile.TiffFile
        The open file.
    series : tifffile.TiffPageSeries
        The picture, whose levels may lie in sub-directories and other files.

    Raises
    ------
    SlideError
        If pixels, values or directories lie beyond the end of the file.
    """
    pages = [*file.pages, *(page for level in series.levels for page in level.pages)]
    for page in pages:
        if page is None:
            raise SlideError(
                f"{path}: parts of the image are in other files that are not beside it. "
                "Copy all files of the slide into one folder."
            )
        _check_pixels(path, page)
        # Hamamatsu's NDPI has its own way with offsets.
        if not file.is_ndpi:
            _check_values(path, page)
    _check_chain(path, file)


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
    for start in range(0, len(tags) - tiff.tagsize + 1, tiff.tagsize):
        tag = tags[start : start + tiff.tagsize]
        kind = struct.unpack(tiff.tagformat1, tag[:4])[1]
        number, value = struct.unpack(tiff.tagformat2, tag[4:])
        size = number * _SIZES.get(kind, 0)
        if size > tiff.tagoffsetthreshold:
            offset = struct.unpack(tiff.offsetformat, value)[0]
            _check_end(path, page, offset + size, "values of a directory")


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
