"""One immutable piece of the feature store: a small zarr group, written aside.

A segment appears under its name only when it is whole, is never changed, and
carries a checksum in every chunk. So readers need no lock, and a process that is
killed leaves at most a hidden folder that nobody reads.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from napari_prts.files import written_aside

HASH_LENGTH = 16
# Rows of a chunk: 1,024 of 576 float32 values are 2.4 MB, read in a few milliseconds
# to find one nucleus.
_ROWS = 1024
_SUFFIX = ".zarr"


class DamagedSegmentError(Exception):
    """A segment is gone or not what was written; it counts as not there."""


def pack_hashes(hashes: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Content hashes as 16 bytes each.

    Raises
    ------
    ValueError
        If a hash is empty, longer, or not ASCII.
    """
    lengths = np.char.str_len(hashes)
    if len(hashes) and not (lengths.min() > 0 and lengths.max() <= HASH_LENGTH):
        raise ValueError(f"content hashes must have 1 to {HASH_LENGTH} characters")
    return hashes.astype(f"S{HASH_LENGTH}")


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
    ) -> Segment:
        """Write a new segment of at least one row; it is there when this returns, or not at all."""
        path = folder / f"{len(hashes):09d}-{uuid.uuid4().hex}{_SUFFIX}"
        codes = np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), HASH_LENGTH)
        with written_aside(path) as aside:
            group = zarr.create_group(aside)
            for name, values in (("hashes", codes), ("local", local), ("context", context)):
                if values.shape[1]:
                    group.create_array(
                        name,
                        data=np.ascontiguousarray(values),
                        chunks=(min(_ROWS, len(values)), values.shape[1]),
                        compressors=[Crc32cCodec()],
                        # What zarr gives for a chunk that is gone must not pass for a feature.
                        fill_value=0 if name == "hashes" else np.nan,
                    )
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

    def hashes(self) -> NDArray[np.bytes_]:
        """Content hashes of its nuclei, shape (rows,).

        Raises
        ------
        DamagedSegmentError
            If it is gone or damaged.
        """
        codes = self._read("hashes", np.arange(self.rows), HASH_LENGTH)
        return codes.view(f"S{HASH_LENGTH}").reshape(-1)

    def features(
        self, rows: NDArray[np.int64], local_size: int, context_size: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Local and context parts of some rows.

        Raises
        ------
        DamagedSegmentError
            If it is gone or damaged.
        """
        parts = []
        for name, size in (("local", local_size), ("context", context_size)):
            values = self._read(name, rows, size)
            if not np.isfinite(values).all():
                raise DamagedSegmentError(f"{self.path}: a part of {name} is gone")
            parts.append(values)
        return parts[0], parts[1]

    def _read(self, name: str, rows: NDArray[np.int64], columns: int) -> NDArray[Any]:
        """Read rows chunk by chunk, touching no chunk in vain."""
        if columns == 0:
            return np.empty((len(rows), 0), dtype=np.float32)
        try:
            array = zarr.open_array(self.path / name, mode="r")
            if array.shape != (self.rows, columns):
                raise DamagedSegmentError(f"{self.path}: {name} is {array.shape}")
            found = np.empty((len(rows), columns), dtype=array.dtype)
            height = array.chunks[0]
            for chunk in np.unique(rows // height):
                here = rows // height == chunk
                values = np.asarray(array[chunk * height : (chunk + 1) * height])
                found[here] = values[rows[here] - chunk * height]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedSegmentError(f"{self.path}: {name} cannot be read") from error
        return found
