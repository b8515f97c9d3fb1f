"""What a segmentation has found so far, kept on disk until it is finished.

Each finished tile is appended to one file as a record with a checksum. A process
that is killed leaves at worst half a record at the end, which the next run cuts
off. Nothing here may spoil a run: without a writable cache it is only not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.files import cache_folder
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.merging import Settled
from napari_prts.segmentation.tiling import Rectangle

# Leftovers of cancelled and killed runs: a user comes back to a slide within days, and a
# gigapixel slide takes about a gigabyte.
KEEP_DAYS = 14.0
KEEP_BYTES = 4 * 2**30

_TILES, _KEY, _LOCK = "tiles", "key.json", "lock"
_MAGIC = b"NPT1"
# Magic, four sides, numbers of final and pending candidates, rays, bytes of the note.
_HEAD = struct.Struct("<4s4q4I")
_CHECK = struct.Struct("<I")
_MOST_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class FinishedTile:
    """A tile that needs not be looked at again.

    Parameters
    ----------
    tile : Rectangle
        In model pixels.
    settled : Settled
        What was found in it.
    note : object
        What else was stored with it; any JSON value.
    """

    tile: Rectangle
    settled: Settled
    note: Any = None


class Checkpoint:
    """Finished tiles of one request; see :meth:`open`.

    Parameters
    ----------
    folder : Path or None
        Where they are; None if nothing can be kept.
    lock : int or None
        Open file whose lock says that this run writes here.
    """

    def __init__(self, folder: Path | None, lock: int | None) -> None:
        self._folder = folder
        self._lock = lock
        self._file: FileIO | None = None

    @classmethod
    def open(cls, key: Mapping[str, Any], root: Path | None = None) -> Checkpoint:
        """Open what is kept of a request, and remove what is too old or too much.

        Parameters
        ----------
        key : mapping
            All that the result depends on, as JSON values.
        root : Path, optional
            Folder of all checkpoints; ``segmentation`` in the user's cache by default.

        Returns
        -------
        Checkpoint
            One that keeps nothing if another run writes to it just now, or the
            cache cannot be written to.
        """
        text = json.dumps(key, sort_keys=True, indent=1)
        try:
            root = cache_folder() / "segmentation" if root is None else root
            folder = root / hashlib.sha256(text.encode()).hexdigest()[:32]
            _sweep(root, folder)
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(folder)
            if lock is None:
                return cls(None, None)
            found = cls(folder, lock)
            (folder / _KEY).write_text(text, encoding="utf-8")
            found._file = FileIO(folder / _TILES, "a+")
        except OSError:
            return cls(None, None)
        return found

    def finished(self) -> Iterator[FinishedTile]:
        """Tiles that an earlier run finished; a damaged end is cut off.

        Read all of it before :meth:`append`.
        """
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.seek(0)
            whole = 0
            while (record := _read(self._file)) is not None:
                whole = self._file.tell()
                yield record
            self._file.truncate(whole)

    def append(self, finished: FinishedTile) -> None:
        """Keep a tile. Where it cannot be written, nothing more is kept."""
        if self._file is None:
            return
        record = _packed(finished)
        try:
            # One unbuffered write: it is in the system's hands even if this process dies.
            written = self._file.write(record)
        except OSError:
            written = 0
        if written != len(record):
            self.discard()

    def close(self) -> None:
        """Leave what is kept for a later run."""
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            os.close(self._lock)
        self._file = self._lock = None

    def discard(self) -> None:
        """Remove what is kept: the run is finished."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._folder is not None and self._lock is not None:
            _remove(self._folder, self._lock)
        self._lock = None


def _packed(finished: FinishedTile) -> bytes:
    both = finished.settled.both()
    note = json.dumps(finished.note).encode()
    counts = len(finished.settled.final), len(finished.settled.pending)
    head = _HEAD.pack(_MAGIC, *astuple(finished.tile), *counts, both.dist.shape[1], len(note))
    arrays = (np.ascontiguousarray(a, "<f4") for a in (both.points, both.prob, both.dist))
    body = b"".join([head, *(array.tobytes() for array in arrays), note])
    return body + _CHECK.pack(zlib.crc32(body))


def _read(file: FileIO) -> FinishedTile | None:
    """The next record; None at the end and where it is damaged."""
    head = file.read(_HEAD.size) or b""
    if len(head) < _HEAD.size:
        return None
    magic, row0, column0, row1, column1, final, pending, rays, note = _HEAD.unpack(head)
    count = final + pending
    size = 4 * count * (3 + rays)
    if magic != _MAGIC or size + note > _MOST_BYTES:
        return None
    rest = file.read(size + note + _CHECK.size) or b""
    body, check = rest[: size + note], rest[size + note :]
    if len(check) < _CHECK.size or _CHECK.unpack(check)[0] != zlib.crc32(head + body):
        return None
    numbers = np.frombuffer(body, "<f4", 4 * count * (3 + rays) // 4).astype(np.float32)
    points, prob, dist = np.split(numbers, [2 * count, 3 * count])
    both = Candidates(points.reshape(count, 2), prob, dist.reshape(count, rays))
    positions = np.arange(count)
    return FinishedTile(
        Rectangle(row0, column0, row1, column1),
        Settled(both.take(positions < final), both.take(positions >= final)),
        json.loads(body[size:]),
    )


def _lock(folder: Path) -> int | None:
    """Lock a folder for this run; the system gives it free when the process ends."""
    place = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    # Another run may have removed the file between its opening and its locking.
    if _try_lock(place) and _still_there(place, folder / _LOCK):
        return place
    os.close(place)
    return None


def _try_lock(place: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(place, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _still_there(place: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(place), path.stat())
    except OSError:
        return False


def _remove(folder: Path, lock: int) -> None:
    for name in (_TILES, _KEY):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    # Whoever waits for the lock must find it gone; Windows removes no file that is open.
    windows = os.name == "nt"
    with contextlib.suppress(OSError):
        if not windows:
            (folder / _LOCK).unlink()
    os.close(lock)
    with contextlib.suppress(OSError):
        if windows:
            (folder / _LOCK).unlink()
        folder.rmdir()


def _sweep(root: Path, keep: Path) -> None:
    """Remove leftovers that are old, and the oldest of too many; never one in use."""
    if not root.is_dir():
        return
    sizes = {folder: _size_and_date(folder) for folder in root.iterdir() if folder.is_dir()}
    total = sum(size for size, _ in sizes.values())
    oldest_kept = time.time() - KEEP_DAYS * 86_400
    for folder, (size, date) in sorted(sizes.items(), key=lambda item: item[1][1]):
        if folder == keep or (date >= oldest_kept and total <= KEEP_BYTES):
            continue
        with contextlib.suppress(OSError):
            lock = _lock(folder)
            if lock is not None:
                _remove(folder, lock)
                total -= size


def _size_and_date(folder: Path) -> tuple[int, float]:
    found = [entry.stat() for entry in _entries(folder)]
    return sum(s.st_size for s in found), max((s.st_mtime for s in found), default=0.0)


def _entries(folder: Path) -> Iterable[Path]:
    return [folder / name for name in (_TILES, _KEY, _LOCK) if (folder / name).exists()]
