"""The part of the feature store that holds one slide, as one encoder sees it in one way."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import PrtsError
from napari_prts.features.bound import Bound
from napari_prts.features.segments import (
    HASH_LENGTH,
    DamagedSegmentError,
    Segment,
    pack_hashes,
    remove,
)
from napari_prts.features.stored import KEY_FILE, mark_used, segment_bytes, sweep
from napari_prts.files import written_aside

# So many segments of one size are merged into one; the number of segments stays
# below this times the logarithm of the number of nuclei.
_MERGE = 8
_LARGEST = 100_000
_log = logging.getLogger(__name__)


class FeatureTable:
    """Features of one slide, made by one encoder in one way.

    Made by :meth:`FeatureStore.table`. Several processes may read and write the
    same table at once: what is written appears whole or not at all, and nothing
    that is there is changed.

    Parameters
    ----------
    folder : Path
        Where it is kept; need not be there yet.
    key : dict
        What these features are of, written beside them for people to read.
    local_size, context_size : int
        Columns of the two parts.
    bound : Bound
        What makes room for what is written.
    """

    def __init__(
        self,
        folder: Path,
        key: Mapping[str, Any],
        local_size: int,
        context_size: int,
        bound: Bound,
    ) -> None:
        self.folder = folder
        self._bound = bound
        self._key = dict(key)
        self._sizes = (local_size, context_size)
        self._row_bytes = HASH_LENGTH + 4 * (local_size + context_size)
        # Merged ones stay small enough to be removed one by one where the limit asks for it.
        self._largest = min(_LARGEST, bound.limit // (8 * _MERGE * self._row_bytes))
        self._segments: list[Segment] = []
        self._damaged: set[Path] = set()
        self._hashes = np.empty(0, dtype="S16")
        self._where = np.empty((0, 2), dtype=np.int64)

    def __len__(self) -> int:
        self._refresh()
        return len(self._hashes)

    def get(
        self, hashes: NDArray[np.str_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        """Look nuclei up.

        Parameters
        ----------
        hashes : ndarray of str, shape (n,)
            Content hashes of the nuclei.

        Returns
        -------
        found : ndarray of bool, shape (n,)
            Which of them are in the table.
        local : ndarray of float32, shape (n, L)
            Their local parts; 0 where not found.
        context : ndarray of float32, shape (n, G)
            Their context parts; 0 where not found.
        """
        wanted = pack_hashes(hashes)
        mark_used(self.folder)
        while True:
            self._refresh()
            try:
                return self._look_up(wanted)
            except DamagedSegmentError:
                # _look_up has put it aside, or another process has merged it into a new one.
                continue

    def has(self, hashes: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Tell which nuclei are in the table, without reading their features, shape (n,)."""
        wanted = pack_hashes(hashes)
        mark_used(self.folder)
        self._refresh()
        return self._find(wanted)[0]

    def put(
        self,
        hashes: NDArray[np.str_],
        local: NDArray[np.float32],
        context: NDArray[np.float32],
    ) -> None:
        """Keep the features of some nuclei.

        Parameters
        ----------
        hashes : ndarray of str, shape (n,)
            Content hashes of the nuclei.
        local : ndarray of float32, shape (n, L)
            Local parts.
        context : ndarray of float32, shape (n, G)
            Context parts.

        Raises
        ------
        ValueError
            If the shapes are not those of the table, or a value is not finite.
        PrtsError
            If the disk is full or may not be written.
        """
        if (local.shape, context.shape) != tuple((len(hashes), size) for size in self._sizes):
            raise ValueError(
                f"{len(hashes)} nuclei, local {local.shape}, context {context.shape} do not fit a "
                f"table of {self._sizes[0]} and {self._sizes[1]} columns"
            )
        if not (np.isfinite(local).all() and np.isfinite(context).all()):
            raise ValueError("features must be finite")
        if not len(hashes):
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            packed = pack_hashes(hashes)
            segment = Segment.write(self.folder, packed, local, context, self._prepare)
            self._merge()
            self._bound.wrote(segment_bytes(segment, self._row_bytes))
        except OSError as error:
            raise PrtsError(
                f"Features cannot be kept in {self.folder} ({error.strerror or error}): make room "
                "there, or choose another folder with the variable NAPARI_PRTS_CACHE."
            ) from error

    def _look_up(
        self, wanted: NDArray[np.bytes_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        local = np.zeros((len(wanted), self._sizes[0]), dtype=np.float32)
        context = np.zeros((len(wanted), self._sizes[1]), dtype=np.float32)
        found, at = self._find(wanted)
        for number in np.unique(self._where[at[found], 0]):
            here = np.flatnonzero(found & (self._where[at, 0] == number))
            segment = self._segments[number]
            try:
                segment.fill(self._where[at[here], 1], local, context, here)
            except DamagedSegmentError as error:
                self._put_aside(segment, error)
                raise
        return found, local, context

    def _find(self, wanted: NDArray[np.bytes_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Which are there, and where in the index."""
        if not len(self._hashes):
            return np.zeros(len(wanted), np.bool_), np.zeros(len(wanted), np.intp)
        at = np.minimum(np.searchsorted(self._hashes, wanted), len(self._hashes) - 1)
        return self._hashes[at] == wanted, at

    def _refresh(self) -> None:
        """Read the index again if segments have come or gone."""
        segments = [s for s in Segment.all_in(self.folder) if s.path not in self._damaged]
        if segments == self._segments:
            return
        readable: list[Segment] = []
        hashes, where = [], []
        for segment in segments:
            try:
                found = segment.hashes()
            except DamagedSegmentError as error:
                self._put_aside(segment, error)
                continue
            rows = np.arange(len(found))
            where.append(np.column_stack((np.full_like(rows, len(readable)), rows)))
            hashes.append(found)
            readable.append(segment)
        together = np.concatenate(hashes) if hashes else np.empty(0, dtype="S16")
        self._hashes, first = np.unique(together, return_index=True)
        self._where = np.concatenate(where)[first] if where else np.empty((0, 2), dtype=np.int64)
        self._segments = readable

    def _put_aside(self, segment: Segment, error: DamagedSegmentError) -> None:
        """Take no more notice of a segment; its nuclei are encoded again."""
        if segment.path.exists():
            _log.warning("Features in %s are damaged and not used: %s", self.folder, error)
        self._damaged.add(segment.path)

    def _prepare(self) -> None:
        """Make the folder, and remove what processes that were killed have left in it."""
        key_file = self.folder / KEY_FILE
        if not key_file.exists():
            with written_aside(key_file) as aside:
                aside.write_text(json.dumps(self._key, indent=2) + "\n")
        mark_used(self.folder)
        sweep(self.folder)

    def _merge(self) -> None:
        """Replace many segments of about one size by one."""
        by_size: dict[int, list[Segment]] = {}
        for segment in Segment.all_in(self.folder):
            if segment.rows < self._largest and segment.path not in self._damaged:
                # Factors of 8: 1 to 3 rows, 4 to 31, 32 to 255 and so on.
                by_size.setdefault(segment.rows.bit_length() // 3, []).append(segment)
        for segments in by_size.values():
            if len(segments) >= _MERGE:
                self._merge_segments(segments)

    def _merge_segments(self, segments: list[Segment]) -> None:
        rows = sum(segment.rows for segment in segments)
        local, context = (np.empty((rows, size), np.float32) for size in self._sizes)
        hashes: list[NDArray[np.bytes_]] = []
        done = 0
        for segment in segments:
            own = np.arange(segment.rows)
            try:
                hashes.append(segment.hashes())
                segment.fill(own, local, context, own + done)
            except DamagedSegmentError as error:
                # Damaged, or another process is merging it: leave the rest as it is.
                self._put_aside(segment, error)
                return
            done += segment.rows
        together = np.concatenate(hashes)
        # In the order they came: what is looked up together lies together.
        kept = np.sort(np.unique(together, return_index=True)[1])
        if len(kept) < rows:
            together, local, context = together[kept], local[kept], context[kept]
        Segment.write(self.folder, together, local, context, self._prepare)
        for segment in segments:
            remove(segment.path)
