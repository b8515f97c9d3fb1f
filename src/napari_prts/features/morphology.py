"""Shape, stain and texture of nuclei: an honest baseline that needs no weights."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.features.device import check_device
from napari_prts.features.encoder import Encoded
from napari_prts.features.request import EXACT, FLOAT32, ExtractRequest
from napari_prts.nuclei import measure_nuclei, neighbourhood
from napari_prts.nuclei.measurements import PIXEL_NAMES
from napari_prts.nuclei.shapes import SHAPE_NAMES

if TYPE_CHECKING:
    from napari_prts.features.worklist import Worklist
    from napari_prts.jobs import Job
    from napari_prts.nuclei import Measurements, Nuclei
    from napari_prts.slide import Slide

MPP = 0.5
RADII_UM = (25.0, 50.0, 100.0)
# Raised when the same nuclei would be measured otherwise: old values in stores and
# models must not meet new ones.
_METHOD_VERSION = 1
# Nuclei are measured and kept in groups: at the border of a group some blocks are read
# again. Somebody who looks wants to see the first ones at once.
_GROUP = 2000
_FIRST_GROUP = 250


class MorphologyEncoder:
    """Local: what is measured on the nucleus. Context: density and means around it.

    The measurements depend on the nucleus alone and are kept in the store. The context
    depends on the neighbours and is made anew each time, from all nuclei.
    """

    name = "morphology"
    licence = "BSD-3-Clause (no weights)"
    mpp = MPP
    local_names = SHAPE_NAMES + PIXEL_NAMES
    local_size = len(local_names)
    context_size = len(RADII_UM) * (local_size + 1)
    stored_context_size = 0
    reach_um = max(RADII_UM)
    tilings: tuple[str, ...] = (EXACT,)
    # It looks as far as its largest radius.
    tile = round(2 * max(RADII_UM) / MPP)

    def __init__(self) -> None:
        facts = [_METHOD_VERSION, self.local_names, RADII_UM, MPP]
        digest = xxhash.xxh3_64(json.dumps(facts).encode()).hexdigest()
        self.key = f"morphology-{MPP:g}um-{digest}"

    def where(self, request: ExtractRequest) -> str:
        """Say that it runs on the CPU, whatever is asked for."""
        check_device(request.device)
        return "CPU"

    def precision(self, request: ExtractRequest) -> str:
        """Name of the precision in which it will be computed."""
        return FLOAT32

    def encode(
        self, slide: Slide, nuclei: Nuclei, work: Worklist, request: ExtractRequest
    ) -> Generator[Encoded, None, None]:
        """Measure the nuclei of a worklist, group after group, the first a small one.

        Of the request nothing matters here. Between the groups batches without
        nuclei are given, so that a job can be cancelled after each block.
        """
        size = _FIRST_GROUP if work.view is not None else _GROUP
        while len(chosen := work.take(size)):
            size = _GROUP
            measuring = measure_nuclei(slide, nuclei, MPP, chosen)
            values = yield from _between(measuring)
            yield Encoded(chosen, values, np.empty((len(chosen), 0), np.float32))

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Density and mean measurements within 25, 50 and 100 um."""
        if not len(local):
            return np.empty((0, self.context_size), np.float32)
        context: NDArray[np.float32]
        _, context = neighbourhood(local, centroids_um, RADII_UM)
        return context


def _between(
    measuring: Job[Measurements],
) -> Generator[Encoded, None, NDArray[np.float32]]:
    """Run a measurement, giving an empty batch after each block; return its values."""
    nobody = Encoded(
        np.empty(0, np.int64),
        np.empty((0, MorphologyEncoder.local_size), np.float32),
        np.empty((0, 0), np.float32),
    )
    while True:
        try:
            next(measuring)
        except StopIteration as stop:
            values: NDArray[np.float32] = stop.value.values
            return values
        yield nobody
