"""Features kept on disk, so that no nucleus is encoded twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from napari_prts.errors import PrtsError
from napari_prts.features.bound import Bound, limit_of
from napari_prts.features.feature_table import FeatureTable
from napari_prts.features.segments import remove
from napari_prts.features.stored import StoredTable, stored_tables, sweep
from napari_prts.files import cache_folder

__all__ = ["FeatureStore", "FeatureTable", "StoredTable"]

_FORMAT_VERSION = 1


class FeatureStore:
    """Features on disk by slide, encoder and settings, then by content of the nucleus.

    A nucleus whose outline was edited has another content hash and is not found; all
    others are. Features of another slide, encoder, scale or setting are never found.

    What has not been used longest is removed when the store would grow above its limit: a
    whole table (a slide, an encoder and a way of extraction) at once, but none that was used
    within the last hour, as this or another process may be at work on it. A table that is
    above the limit by itself loses what was written to it first.

    Parameters
    ----------
    folder : path, optional
        Where they are kept; ``features`` in the user's cache by default.
    limit_bytes : int, optional
        Bytes it may take on disk; by default what the environment variable
        ``NAPARI_PRTS_FEATURES_GB`` says in gigabytes (of 10**9 bytes), else 20 of them.

    Raises
    ------
    PrtsError
        If the limit is not a positive number.
    """

    def __init__(self, folder: Path | str | None = None, limit_bytes: int | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_folder() / "features"
        self.limit_bytes = limit_of(limit_bytes)

    def table(
        self,
        slide: str,
        encoder: str,
        settings: Mapping[str, Any],
        local_size: int,
        context_size: int,
    ) -> FeatureTable:
        """Give the table of one slide, encoder and way of extraction.

        Parameters
        ----------
        slide : str
            Fingerprint of the slide.
        encoder : str
            Key of the encoder.
        settings : mapping
            How features are extracted, the scale of the slide among it; JSON values.
        local_size, context_size : int
            Columns of what is kept.
        """
        key = {
            "format_version": _FORMAT_VERSION,
            "slide": slide,
            "encoder": encoder,
            "settings": dict(settings),
            "columns": [local_size, context_size],
        }
        name = xxhash.xxh3_128(json.dumps(key, sort_keys=True).encode()).hexdigest()
        folder = self.folder / name
        bound = Bound(self.folder, self.limit_bytes, folder)
        return FeatureTable(folder, key, local_size, context_size, bound)

    def tables(self) -> list[StoredTable]:
        """List what is kept, the table not used longest first."""
        return stored_tables(self.folder)

    def size(self) -> int:
        """Bytes on disk, within a few per cent."""
        return sum(table.bytes for table in self.tables())

    def clear(self) -> None:
        """Remove all features.

        Raises
        ------
        PrtsError
            If something cannot be removed.
        """
        self._remove(self.tables())
        sweep(self.folder)

    def clear_slide(self, fingerprint: str) -> None:
        """Remove the features of one slide, by whichever encoder.

        Parameters
        ----------
        fingerprint : str
            Of the slide.

        Raises
        ------
        PrtsError
            If something cannot be removed.
        """
        self._remove([table for table in self.tables() if table.slide == fingerprint])

    def _remove(self, tables: list[StoredTable]) -> None:
        for table in tables:
            try:
                remove(table.folder)
            except OSError as error:
                raise PrtsError(
                    f"{table.folder} cannot be removed ({error.strerror or error}): close other "
                    "programs that use it, or remove it by hand."
                ) from error
