"""Vision transformers as encoders: CLS as context, the tokens under the nucleus as local part."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.checkpoints import weights_digest
from napari_prts.features.device import choose_device, device_name
from napari_prts.features.encoder import Encoded
from napari_prts.features.precision import choose_precision
from napari_prts.features.request import EXACT, FLOAT32, GRID, ExtractRequest
from napari_prts.features.vit_network import VitNetwork, moved
from napari_prts.features.vit_tiles import OwnTiles, SharedTiles
from napari_prts.pipeline import PULSE, overlapped

if TYPE_CHECKING:
    import torch
    from timm.models import VisionTransformer

    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# PRTS, HIPT and the pathology models at the hub look at 20x, that is 0.5 um/px.
MPP = 0.5
# While a batch takes long, an empty one is given so often, in seconds: a job can be cancelled.
_PULSE_S = 0.1
# A graphics card is quicker than one thread reads.
_GPU_READERS = 4
# Raised when the same weights would give other features.
_METHOD_VERSION = 1


class VitEncoder:
    """A vision transformer of timm that looks at a tile for each nucleus, or at shared ones.

    Parameters
    ----------
    name : str
        Name by which it is loaded again.
    model : timm.models.VisionTransformer
        With its weights, on the CPU, in float32.
    architecture : str
        Its name in timm, for the key.
    mean, std : tuple of float
        Normalisation of the channels red, green and blue, scaled to 0 to 1.
    licence : str
        Licence of the weights.
    mpp : float
        Microns per pixel of the tiles.

    Raises
    ------
    ModelError
        If its patches or tiles are not square, or its width is odd.
    """

    reach_um = 0.0
    tilings: tuple[str, ...] = (EXACT, GRID)

    def __init__(
        self,
        name: str,
        model: VisionTransformer,
        architecture: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        licence: str,
        mpp: float = MPP,
    ) -> None:
        rows, columns = model.patch_embed.grid_size
        patch_rows, patch_columns = model.patch_embed.patch_size
        if rows != columns or patch_rows != patch_columns or model.embed_dim % 2:
            raise ModelError(
                f"{name} cuts its tile into {rows} x {columns} patches of {patch_rows} x "
                f"{patch_columns} px with {model.embed_dim} channels; choose a model with square "
                "tiles and an even number of channels."
            )
        self.name, self.licence, self.mpp = name, licence, mpp
        self.grid, self.patch = int(rows), int(patch_rows)
        self.tile = self.grid * self.patch
        self.local_size = int(model.embed_dim) // 2
        self.context_size = self.stored_context_size = int(model.embed_dim)
        self._model = model.eval().requires_grad_(False)
        self._mean, self._std = mean, std
        self._on_cpu: dict[str, VisionTransformer] = {}
        self._placing = threading.Lock()
        self.key = self._key(architecture)

    def _key(self, architecture: str) -> str:
        facts: dict[str, Any] = {
            "method": _METHOD_VERSION,
            "weights": weights_digest(self._model.state_dict()),
            "mean": self._mean,
            "std": self._std,
            "tile": self.tile,
            "patch": self.patch,
            "mpp": self.mpp,
        }
        digest = xxhash.xxh3_64(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{architecture}-{self.tile}px-{self.mpp:g}um-{digest}"

    def precision(self, request: ExtractRequest) -> str:
        """Name of the precision in which it will be computed."""
        return choose_precision(request.precision, request.device)

    def where(self, request: ExtractRequest) -> str:
        """Say on which device it will run; raise ModelError if it cannot."""
        precision = self.precision(request)
        words = device_name(choose_device(request.device))
        return words if precision == FLOAT32 else f"{words}, {precision}"

    def encode(
        self, slide: Slide, nuclei: Nuclei, work: Worklist, request: ExtractRequest
    ) -> Generator[Encoded, None, None]:
        """Encode the nuclei of a worklist; reading and the network work at the same time.

        The copy of the model on the device is released when the iterator ends or
        is closed.
        """
        if not len(work):
            return
        device = choose_device(request.device)
        precision = self.precision(request)
        network = VitNetwork(
            self._placed(device, precision), device, precision, self._mean, self._std
        )
        kind = SharedTiles if request.tiles == GRID else OwnTiles
        looking = kind(self, slide, nuclei, work, network)
        steps = looking.steps(1 if device.type == "cpu" else _GPU_READERS)
        work_list = looking.batches(network.batch(request.batch))
        # Who cancels, or corrects a nucleus, waits for the next job to begin.
        batches = overlapped(work_list, *steps, pulse=_PULSE_S, patience=0.0)
        try:
            with closing(batches):
                for found in batches:
                    yield self._nobody() if found is PULSE else found
        finally:
            network.close()

    def _placed(self, device: torch.device, precision: str) -> VisionTransformer:
        """The model on a device; of those on the CPU a copy is kept for the next job."""
        if device.type != "cpu":
            return moved(self._model, device, precision)
        with self._placing:
            if precision not in self._on_cpu:
                self._on_cpu[precision] = moved(self._model, device, precision)
            return self._on_cpu[precision]

    def _nobody(self) -> Encoded:
        sizes = self.local_size, self.stored_context_size
        local, context = (np.empty((0, size), np.float32) for size in sizes)
        return Encoded(np.empty(0, np.int64), local, context)

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Context of all nuclei: the CLS tokens, as they were encoded."""
        return stored
