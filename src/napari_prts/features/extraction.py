"""Features of all nuclei of a slide: from the store where they are known, else encoded."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.combined import CombinedEncoder
from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.licences import Consent
from napari_prts.features.registry import MORPHOLOGY, load_encoder
from napari_prts.features.table import Features
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from napari_prts.features.store import FeatureStore, FeatureTable
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# A killed process loses no more than this.
_KEEP_ROWS = 256
_KEEP_AFTER_S = 2.0


@dataclass(frozen=True)
class ExtractRequest:
    """How to make features.

    Parameters
    ----------
    encoder : str
        Name or path of the encoder, see :func:`~napari_prts.features.load_encoder`.
    batch : int
        Tiles encoded at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    accept_licence : bool or callable
        Whether weights that are not on this computer may be downloaded.

    Raises
    ------
    ModelError
        If the batch is not positive.
    """

    encoder: str = MORPHOLOGY
    batch: int = 32
    device: str = "auto"
    accept_licence: Consent = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ModelError(f"batch is {self.batch}; give at least 1 tile a batch.")


def extract(
    slide: Slide,
    nuclei: Nuclei,
    request: ExtractRequest,
    store: FeatureStore | None = None,
) -> Job[Features]:
    """Make the features of all nuclei.

    Closing the job between two batches keeps what was encoded until then in the
    store, and frees the device.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        All nuclei of the slide: their neighbours are part of some encoders' context.
    request : ExtractRequest
        Which encoder, and where it runs.
    store : FeatureStore, optional
        Where features are looked up and kept; without it all nuclei are encoded.

    Yields
    ------
    Progress
        In nuclei, those found in the store included; the note names the encoder and
        the device. Of encoders side by side each has an equal share of the nuclei.

    Returns
    -------
    Features
        One row a nucleus, in the order of ``nuclei``.

    Raises
    ------
    MissingPixelSizeError
        If the slide's mpp is unknown.
    ModelError
        If the encoder cannot be loaded or run, or gives values that are not finite.
    """
    slide.require_mpp()
    yield Progress(0, len(nuclei), "nuclei", f"loading {request.encoder}")
    encoder = load_encoder(request.encoder, accept_licence=request.accept_licence)
    if not isinstance(encoder, CombinedEncoder):
        return (yield from _extracted(slide, nuclei, encoder, request, store))
    parts: list[Features] = []
    for part in encoder.parts:
        job = _extracted(slide, nuclei, part, request, store)
        parts.append((yield from _share(job, len(parts), len(encoder.parts))))
    return encoder.join(parts)


def _extracted(
    slide: Slide,
    nuclei: Nuclei,
    encoder: Encoder,
    request: ExtractRequest,
    store: FeatureStore | None,
) -> Job[Features]:
    """Features by one encoder."""
    slide_mpp, total = slide.require_mpp(), len(nuclei)
    settings = extraction_settings(encoder, slide_mpp)
    rows = _Rows(nuclei, encoder, slide.fingerprint, settings, store)
    note = f"{encoder.name} on {encoder.where(request.device)}"
    missing = rows.missing()
    done = total - len(missing)
    yield Progress(done, total, "nuclei", note)
    try:
        batches = encoder.encode(slide, nuclei, missing, request.batch, request.device)
        with closing(batches):
            for encoded in batches:
                rows.add(encoded)
                done += len(encoded.positions)
                yield Progress(done, total, "nuclei", note)
    finally:
        rows.keep()
    centroids_um = nuclei.centroids * np.float32(slide_mpp)
    context = encoder.context_of(rows.local, rows.context, centroids_um)
    return Features(
        nuclei.ids, rows.local, context, encoder.name, encoder.key, encoder.mpp, settings
    )


def _share(job: Job[Features], number: int, parts: int) -> Job[Features]:
    """Count one of several equal parts of the work as that share of all nuclei."""
    with closing(job):
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                features: Features = stop.value
                return features
            done = (number * progress.total + progress.done) // parts
            yield replace(progress, done=done)


def extraction_settings(encoder: Encoder, slide_mpp: float) -> dict[str, Any]:
    """All that the features depend on beside slide, nucleus and encoder.

    Part of the store's key: features made with other settings are never mixed.
    """
    return {
        "extraction": "exact",
        "slide_mpp": round(float(slide_mpp), 6),
        "mpp": encoder.mpp,
        "tile": encoder.tile,
        "padding": "slide background",
        "stain": "as scanned",
        "precision": "float32",
    }


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
            self._found = np.zeros(len(nuclei), dtype=np.bool_)
            self.local, self.context = (
                np.zeros((len(nuclei), size), dtype=np.float32) for size in sizes
            )
        else:
            self._table = store.table(fingerprint, encoder.key, settings, *sizes)
            self._found, self.local, self.context = self._table.get(self._hashes)
        self._waiting: list[NDArray[np.int64]] = []
        self._kept_at = time.monotonic()

    def missing(self) -> NDArray[np.int64]:
        """Positions of nuclei that must be encoded."""
        return np.flatnonzero(~self._found)

    def add(self, encoded: Encoded) -> None:
        """Take a batch in, and keep it in the store with others soon."""
        if not (np.isfinite(encoded.local).all() and np.isfinite(encoded.context).all()):
            raise ModelError(
                f"Encoder {self._encoder} gives values that are not finite: its weights are "
                "damaged. Get them again."
            )
        self.local[encoded.positions] = encoded.local
        self.context[encoded.positions] = encoded.context
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
