"""What one encoder gives of all nuclei: rows from the store, then batch by batch."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.request import EXACT, ExtractRequest
from napari_prts.features.rows import Rows
from napari_prts.features.settled import Settled
from napari_prts.features.table import Features
from napari_prts.features.tiles import BLOCK
from napari_prts.features.worklist import Worklist
from napari_prts.nuclei import Source

if TYPE_CHECKING:
    from napari_prts.features.store import FeatureStore
    from napari_prts.focus import Focus
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


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
    early : Features or None
        Nuclei of which the last batch has told something, to be shown until all is known.
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
        self._slide, self._nuclei, self._encoder = slide, nuclei, encoder
        self._request, self._focus = request, focus
        self._settings = extraction_settings(encoder, slide_mpp, request)
        self.early: Features | None = None
        self._where, self._remark = f"{encoder.name} on {encoder.where(request)}", ""
        self._rows = Rows(nuclei, encoder, slide.fingerprint, self._settings, store)
        self._centroids_um = nuclei.centroids * np.float32(slide_mpp)
        self._settled = Settled(self._centroids_um, encoder.reach_um)
        self.block_px = BLOCK * encoder.mpp / slide_mpp
        self._batches = self._encoding()

    def _encoding(self) -> Generator[Encoded, None, None]:
        """Begin with what is missing now."""
        nuclei, encoder = self._nuclei, self._encoder
        missing = self._rows.missing()
        self.done, self.ended = len(nuclei) - len(missing), not len(missing)
        work = Worklist(
            nuclei.centroids,
            missing,
            self.block_px,
            # Tiles are read by the block that their corner lies in.
            encoder.tile / 2 * encoder.mpp / self._slide.require_mpp(),
            self._focus,
            np.isin(nuclei.sources, (Source.MANUAL, Source.EDITED)),
        )
        return encoder.encode(self._slide, nuclei, work, self._request)

    def read(self) -> None:
        """Read what the store has; what is no longer there is encoded after all."""
        self._rows.read()
        if len(self._rows.missing()) != len(self._nuclei) - self.done:
            self._batches.close()
            self._batches = self._encoding()

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
        early = encoded.early
        self.early = None
        if early is not None and np.isfinite(early.local).all():
            ids = self._nuclei.ids[early.positions]
            self.early = self._table(ids, early.local, early.context)
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
        rows.require(some)
        local = rows.local[some]
        context = self._encoder.context_of(local, rows.context[some], self._centroids_um[some])
        count = len(positions)
        return self._table(self._nuclei.ids[positions], local[:count], context[:count])

    def _table(
        self, ids: NDArray[np.int64], local: NDArray[np.float32], context: NDArray[np.float32]
    ) -> Features:
        encoder = self._encoder
        return Features(ids, local, context, encoder.name, encoder.key, encoder.mpp, self._settings)
