"""What one encoder gives of all nuclei: rows from the store, then batch by batch."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.request import EXACT, ExtractRequest
from napari_prts.features.settled import Settled
from napari_prts.features.table import Features
from napari_prts.features.tiles import BLOCK
from napari_prts.features.worklist import Worklist
from napari_prts.nuclei import Source

if TYPE_CHECKING:
    from napari_prts.features.store import FeatureStore, FeatureTable
    from napari_prts.focus import Focus
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# A killed process loses no more than this.
_KEEP_ROWS = 256
_KEEP_AFTER_S = 2.0


def extraction_settings(
    encoder: Encoder, slide_mpp: float, request: ExtractRequest
) -> dict[str, Any]:
    """All that the features depend on beside slide, nucleus and encoder.

    Part of the store's key: features made with other settings are never mixed.
    """
    return {
        "extraction": request.tiles if request.tiles in encoder.tilings else EXACT,
        "slide_mpp": round(float(slide_mpp), 6),
        "mpp": encoder.mpp,
        "tile": encoder.tile,
        "padding": "slide background",
        "stain": "as scanned",
        "precision": encoder.precision(request),
    }


class Part:
    """One encoder at work on the nuclei of a slide.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        All nuclei of the slide.
    encoder : Encoder
        No combination.
    request : ExtractRequest
        How.
    store : FeatureStore or None
        Where features are looked up and kept.
    focus : Focus or None
        Where the user looks.

    Attributes
    ----------
    done : int
        Nuclei encoded, those found in the store included.
    ended : bool
        Whether there is nothing left to encode.
    block_px : float
        Side of a block of work in level-0 pixels.
    """

    def __init__(
        self,
        slide: Slide,
        nuclei: Nuclei,
        encoder: Encoder,
        request: ExtractRequest,
        store: FeatureStore | None,
        focus: Focus | None,
    ) -> None:
        slide_mpp = slide.require_mpp()
        self._nuclei, self._encoder = nuclei, encoder
        self._settings = extraction_settings(encoder, slide_mpp, request)
        self._where, self._remark = f"{encoder.name} on {encoder.where(request)}", ""
        self._rows = _Rows(nuclei, encoder, slide.fingerprint, self._settings, store)
        self._centroids_um = nuclei.centroids * np.float32(slide_mpp)
        self._settled = Settled(self._centroids_um, encoder.reach_um)
        missing = self._rows.missing()
        self.done, self.ended = len(nuclei) - len(missing), not len(missing)
        to_level_0 = encoder.mpp / slide_mpp
        self.block_px = BLOCK * to_level_0
        work = Worklist(
            nuclei.centroids,
            missing,
            self.block_px,
            # Tiles are read by the block that their corner lies in.
            encoder.tile / 2 * to_level_0,
            focus,
            np.isin(nuclei.sources, (Source.MANUAL, Source.EDITED)),
        )
        self._batches: Generator[Encoded, None, None] = encoder.encode(slide, nuclei, work, request)

    @property
    def note(self) -> str:
        """Encoder, device, and what the user should know of them."""
        return f"{self._where} ({self._remark})" if self._remark else self._where

    def step(self) -> bool:
        """Encode one batch; tell whether that was not the end."""
        encoded = next(self._batches, None)
        if encoded is None:
            self.ended = True
            return False
        self._rows.add(encoded)
        self._remark = encoded.remark or self._remark
        self.done += len(encoded.positions)
        return True

    def close(self) -> None:
        """Stop, and keep what was encoded."""
        self._batches.close()
        self._rows.keep()

    def settled(self) -> NDArray[np.bool_]:
        """Nuclei whose features are known and final, shape (n,)."""
        return self._settled.among(self._rows.found)

    def features(self) -> Features:
        """All rows; all must be known."""
        rows = self._rows
        context = self._encoder.context_of(rows.local, rows.context, self._centroids_um)
        return self._table(self._nuclei.ids, rows.local, context)

    def features_of(self, positions: NDArray[np.int64]) -> Features:
        """Rows of nuclei that are settled."""
        rows = self._rows
        some = self._settled.with_neighbours(positions, rows.found)
        local = rows.local[some]
        context = self._encoder.context_of(local, rows.context[some], self._centroids_um[some])
        count = len(positions)
        return self._table(self._nuclei.ids[positions], local[:count], context[:count])

    def _table(
        self, ids: NDArray[np.int64], local: NDArray[np.float32], context: NDArray[np.float32]
    ) -> Features:
        encoder = self._encoder
        return Features(ids, local, context, encoder.name, encoder.key, encoder.mpp, self._settings)


class _Rows:
    """Features of all nuclei, filled from the store and then batch by batch."""

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
        if store is None:
            self.found = np.zeros(len(nuclei), dtype=np.bool_)
            self.local, self.context = (
                np.zeros((len(nuclei), size), dtype=np.float32) for size in sizes
            )
        else:
            self._table = store.table(fingerprint, encoder.key, settings, *sizes)
            self.found, self.local, self.context = self._table.get(self._hashes)
        self._waiting: list[NDArray[np.int64]] = []
        self._kept_at = time.monotonic()

    def missing(self) -> NDArray[np.int64]:
        """Positions of nuclei that must be encoded."""
        return np.flatnonzero(~self.found)

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
