"""Pyramids that are built once and kept in the cache, for large files without one."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder, written_aside
from napari_prts.jobs import Job, Progress
from napari_prts.slide.levels import BAND_ROWS, halve, halved_shape, is_small_enough
from napari_prts.slide.pixels import ArrayPixels, Pixels, RgbImage

_VERSION = 1
_CHUNK = 512


def cached_pyramid(fingerprint: str, shape: tuple[int, int]) -> list[Pixels] | None:
    """Open the pyramid of a file if it was built before.

    Parameters
    ----------
    fingerprint : str
        Of the file.
    shape : tuple of int
        Rows and columns of the level that it was built from.

    Returns
    -------
    list of Pixels or None
        That level and those below it; the first one only if it was stored.
    """
    folder = _folder(fingerprint)
    if not folder.is_dir():
        return None
    try:
        group = zarr.open_group(folder, mode="r")
        stored = dict(group.attrs)
        if stored.get("version") != _VERSION or stored.get("shape") != list(shape):
            return None
        return _pixels(group, folder)
    except (OSError, KeyError, ValueError):
        # Something of the cache was removed or cut short: it is built again.
        return None


def build_pyramid(
    pixels: Pixels, fingerprint: str, name: str, keep_first: bool
) -> Job[list[Pixels]]:
    """Build the levels below a level, and store them.

    The source is read once, in bands of rows; nothing else is held in memory.

    Parameters
    ----------
    pixels : Pixels
        The level to begin with.
    fingerprint, name : str
        Of its file; the name is for messages.
    keep_first : bool
        Whether to store that level too, because its file can only be read whole.

    Yields
    ------
    Progress
        In rows.

    Raises
    ------
    SlideError
        If the source is damaged or the cache cannot be written.
    """
    target = _folder(fingerprint)
    try:
        with written_aside(target) as aside:
            yield from _write(pixels, aside, name, keep_first)
        return _pixels(zarr.open_group(target, mode="r"), target)
    except OSError as error:
        room = math.prod(pixels.shape) * 4 / 2**30
        free = shutil.disk_usage(cache_folder()).free / 2**30
        raise SlideError(
            f"{name}: the pyramid cannot be written to {target.parent} "
            f"({error.strerror or error}); {free:.1f} GiB are free there, up to {room:.1f} are "
            "needed. Make room, or let the environment variable NAPARI_PRTS_CACHE name another "
            "folder."
        ) from error


def _folder(fingerprint: str) -> Path:
    return cache_folder() / "pyramids" / f"{fingerprint}.zarr"


def _pixels(group: Any, folder: Path) -> list[Pixels]:
    count = int(group.attrs["levels"])
    first = int(group.attrs["first"])
    name = f"{folder} (a cached copy; delete that folder to have it made again)"
    return [
        ArrayPixels(group[str(index)], name, chunk=(_CHUNK, _CHUNK))
        for index in range(first, count)
    ]


def _write(pixels: Pixels, folder: Path, name: str, keep_first: bool) -> Job[None]:
    shapes = [pixels.shape]
    while not is_small_enough(shapes[-1]):
        shapes.append(halved_shape(shapes[-1]))
    group = zarr.create_group(folder)
    writer: _LevelWriter | None = None
    first = 0 if keep_first else 1
    for index in reversed(range(len(shapes))):
        array = _array(group, index, shapes[index]) if index >= first else None
        writer = _LevelWriter(array, writer)
    assert writer is not None
    rows, columns = pixels.shape
    band = _band_rows(pixels)
    for top in range(0, rows, band):
        yield Progress(top, rows, "rows", f"making the pyramid of {name}, once")
        writer.push(pixels.read(top, 0, min(top + band, rows), columns))
    writer.finish()
    # Written last: a pyramid without it is not whole.
    group.attrs.update(
        {"version": _VERSION, "shape": list(pixels.shape), "levels": len(shapes), "first": first}
    )
    yield Progress(rows, rows, "rows", f"the pyramid of {name} is made")


def _array(group: Any, index: int, shape: tuple[int, int]) -> Any:
    chunk = (min(_CHUNK, shape[0]), min(_CHUNK, shape[1]), 3)
    return group.create_array(
        str(index),
        shape=(*shape, 3),
        chunks=chunk,
        dtype="uint8",
        # Level 1 is as small as higher ones on H&E and twice as quick.
        compressors=[ZstdCodec(level=1)],
        # Looking whether each chunk is all zero takes longer than packing it.
        config={"write_empty_chunks": True},
    )


def _band_rows(pixels: Pixels) -> int:
    """Rows to read at once: whole chunks of the source, so that none is decoded twice."""
    rows = pixels.chunk[0] if pixels.chunk is not None else BAND_ROWS
    return rows * math.ceil(BAND_ROWS / rows)


class _LevelWriter:
    """Writes one level in bands and hands each band, halved, to the level below.

    Parameters
    ----------
    array : zarr array or None
        Where to write; None if the level itself is not stored.
    below : _LevelWriter or None
        The next level.
    """

    def __init__(self, array: Any, below: _LevelWriter | None) -> None:
        self._array = array
        self._below = below
        self._held: list[RgbImage] = []
        self._written = 0

    def push(self, rows: RgbImage) -> None:
        """Take the next rows, write the bands that are full."""
        self._held.append(rows)
        if sum(map(len, self._held)) < BAND_ROWS:
            return
        held = np.concatenate(self._held)
        full = len(held) - len(held) % BAND_ROWS
        for top in range(0, full, BAND_ROWS):
            self._write(held[top : top + BAND_ROWS])
        self._held = [held[full:].copy()]

    def finish(self) -> None:
        """Write what is left, here and below."""
        if sum(map(len, self._held)):
            self._write(np.concatenate(self._held))
        self._held = []
        if self._below is not None:
            self._below.finish()

    def _write(self, band: RgbImage) -> None:
        if self._array is not None:
            self._array[self._written : self._written + len(band)] = band
        self._written += len(band)
        if self._below is not None:
            self._below.push(halve(band))
