"""A vision transformer ready to run on a device, whose batches shrink when memory is short."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.device import is_out_of_memory, release
from napari_prts.features.precision import as_dtype
from napari_prts.segmentation.threads import ThreadLimit

if TYPE_CHECKING:
    from timm.models import VisionTransformer

# On a CPU each of two cores looks at a batch of its own, so that none waits for the other
# after each layer: 24 tiles a second of a ViT-S/16 in bfloat16 in the place of 20. Small
# batches are as quick as large ones there, and the first is there sooner.
LOOKERS = 2
CPU_BATCH = 4
# 256 tiles of 256 px through a ViT-S/16 in half precision take some 2 GB.
GPU_BATCH = 256


class VitNetwork:
    """Looks at tiles on one device. Safe to use from several threads.

    What it gives of a tile does not depend on the other tiles of the batch.

    Parameters
    ----------
    model : timm.models.VisionTransformer
        As :func:`moved` gives it.
    device : torch.device
        Where it is.
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    mean, std : tuple of float
        Normalisation of the channels, scaled to 0 to 1.

    Attributes
    ----------
    lookers : int
        Threads that should look at the same time.
    remark : str
        What the user should know: that memory was short.
    """

    def __init__(
        self,
        model: VisionTransformer,
        device: torch.device,
        precision: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        threads = torch.get_num_threads()
        self.lookers = min(LOOKERS, threads) if device.type == "cpu" else 1
        self.remark = ""
        self._device, self._dtype = device, as_dtype(precision)
        self._limit = ThreadLimit(threads // self.lookers if self.lookers > 1 else None)
        self._model = model
        self._mean, self._std = (
            torch.tensor(values, device=device).reshape(1, 3, 1, 1) for values in (mean, std)
        )
        self._most: int | None = None

    def batch(self, wanted: int | None) -> int:
        """Tiles to give at once."""
        return wanted or (CPU_BATCH if self._device.type == "cpu" else GPU_BATCH)

    def look(
        self, pixels: NDArray[np.uint8], tiles: NDArray[np.int64], patches: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Look at tiles; where memory does not suffice, at fewer at once from then on.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (b, tile, tile, 3)
            RGB.
        tiles, patches : ndarray of int64, shape (t,)
            Tokens that are wanted: which tile, ascending, and which patch of it.

        Returns
        -------
        tokens : ndarray of float32, shape (t, D)
            The tokens that are wanted.
        context : ndarray of float32, shape (b, D)
            CLS of each tile, or what a model without it was trained to give.

        Raises
        ------
        ModelError
            If memory does not suffice for one tile.
        """
        found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        start = 0
        while start < len(pixels):
            stop = min(start + (self._most or len(pixels)), len(pixels))
            low, high = np.searchsorted(tiles, [start, stop])
            wanted = tiles[low:high] - start, patches[low:high]
            try:
                found.append(self._pass(pixels[start:stop], *wanted))
                start = stop
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(stop - start, error)
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def close(self) -> None:
        """Free the device."""
        del self._model
        release(self._device)

    def _shrink(self, tried: int, error: RuntimeError) -> None:
        release(self._device)
        if tried == 1:
            raise ModelError(
                f"The memory of {self._device.type} does not suffice for one tile ({error}): close "
                "what else uses it, or choose 'cpu' as device."
            ) from error
        self._most = max(1, tried // 2)
        self.remark = f"memory was short: {self._most} tiles at once"

    @torch.inference_mode()
    def _pass(
        self, pixels: NDArray[np.uint8], tiles: NDArray[np.int64], patches: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        model = self._model
        with self._limit.limited():
            tokens = model.forward_features(self._normalised(pixels))
            context = tokens[:, 0] if _has_trained_cls(model) else _pooled(model, tokens)
            length = tokens.shape[1]
            flat = torch.from_numpy(tiles * length + patches + model.num_prefix_tokens)
            wanted = tokens.reshape(-1, tokens.shape[2])[flat.to(self._device)]
            return _as_numpy(wanted), _as_numpy(context)

    def _normalised(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        images = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float().div_(255)
        return images.sub_(self._mean).div_(self._std).to(self._dtype)


class _InFloat32(torch.nn.Module):
    """A layer that is computed in float32, whatever it is given."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self._layer = layer.float()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._layer(values.float())
        return found


def moved(model: VisionTransformer, device: torch.device, precision: str) -> VisionTransformer:
    """Copy a model to a device, in a precision; the model itself if it is so already.

    The last layers stay in float32: they cost nothing, and would round each feature to
    three digits.
    """
    dtype = as_dtype(precision)
    if device.type == "cpu" and dtype == torch.float32:
        return model
    other: VisionTransformer = copy.deepcopy(model).to(device, dtype)
    other.norm, other.fc_norm = _InFloat32(other.norm), _InFloat32(other.fc_norm)
    return other


def _has_trained_cls(model: VisionTransformer) -> bool:
    """Whether CLS stands for the tile; a model trained by averaging leaves it unused."""
    return bool(model.has_class_token and model.global_pool in ("token", ""))


def _pooled(model: VisionTransformer, tokens: torch.Tensor) -> torch.Tensor:
    """What a model without a CLS token was trained to give for the whole tile."""
    pooled: torch.Tensor = model.forward_head(tokens, pre_logits=True)
    return pooled


def _as_numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.to("cpu", torch.float32).numpy()
    return array
