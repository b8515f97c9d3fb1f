"""A pyramid in a zarr folder: written from the first row on, opened again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.slide.damage import BrokenTile
from napari_prts.slide.levels import BAND_ROWS, halve
from napari_prts.slide.pixels import RgbImage

CHUNK = 512
_VERSION = 2


@dataclass(frozen=True)
class StoredPyramid:
    """A whole pyramid.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the level that it was built from.
    arrays : tuple of zarr.Array or None
        Its levels, full resolution first; None for the first one if that was not stored.
    broken : tuple of BrokenTile
        Tiles of the source that could not be decoded.
    """

    shape: tuple[int, int]
    arrays: tuple[Any, ...]
    broken: tuple[BrokenTile, ...]


def open_pyramid(folder: Path) -> StoredPyramid:
    """Open what :func:`create_pyramid` and :class:`PyramidWriter` have written.

    Raises
    ------
    OSError, KeyError, ValueError, TypeError
        If it is not whole, or of another version.
    """
    # Imported when needed: a slide with a pyramid is on screen before zarr is loaded.
    import zarr

    group = zarr.open_group(folder, mode="r")
    stored: dict[str, Any] = dict(group.attrs)
    if stored["version"] != _VERSION:
        raise ValueError(f"{folder} is of version {stored['version']}")
    arrays = [group[str(i)] if i >= stored["first"] else None for i in range(stored["levels"])]
    rows, columns = stored["shape"]
    broken = tuple(BrokenTile(**tile) for tile in stored["broken"])
    return StoredPyramid((int(rows), int(columns)), tuple(arrays), broken)


class StoredArray:
    """A stored level that says so when a file of it is gone; zarr would read that as black.

    Parameters
    ----------
    array : zarr.Array
        The level.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self._folder = Path(array.store.root) / array.path / "c"
        self.shape: tuple[int, ...] = array.shape
        self.chunks: tuple[int, ...] = array.chunks

    def __getitem__(self, key: tuple[slice, slice, slice]) -> Any:
        rows, columns = (
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(key[:2], self.chunks[:2], strict=True)
        )
        for file in (self._folder / f"{r}" / f"{c}" / "0" for r in rows for c in columns):
            if not file.exists():
                raise FileNotFoundError(f"{file} is gone")
        return self._array[key]


def create_pyramid(folder: Path, shapes: Sequence[tuple[int, int]], first: int) -> PyramidWriter:
    """Make the empty levels of a pyramid.

    Parameters
    ----------
    folder : Path
        Zarr folder to make.
    shapes : sequence of tuple of int
        Rows and columns of the levels, full resolution first, each half of the one before.
    first : int
        The first level to store.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import zarr

    group = zarr.create_group(folder)
    arrays = [
        _create(group, index, shape) if index >= first else None
        for index, shape in enumerate(shapes)
    ]
    return PyramidWriter(group, tuple(arrays), shapes[0], first)


def _create(group: Any, index: int, shape: tuple[int, int]) -> Any:
    from zarr.codecs import ZstdCodec

    return group.create_array(
        str(index),
        shape=(*shape, 3),
        chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1]), 3),
        dtype="uint8",
        # Level 1 is as small as higher ones on H&E and twice as quick.
        compressors=[ZstdCodec(level=1)],
        # Looking whether each chunk is all zero takes longer than packing it.
        config={"write_empty_chunks": True},
    )


class PyramidWriter:
    """Takes the rows of the first level and writes all levels.

    Parameters
    ----------
    group : zarr.Group
        The folder.
    arrays : tuple of zarr.Array or None
        Its levels; None for one that is not stored.
    shape : tuple of int
        Rows and columns of the first level.
    first : int
        The first level that is stored.
    """

    def __init__(
        self, group: Any, arrays: tuple[Any, ...], shape: tuple[int, int], first: int
    ) -> None:
        self._group = group
        self.arrays = arrays
        self._shape = shape
        self._first = first
        writers: list[_LevelWriter] = []
        for array in reversed(arrays):
            writers.append(_LevelWriter(array, writers[-1] if writers else None))
        self._writers = writers[::-1]

    def push(self, rows: RgbImage) -> list[int]:
        """Take the next rows of the first level.

        Returns
        -------
        list of int
            Rows written so far, by level.
        """
        self._writers[0].push(rows)
        return [writer.written for writer in self._writers]

    def finish(self, broken: Sequence[BrokenTile]) -> list[int]:
        """Write what is left, and mark the pyramid as whole; see :meth:`push`."""
        self._writers[0].finish()
        # Written last: a pyramid without it is not whole.
        self._group.attrs.update(
            {
                "version": _VERSION,
                "shape": list(self._shape),
                "levels": len(self.arrays),
                "first": self._first,
                "broken": [asdict(tile) for tile in broken],
            }
        )
        return [writer.written for writer in self._writers]


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
        self.written = 0

    def push(self, rows: RgbImage) -> None:
        """Take the next rows, write the bands that are full."""
        self._held.append(rows)
        if sum(map(len, self._held)) < BAND_ROWS:
            return
        held = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        full = len(held) - len(held) % BAND_ROWS
        for top in range(0, full, BAND_ROWS):
            self._write(held[top : top + BAND_ROWS])
        self._held = [held[full:].copy()] if full < len(held) else []

    def finish(self) -> None:
        """Write what is left, here and below."""
        if sum(map(len, self._held)):
            self._write(np.concatenate(self._held))
        self._held = []
        if self._below is not None:
            self._below.finish()

    def _write(self, band: RgbImage) -> None:
        if self._array is not None:
            self._array[self.written : self.written + len(band)] = band
        self.written += len(band)
        if self._below is not None:
            self._below.push(halve(band))
