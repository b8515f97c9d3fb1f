"""What lies in the feature store: its tables, how large they are and when they were used."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_prts.features.segments import GONE, HASH_LENGTH, Segment

KEY_FILE = "key.json"
# What a process that was killed left half written is older.
_ABANDONED_AFTER_S = 3600.0
# The descriptions that zarr writes beside a segment's numbers.
_DESCRIPTION_BYTES = 3_000


@dataclass(frozen=True)
class StoredTable:
    """One table of the feature store: a slide, an encoder and a way of extraction.

    Parameters
    ----------
    folder : Path
        Where it is.
    slide, encoder : str
        Fingerprint of the slide, and key of the encoder; empty if its description is damaged.
    settings : dict
        How its features were extracted.
    row_bytes : int
        What a nucleus takes on disk; 0 if its description is damaged.
    bytes : int
        What all of it takes on disk, within a few per cent.
    last_used : float
        When it was last read or written, in seconds since 1970.
    """

    folder: Path
    slide: str
    encoder: str
    settings: dict[str, Any]
    row_bytes: int
    bytes: int
    last_used: float


def stored_tables(folder: Path) -> list[StoredTable]:
    """Tables of a store, the one not used longest first; none if there is no folder.

    Sizes are reckoned from the names of the pieces: a store of a hundred slides has a
    hundred thousand files.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    tables = [_described(folder / name) for name in names]
    return sorted((t for t in tables if t is not None), key=lambda table: table.last_used)


def last_used(table: Path) -> float | None:
    """When a table was last read or written, in seconds since 1970; None if it is gone."""
    for path in (table / KEY_FILE, table):
        with suppress(OSError):
            return path.stat().st_mtime
    return None


def mark_used(table: Path) -> None:
    """Note that a table is in use, where the disk may be written to."""
    with suppress(OSError):
        os.utime(table / KEY_FILE)


def segment_bytes(segment: Segment, row_bytes: int) -> int:
    """Reckon what a piece takes on disk."""
    return segment.rows * row_bytes + _DESCRIPTION_BYTES


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left hidden in a folder."""
    for path in folder.glob(".*"):
        try:
            abandoned = time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
        except OSError:  # another process has just moved it into place, or removed it
            continue
        if abandoned or path.name.startswith(GONE):
            shutil.rmtree(path, ignore_errors=True)


def _described(folder: Path) -> StoredTable | None:
    used = last_used(folder)
    if used is None or not folder.is_dir():
        return None
    key = _key(folder)
    settings, columns = key.get("settings"), key.get("columns")
    numbers = sum(columns) if isinstance(columns, list) else 0
    row_bytes = HASH_LENGTH + 4 * numbers if numbers else 0
    return StoredTable(
        folder,
        str(key.get("slide", "")),
        str(key.get("encoder", "")),
        settings if isinstance(settings, dict) else {},
        row_bytes,
        sum(segment_bytes(segment, row_bytes) for segment in Segment.all_in(folder)),
        used,
    )


def _key(folder: Path) -> dict[str, Any]:
    try:
        key = json.loads((folder / KEY_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return key if isinstance(key, dict) else {}
