"""Features of all nuclei of a slide while they are being made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.encoder import Encoded, Encoder

if TYPE_CHECKING:
    from napari_prts.features.store import FeatureStore, FeatureTable
    from napari_prts.nuclei import Nuclei

# A killed process loses no more than this.
_KEEP_ROWS = 256
_KEEP_AFTER_S = 2.0


class Rows:
    """Features of all nuclei, filled from the store and batch by batch.

    What the store has is read when it is asked for: who waits for one corrected nucleus does
    not wait for a hundred megabytes of the others.

    Parameters
    ----------
    nuclei : Nuclei
        All nuclei of the slide.
    encoder : Encoder
        Which made them.
    fingerprint : str
        Of the slide.
    settings : dict
        How they are made.
    store : FeatureStore or None
        Where they are looked up and kept.

    Attributes
    ----------
    found : ndarray of bool, shape (n,)
        Which are known, or were in the store when it was asked.
    local, context : ndarray of float32, shape (n, L) and (n, C)
        The features; those that were not read yet are 0.
    """

    def __init__(
        self,
        nuclei: Nuclei,
        encoder: Encoder,
        fingerprint: str,
        settings: dict[str, Any],
        store: FeatureStore | None,
    ) -> None:
        self._hashes: NDArray[np.str_] = nuclei.hashes
        self._encoder = encoder.name
        self._table: FeatureTable | None = None
        sizes = (encoder.local_size, encoder.stored_context_size)
        self.local, self.context = (
            np.zeros((len(nuclei), size), dtype=np.float32) for size in sizes
        )
        self.found = np.zeros(len(nuclei), dtype=np.bool_)
        if store is not None:
            self._table = store.table(fingerprint, encoder.key, settings, *sizes)
            self.found = self._table.has(self._hashes)
        self._unread = self.found.copy()
        self._waiting: list[NDArray[np.int64]] = []
        self._kept_at = time.monotonic()

    def missing(self) -> NDArray[np.int64]:
        """Positions of nuclei that must be encoded."""
        return np.flatnonzero(~self.found)

    def require(self, positions: NDArray[np.int64]) -> None:
        """Read some nuclei from the store, if they were not read yet."""
        if self._unread[positions].any():
            self.read()

    def read(self) -> None:
        """Read all that was found; what is no longer there, or damaged, is missing then."""
        if self._table is None or not self._unread.any():
            return
        where = np.flatnonzero(self._unread)
        if len(where) == len(self.found):
            there, self.local, self.context = self._table.get(self._hashes)
        else:
            there, local, context = self._table.get(self._hashes[where])
            self.local[where], self.context[where] = local, context
        self._unread[:] = False
        self.found[where] = there

    def add(self, encoded: Encoded) -> None:
        """Take a batch in, and keep it in the store with others soon."""
        if not (np.isfinite(encoded.local).all() and np.isfinite(encoded.context).all()):
            raise ModelError(
                f"Encoder {self._encoder} gives values that are not finite: its weights are "
                "damaged. Get them again."
            )
        self.local[encoded.positions] = encoded.local
        self.context[encoded.positions] = encoded.context
        self.found[encoded.positions] = True
        self._waiting.append(encoded.positions)
        rows = sum(len(positions) for positions in self._waiting)
        if rows >= _KEEP_ROWS or time.monotonic() - self._kept_at > _KEEP_AFTER_S:
            self.keep()

    def keep(self) -> None:
        """Write what waits to the store."""
        if self._table is not None and any(len(some) for some in self._waiting):
            where = np.concatenate(self._waiting)
            self._table.put(self._hashes[where], self.local[where], self.context[where])
        self._waiting = []
        self._kept_at = time.monotonic()
