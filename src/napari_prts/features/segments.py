"""One immutable piece of the feature store: a small zarr group, written aside.

A segment appears under its name only when it is whole, is never changed, and
carries a checksum in every chunk. So readers need no lock, and a process that is
killed leaves at most a hidden folder that nobody reads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

HASH_LENGTH = 16
_LAST_ASCII = 127
# Rows of a chunk: 1,024 of 576 float32 values are 2.4 MB, read in a few milliseconds
# to find one nucleus.
_ROWS = 1024
# Chunks read at once, for zarr reads them side by side: 16 of them are 38 MB.
_CHUNKS = 16
# Others may clear the store while this process writes to it, but not for ever.
_TRIES = 5
_SUFFIX = ".zarr"
GONE = ".gone-"


class DamagedSegmentError(Exception):
    """A segment is gone or not what was written; it counts as not there."""


def pack_hashes(hashes: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Content hashes as 16 bytes each.

    Raises
    ------
    ValueError
        If a hash is empty, longer, or not ASCII.
    """
    if not len(hashes):
        return np.empty(0, f"S{HASH_LENGTH}")
    # Some ten times as quick as NumPy's own functions for text.
    text = np.ascontiguousarray(hashes, hashes.dtype.newbyteorder("="))
    codes = text.view(np.uint32).reshape(len(hashes), -1)
    if not codes[:, 0].all() or codes[:, HASH_LENGTH:].any():
        raise ValueError(f"content hashes must have 1 to {HASH_LENGTH} characters")
    if (codes > _LAST_ASCII).any():
        raise ValueError("content hashes must be ASCII")
    packed = np.zeros((len(hashes), HASH_LENGTH), np.uint8)
    packed[:, : codes.shape[1]] = codes[:, :HASH_LENGTH]
    return packed.view(f"S{HASH_LENGTH}").reshape(-1)


def remove(path: Path) -> None:
    """Remove a folder: at once for whoever looks, then from the disk.

    Whoever is killed meanwhile leaves it whole, or hidden beside where it was.

    Raises
    ------
    OSError
        If it cannot be moved, as another program uses it.
    """
    gone = path.with_name(f"{GONE}{uuid.uuid4().hex}")
    try:
        os.replace(path, gone)
    except FileNotFoundError:  # removed by another process
        return
    shutil.rmtree(gone, ignore_errors=True)


@dataclass(frozen=True)
class Segment:
    """Features of some nuclei, on disk.

    Parameters
    ----------
    path : Path
        Folder; its name begins with the number of rows.
    """

    path: Path

    @property
    def rows(self) -> int:
        """Number of nuclei, from the name."""
        return int(self.path.name.partition("-")[0])

    @classmethod
    def write(
        cls,
        folder: Path,
        hashes: NDArray[np.bytes_],
        local: NDArray[np.float32],
        context: NDArray[np.float32],
        prepare: Callable[[], None],
    ) -> Segment:
        """Write a new segment of at least one row; it is there when this returns, or not at all.

        Parameters
        ----------
        folder : Path
            Where; in a folder that is there.
        hashes : ndarray of S16, shape (n,)
            Of the nuclei.
        local, context : ndarray of float32, shape (n, L) and (n, G)
            Their features.
        prepare : callable
            Makes the folder if it is not there.

        Raises
        ------
        OSError
            If the disk is full or may not be written.
        """
        path = folder / f"{len(hashes):09d}-{uuid.uuid4().hex}{_SUFFIX}"
        codes = np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), HASH_LENGTH)
        # Beside the folder: within it, zarr would make a folder again that another process
        # has removed, and half of the segment would be missing.
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", dir=folder.parent, ignore_cleanup_errors=True
        ) as holder:
            aside = Path(holder) / path.name
            group = zarr.create_group(aside)
            for name, values in (("hashes", codes), ("local", local), ("context", context)):
                if values.shape[1]:
                    _write(group, name, values)
            _move(aside, path, prepare)
        return cls(path)

    @classmethod
    def all_in(cls, folder: Path) -> list[Segment]:
        """Segments of a folder, ordered by name; none if there is no folder."""
        if not folder.is_dir():
            return []
        return [
            cls(path)
            for path in sorted(folder.iterdir())
            if path.suffix == _SUFFIX and path.name[0].isdigit()
        ]

    def written(self) -> float:
        """When it was written, in seconds since 1970; 0 if it is gone."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def hashes(self) -> NDArray[np.bytes_]:
        """Content hashes of its nuclei, shape (rows,).

        Raises
        ------
        DamagedSegmentError
            If it is gone or damaged.
        """
        codes = np.empty((self.rows, HASH_LENGTH), np.uint8)
        every = np.arange(self.rows)
        self._fill("hashes", every, codes, every)
        return codes.view(f"S{HASH_LENGTH}").reshape(-1)

    def fill(
        self,
        rows: NDArray[np.int64],
        local: NDArray[np.float32],
        context: NDArray[np.float32],
        at: NDArray[np.int64],
    ) -> None:
        """Read features of some of its nuclei to where they are wanted.

        Parameters
        ----------
        rows : ndarray of int64, shape (k,)
            Which of its rows.
        local, context : ndarray of float32, shape (n, L) and (n, G)
            Where they go; as wide as what was written.
        at : ndarray of int64, shape (k,)
            To which rows of these.

        Raises
        ------
        DamagedSegmentError
            If it is gone or damaged; what was read until then stays.
        """
        self._fill("local", rows, local, at)
        self._fill("context", rows, context, at)

    def _fill(
        self, name: str, rows: NDArray[np.int64], out: NDArray[Any], at: NDArray[np.int64]
    ) -> None:
        if out.shape[1] == 0:
            return
        try:
            array = zarr.open_array(self.path / name, mode="r")
            if array.shape != (self.rows, out.shape[1]) or array.dtype != out.dtype:
                raise DamagedSegmentError(f"{self.path}: {name} is {array.shape}, {array.dtype}")
            height = array.chunks[0]
            order = np.argsort(rows, kind="stable")
            rows, at = rows[order], at[order]
            for first, last in _runs(rows // height):
                values = np.asarray(array[first * height : last * height])
                # A chunk that is gone reads as no number throughout.
                if not np.isfinite(values[::height, 0]).all():
                    raise DamagedSegmentError(f"{self.path}: a part of {name} is gone")
                start, stop = np.searchsorted(rows, (first * height, last * height))
                for here in range(start, stop, _ROWS):
                    some = slice(here, min(here + _ROWS, stop))
                    out[at[some]] = values[rows[some] - first * height]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedSegmentError(f"{self.path}: {name} cannot be read") from error


def _move(aside: Path, path: Path, prepare: Callable[[], None]) -> None:
    for _ in range(_TRIES):
        # Not there: another process has removed the folder just now.
        with suppress(FileNotFoundError):
            prepare()
            os.replace(aside, path)
            return
    prepare()
    os.replace(aside, path)


def _write(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    # All hashes are read to find one, but of the features only some rows.
    rows = len(values) if name == "hashes" else min(_ROWS, len(values))
    group.create_array(
        name,
        data=np.ascontiguousarray(values),
        chunks=(rows, values.shape[1]),
        compressors=[Crc32cCodec()],
        # What zarr gives for a chunk that is gone must not pass for a feature.
        fill_value=0 if name == "hashes" else np.nan,
    )


def _runs(chunks: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Neighbouring chunks that are wanted, first and beyond the last, a few at once."""
    wanted = np.unique(chunks)
    for run in np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1):
        for start in range(0, len(run), _CHUNKS):
            part = run[start : start + _CHUNKS]
            yield int(part[0]), int(part[-1]) + 1
