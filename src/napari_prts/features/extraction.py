"""Features of all nuclei of a slide: from the store where they are known, else encoded."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.combined import CombinedEncoder, parts_of
from napari_prts.features.extraction_part import Part, extraction_settings
from napari_prts.features.request import ExtractRequest
from napari_prts.features.shelf import EncoderShelf
from napari_prts.features.table import Features
from napari_prts.features.worklist import Worklist
from napari_prts.jobs import Job, Progress
from napari_prts.pipeline import PULSE, Step, overlapped

if TYPE_CHECKING:
    from napari_prts.features.encoder import Encoder
    from napari_prts.features.store import FeatureStore
    from napari_prts.focus import Focus
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

__all__ = ["ExtractRequest", "extract", "extraction_settings"]

# Nuclei from the store that are handed on at once while somebody looks.
_CHUNK = 1024
# So few that are missing were corrected.
_FEW = 32
_PULSE_S = 0.2


def extract(
    slide: Slide,
    nuclei: Nuclei,
    request: ExtractRequest,
    store: FeatureStore | None = None,
    focus: Focus | None = None,
    shelf: EncoderShelf | None = None,
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
    focus : Focus, optional
        Where the user looks: nuclei there are encoded first, even if it changes
        meanwhile. The result is the same.
    shelf : EncoderShelf, optional
        Where the encoder may be loaded already.

    Yields
    ------
    Progress
        In nuclei, those found in the store included; the note names the encoder and
        the device. Of encoders side by side each has an equal share of the nuclei. With
        a focus ``partial`` is the :class:`~napari_prts.features.Features` of nuclei
        that have become known, each nucleus once, or None. Of an encoder alone that looks
        at shared tiles, nuclei in view are told twice: first as far as half of their tiles
        say.

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
    encoder = yield from _loaded(shelf or EncoderShelf(), request, len(nuclei))
    extraction = _Extraction(slide, nuclei, encoder, request, store, focus)
    with closing(extraction.run()) as running:
        yield from running
    return extraction.features()


def _loaded(
    shelf: EncoderShelf, request: ExtractRequest, total: int
) -> Job[Encoder | CombinedEncoder]:
    """Load the encoder in a thread of its own: it can take seconds, and be cancelled."""
    opening = Progress(0, total, "nuclei", f"loading {request.encoder}")
    yield opening

    def load(name: str) -> Encoder | CombinedEncoder:
        return shelf.get(name, request.accept_licence)

    with closing(overlapped([request.encoder], Step(load), pulse=_PULSE_S)) as loading:
        for encoder in loading:
            if encoder is not PULSE:
                found: Encoder | CombinedEncoder = encoder
                return found
            yield opening
    raise AssertionError("loading ends with an encoder or an error")


class _Extraction:
    """One run of :func:`extract`."""

    def __init__(
        self,
        slide: Slide,
        nuclei: Nuclei,
        encoder: Encoder | CombinedEncoder,
        request: ExtractRequest,
        store: FeatureStore | None,
        focus: Focus | None,
    ) -> None:
        self._nuclei, self._encoder, self._focus = nuclei, encoder, focus
        self._parts = [
            Part(slide, nuclei, part, request, store, focus) for part in parts_of(encoder)
        ]
        self._told = np.zeros(len(nuclei), np.bool_)

    def run(self) -> Generator[Progress, None, None]:
        """Encode what is missing, by turns with all parts."""
        yield self._progress()
        known = self._known()
        try:
            if self._missing() <= _FEW:
                # A corrected nucleus is waited for; the others have been seen before.
                while (part := self._least_done()) is not None:
                    if part.step():
                        yield self._progress(self._news())
            for part in self._parts:
                part.read()
            told = self._chunks(known & self._settled())
            self._told[known & ~self._settled()] = False
            while True:
                chunk = told.take(_CHUNK)
                if len(chunk):
                    yield self._progress(chunk)
                if (part := self._least_done()) is not None:
                    if part.step():
                        yield self._progress(self._news())
                elif not len(chunk):
                    return
        finally:
            for part in self._parts:
                part.close()

    def features(self) -> Features:
        """All rows."""
        return self._joined([part.features() for part in self._parts])

    def _joined(self, features: list[Features]) -> Features:
        if isinstance(self._encoder, CombinedEncoder):
            return self._encoder.join(features)
        return features[0]

    def _least_done(self) -> Part | None:
        running = [part for part in self._parts if not part.ended]
        return min(running, key=lambda part: part.done) if running else None

    def _missing(self) -> int:
        return max(len(self._nuclei) - part.done for part in self._parts)

    def _known(self) -> NDArray[np.bool_]:
        """What the store has, to be told while the rest is encoded; nothing if nobody looks."""
        known = self._settled() if self._focus is not None else np.zeros_like(self._told)
        self._told |= known
        return known

    def _chunks(self, known: NDArray[np.bool_]) -> Worklist:
        side = self._parts[0].block_px
        return Worklist(self._nuclei.centroids, np.flatnonzero(known), side, focus=self._focus)

    def _settled(self) -> NDArray[np.bool_]:
        settled: NDArray[np.bool_] = np.logical_and.reduce([p.settled() for p in self._parts])
        return settled

    def _news(self) -> NDArray[np.int64]:
        """Nuclei that have become known since it was asked last."""
        if self._focus is None:
            return np.empty(0, np.int64)
        fresh = self._settled() & ~self._told
        self._told |= fresh
        return np.flatnonzero(fresh)

    def _progress(self, rows: NDArray[np.int64] | None = None) -> Progress:
        done = sum(part.done for part in self._parts) // len(self._parts)
        note = "; ".join(part.note for part in self._parts)
        partial = None
        if rows is not None and len(rows):
            partial = self._joined([part.features_of(rows) for part in self._parts])
        early = self._parts[0].early if len(self._parts) == 1 else None
        if early is not None:
            partial = early if partial is None else Features.concatenate([early, partial])
            self._parts[0].early = None
        return Progress(done, len(self._nuclei), "nuclei", note, partial)
