"""Checkpoints of DINO, as HIPT published them, turned into models of timm."""

from __future__ import annotations

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_prts.errors import ModelError
from napari_prts.features.building import build_vit
from napari_prts.features.checkpoints import read_weights

if TYPE_CHECKING:
    from timm.models import VisionTransformer

# Tile of HIPT's first level and of PRTS.
TILE = 256
PATCH = 16
# HIPT's eval_transforms.
MEAN = STD = (0.5, 0.5, 0.5)
# DINO's vit_tiny, vit_small and vit_base by their number of channels. They have query, key and
# value biases and LayerNorm with epsilon 1e-6, as timm's models of these names.
_ARCHITECTURES = {
    192: "vit_tiny_patch16_224",
    384: "vit_small_patch16_224",
    768: "vit_base_patch16_224",
}


def load_dino(path: Path) -> tuple[str, VisionTransformer]:
    """Load a checkpoint of DINO with patches of 16 px for tiles of 256 px.

    Parameters
    ----------
    path : Path
        ``.pth`` as the training script writes it, or the same weights as
        ``.safetensors``.

    Returns
    -------
    str, timm.models.VisionTransformer
        Name of the architecture in timm, and the model.

    Raises
    ------
    ModelError
        If the file is no such checkpoint.
    """
    weights = read_weights(path)
    stem = weights.get("patch_embed.proj.weight")
    table = weights.get("pos_embed")
    architecture = _ARCHITECTURES.get(len(stem)) if stem is not None else None
    if architecture is None or stem is None or table is None or stem.shape[-1] != PATCH:
        raise ModelError(
            f"{path} is no DINO checkpoint of ViT-T, ViT-S or ViT-B with patches of 16 px. If it "
            "is another vision transformer, name its architecture in timm as NAME=PATH."
        )
    weights["pos_embed"] = stretch_positions(table, TILE // PATCH)
    return architecture, build_vit(architecture, weights, str(path))


def stretch_positions(table: torch.Tensor, grid: int) -> torch.Tensor:
    """Stretch a position table to another grid exactly as DINO does at run time.

    DINO adds 0.1 to the number of patches and gives ``interpolate`` the ratio rather
    than the size; the ratio is then used for sampling, so the positions differ a
    little from those of an interpolation to the same size.

    Parameters
    ----------
    table : torch.Tensor, shape (1, 1 + n * n, D)
        Position of CLS, then of the patches by row and column.
    grid : int
        Patches along a side of the tile.

    Returns
    -------
    torch.Tensor, shape (1, 1 + grid * grid, D)

    Raises
    ------
    ModelError
        If the table is not that of a square grid with CLS.
    """
    old = isqrt(max(table.shape[1] - 1, 0))
    if table.ndim != 3 or old == 0 or old * old != table.shape[1] - 1:
        raise ModelError(
            f"A position table of shape {tuple(table.shape)} is not that of CLS and a square "
            "grid of patches: give a checkpoint of DINO."
        )
    if old == grid:
        return table
    ratio = (grid + 0.1) / old
    patches = table[:, 1:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(
        patches, scale_factor=(ratio, ratio), mode="bicubic", align_corners=False
    )
    return torch.cat((table[:, :1].float(), patches.flatten(2).transpose(1, 2)), dim=1)
