"""Tiles and strips of one TIFF page, read one by one and decoded by tifffile.

tifffile's zarr view does the same, but spends as long on each tile in zarr as
in the decoder, and decodes one tile at a time.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import LostSlideError
from napari_prts.slide.colours import Coding, to_rgb
from napari_prts.slide.pixels import RgbImage, unreadable

# Tiles that a scanner left out are glass.
MISSING = 255


class TiffTiles:
    """One page of a TIFF; safe to read from several threads.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
        The page: one plane of 8-bit samples.
    path : Path
        The slide, for messages.
    coding : Coding
        What the samples of a pixel mean.

    Raises
    ------
    OSError
        If the file that holds the page cannot be opened.
    """

    def __init__(self, page: Any, path: Path, coding: Coding) -> None:
        keyframe = page.keyframe
        # The decoder is made on first use, which is not safe in several threads.
        keyframe.init_decode()
        self._decode = keyframe.decode
        self._arguments: dict[str, Any] = {}
        if int(keyframe.compression) in (6, 7, 34892, 33007):
            self._arguments = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        # A page of a slide in several files lies in another file than the first.
        self._file = os.open(page.parent.filehandle.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self._lock = threading.Lock()
        self._path = path
        self._coding = coding
        self.shape = (int(keyframe.imagelength), int(keyframe.imagewidth))
        if keyframe.is_tiled:
            self.chunk = (int(keyframe.tilelength), int(keyframe.tilewidth))
        else:
            rows = min(int(keyframe.rowsperstrip), self.shape[0])
            self.chunk = (rows, self.shape[1])
        self._grid = tuple(
            -(-length // part) for length, part in zip(self.shape, self.chunk, strict=True)
        )
        apart = int(keyframe.planarconfig) == 2
        self._planes = int(keyframe.samplesperpixel) if apart else 1
        self._samples = int(keyframe.samplesperpixel)

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`~napari_prts.slide.pixels.Pixels`.

        Raises
        ------
        SlideError
            If a tile of it cannot be decoded.
        LostSlideError
            If the file can no longer be read.
        """
        rows, columns = self.chunk
        whole = top % rows == 0 and left % columns == 0
        if whole and bottom - top <= rows and right - left <= columns:
            tile = self._tile(top // rows, left // columns)
            return to_rgb(tile[: bottom - top, : right - left], self._coding)
        samples = np.empty((bottom - top, right - left, self._samples), np.uint8)
        for r in range(top // rows, -(-bottom // rows)):
            for c in range(left // columns, -(-right // columns)):
                t, b = max(top, r * rows), min(bottom, (r + 1) * rows)
                le, ri = max(left, c * columns), min(right, (c + 1) * columns)
                tile = self._tile(r, c)
                samples[t - top : b - top, le - left : ri - left] = tile[
                    t - r * rows : b - r * rows, le - c * columns : ri - c * columns
                ]
        return to_rgb(samples, self._coding)

    def _tile(self, row: int, column: int) -> RgbImage:
        index = row * self._grid[1] + column
        apart = self._grid[0] * self._grid[1]
        parts = [self._part(index + plane * apart) for plane in range(self._planes)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _part(self, index: int) -> RgbImage:
        """Decode one segment of the file; (row, column, sample)."""
        rows, columns = self.chunk
        try:
            data = self._bytes(index)
            decoded, _, shape = self._decode(data, index, **self._arguments)
        except (MemoryError, LostSlideError):
            raise
        except Exception as error:  # Each codec has exceptions of its own.
            r, c = divmod(index % (self._grid[0] * self._grid[1]), self._grid[1])
            place = (r * rows, c * columns, (r + 1) * rows, (c + 1) * columns)
            raise unreadable(str(self._path), place, error) from error
        if decoded is None:
            return np.full(shape[1:], MISSING, np.uint8)
        return np.asarray(decoded[0], np.uint8)

    def _bytes(self, index: int) -> bytes | None:
        """Read a segment, None if the writer left it out."""
        offset, count = int(self._offsets[index]), int(self._counts[index])
        if count == 0 or offset == 0:
            return None
        try:
            missing = offset + count - os.fstat(self._file).st_size
            if missing > 0:
                raise ValueError(f"the file ends {missing:,} bytes too early")
            return self._read_at(offset, count)
        except OSError as error:
            # Not a broken tile: it would be remembered as such once the drive is back.
            raise LostSlideError(
                f"{self._path} can no longer be read ({error.strerror or error}). Check that its "
                "drive is connected, then open the slide again."
            ) from error

    def _read_at(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, count, offset)
        with self._lock:
            os.lseek(self._file, offset, os.SEEK_SET)
            return os.read(self._file, count)
