"""Vision transformers as encoders: CLS as context, the tokens under the nucleus as local part."""

from __future__ import annotations

import copy
import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.checkpoints import weights_digest
from napari_prts.features.device import choose_device, device_name, release
from napari_prts.features.encoder import Encoded
from napari_prts.features.tiles import Tiles, read_tiles, tile_corners, to_encoder_pixels
from napari_prts.features.tokens import local_features, token_mask

if TYPE_CHECKING:
    from timm.models import VisionTransformer

    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# PRTS, HIPT and the pathology models at the hub look at 20x, that is 0.5 um/px.
MPP = 0.5
# Raised when the same weights would give other features.
_METHOD_VERSION = 1


class VitEncoder:
    """A vision transformer of timm that looks at one tile for each nucleus.

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

    def where(self, device: str) -> str:
        """Say on which device it will run; raise ModelError if it cannot."""
        return device_name(choose_device(device))

    def encode(
        self,
        slide: Slide,
        nuclei: Nuclei,
        positions: NDArray[np.int64],
        batch: int,
        device: str,
    ) -> Generator[Encoded, None, None]:
        """Encode the nuclei at ``positions``, block after block of the slide.

        The copy of the model on the device is released when the iterator ends or
        is closed.
        """
        there = choose_device(device)
        model = copy.deepcopy(self._model).to(there) if there.type != "cpu" else self._model
        slide_mpp = slide.require_mpp()
        corners = tile_corners(nuclei.centroids, slide_mpp, self.mpp, self.tile)
        try:
            for tiles in read_tiles(
                slide, corners, positions, mpp=self.mpp, tile=self.tile, batch=batch
            ):
                yield self._encode(model, there, nuclei, tiles, slide_mpp)
        finally:
            del model
            release(there)

    @torch.inference_mode()
    def _encode(
        self,
        model: VisionTransformer,
        device: torch.device,
        nuclei: Nuclei,
        tiles: Tiles,
        slide_mpp: float,
    ) -> Encoded:
        polygons = [
            to_encoder_pixels(nuclei.polygon(int(i)), slide_mpp, self.mpp) - corner
            for i, corner in zip(tiles.positions, tiles.corners, strict=True)
        ]
        centres = to_encoder_pixels(nuclei.centroids[tiles.positions], slide_mpp, self.mpp)
        centres -= tiles.corners
        mask = token_mask(polygons, centres, self.grid, self.patch).reshape(len(polygons), -1)
        tokens = model.forward_features(self._normalised(tiles.pixels, device))
        context = tokens[:, 0] if _has_trained_cls(model) else _pooled(model, tokens)
        local = local_features(
            tokens[:, model.num_prefix_tokens :], torch.from_numpy(mask).to(device)
        )
        return Encoded(tiles.positions, _as_numpy(local), _as_numpy(context))

    def _normalised(self, pixels: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
        mean = torch.tensor(self._mean, device=device).reshape(1, 3, 1, 1)
        std = torch.tensor(self._std, device=device).reshape(1, 3, 1, 1)
        return images.sub_(mean).div_(std)

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Context of all nuclei: the CLS tokens, as they were encoded."""
        return stored


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
