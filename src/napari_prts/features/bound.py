"""Keeping the feature store within its bounds: how much it may take, and what goes first."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from pathlib import Path

from napari_prts.errors import PrtsError
from napari_prts.features.segments import Segment, remove
from napari_prts.features.stored import (
    StoredTable,
    last_used,
    segment_bytes,
    stored_tables,
    sweep,
)

LIMIT_VARIABLE = "NAPARI_PRTS_FEATURES_GB"
# Eight million nuclei by a ViT-S/16: 140 sections of the size of the paper's.
DEFAULT_LIMIT_BYTES = 20_000_000_000
# Another process may be at work on a table that was used since.
IN_USE_S = 3600.0
# A look through the store takes some hundredths of a second: not at each write.
_ROOM_BYTES = 256_000_000
_ROOM_SHARE = 0.05


def limit_of(limit_bytes: int | None) -> int:
    """Give the limit of the store in bytes: what is asked for, the variable's, or the default.

    Raises
    ------
    PrtsError
        If it is not a positive number.
    """
    if limit_bytes is not None:
        if limit_bytes <= 0:
            raise PrtsError(f"limit_bytes is {limit_bytes}: give the feature store 1 byte or more.")
        return limit_bytes
    asked = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not asked:
        return DEFAULT_LIMIT_BYTES
    try:
        gigabytes = float(asked)
    except ValueError:
        gigabytes = math.nan
    if not (math.isfinite(gigabytes) and gigabytes > 0):
        raise PrtsError(
            f"The variable {LIMIT_VARIABLE} is {asked!r}: set it to the gigabytes that features "
            "may take on disk, such as 20, or unset it."
        )
    return max(1, round(gigabytes * 1e9))


class Bound:
    """Keeps a store below its limit while one of its tables is written.

    Parameters
    ----------
    folder : Path
        Of the store.
    limit : int
        Bytes.
    table : Path
        Folder of the table that is written.

    Attributes
    ----------
    limit : int
        As given.
    """

    def __init__(self, folder: Path, limit: int, table: Path) -> None:
        self.limit = limit
        self._folder, self._table = folder, table
        # Kept free for what is written until the next look.
        self._room = int(min(_ROOM_BYTES, _ROOM_SHARE * limit))
        self._unseen = self._room

    def wrote(self, count: int) -> None:
        """Take note of ``count`` bytes written; the first time and now and then, make room."""
        self._unseen += count
        if self._unseen >= self._room:
            self._unseen = 0
            self.trim()

    def trim(self) -> None:
        """Remove tables until the store is below its limit, the one not used longest first.

        Tables used within the last hour stay. Only if the table that is written is above the
        limit by itself, its oldest pieces go too.
        """
        sweep(self._folder)
        tables = stored_tables(self._folder)
        most = self.limit - self._room
        excess = sum(table.bytes for table in tables) - most
        for table in tables:
            if table.folder == self._table:
                _shorten(table, table.bytes - most)
            elif excess > 0 and _unused(table.folder):
                with suppress(OSError):  # open in another process, on Windows
                    remove(table.folder)
                    excess -= table.bytes
            else:
                sweep(table.folder)


def _unused(table: Path) -> bool:
    # Asked again just before it goes: another process may have taken it up meanwhile.
    used = last_used(table)
    return used is not None and time.time() - used > IN_USE_S


def _shorten(table: StoredTable, excess: int) -> None:
    """Remove the oldest pieces of a table, but never the newest."""
    if excess <= 0:
        return
    pieces = sorted(Segment.all_in(table.folder), key=lambda piece: piece.written())
    for piece in pieces[:-1]:
        if excess <= 0:
            return
        with suppress(OSError):
            remove(piece.path)
            excess -= segment_bytes(piece, table.row_bytes)
