"""Encoders that are loaded already, and how quick they are here."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.features.combined import CombinedEncoder, parts_of
from napari_prts.features.encoder import Encoder
from napari_prts.features.licences import Consent
from napari_prts.features.registry import load_encoder
from napari_prts.features.request import GRID, ExtractRequest
from napari_prts.features.worklist import Worklist
from napari_prts.jobs import Job, Progress
from napari_prts.pipeline import PULSE, Step, overlapped

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# A ViT-S/16 takes 88 MB; who compares two models has both at hand.
_KEPT = 2
_PULSE_S = 0.2
# Tiles that are timed: half a second on two cores.
_TIMED = 12


class EncoderShelf:
    """Keeps the encoders used last in memory. Safe to use from several threads.

    Only the weights on the CPU are kept; what a job needs on a GPU it frees at its end.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Encoder | CombinedEncoder] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, consent: Consent = False) -> Encoder | CombinedEncoder:
        """Give an encoder; load it if it is not there, once if several ask at a time.

        Raises
        ------
        ModelError
            As :func:`~napari_prts.features.load_encoder` does.
        """
        with self._lock:
            if name not in self._kept:
                self._kept[name] = load_encoder(name, accept_licence=consent)
            self._kept.move_to_end(name)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[name]

    def ready(self, name: str) -> bool:
        """Tell whether an encoder is loaded; does not wait for one that is being loaded."""
        return name in self._kept

    def clear(self) -> None:
        """Free the memory."""
        with self._lock:
            self._kept.clear()


@dataclass(frozen=True)
class Speed:
    """How quick an encoder is on this machine.

    Parameters
    ----------
    tiles_per_s : float or None
        Tiles encoded a second; None for encoders that look at no tiles.
    where : str
        Device and precision, for the user.
    """

    tiles_per_s: float | None
    where: str


def warm_up_job(request: ExtractRequest, slide: Slide, shelf: EncoderShelf) -> Job[Speed]:
    """Load an encoder and look at a few tiles of a slide, so that the first click is answered.

    Parameters
    ----------
    request : ExtractRequest
        Which encoder, and where it will run.
    slide : Slide
        Where the tiles are from; its mpp must be known.
    shelf : EncoderShelf
        Where the encoder is put.

    Yields
    ------
    Progress
        While it is loaded, so that it can be cancelled.

    Returns
    -------
    Speed
        What was timed.

    Raises
    ------
    ModelError
        If the encoder cannot be had or run.
    """
    opening = Progress(0, 1, "encoders", f"loading {request.encoder}")
    yield opening

    def warm(name: str) -> Speed:
        encoder = shelf.get(name, request.accept_licence)
        times = [_timed(slide, part, request) for part in parts_of(encoder) if GRID in part.tilings]
        return Speed(1 / sum(times) if times else None, encoder.where(request))

    with closing(overlapped([request.encoder], Step(warm), pulse=_PULSE_S)) as warming:
        for speed in warming:
            if speed is not PULSE:
                found: Speed = speed
                return found
            yield opening
    raise AssertionError("a warm-up ends with a speed or an error")


def _timed(slide: Slide, encoder: Encoder, request: ExtractRequest) -> float:
    """Seconds a tile, once it runs."""
    from napari_prts.nuclei import Nuclei

    centre = np.array(slide.shape[:2]) / 2
    square = np.array([[-4, -4], [-4, 4], [4, 4], [4, -4]])
    nuclei = Nuclei.from_polygons([centre + square + shift for shift in range(_TIMED)])
    work = Worklist(nuclei.centroids, np.arange(_TIMED), block=float(max(slide.shape[:2])))
    seen, first, count = 0, 0.0, 0
    with closing(encoder.encode(slide, nuclei, work, request)) as batches:
        for encoded in batches:
            seen += len(encoded.positions)
            if seen and not first:
                # The first batch also lays the weights out in memory.
                first, count = time.perf_counter(), seen
    return (time.perf_counter() - first) / max(seen - count, 1)
