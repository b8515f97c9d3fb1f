"""What DINO's vision transformer computes, written anew with plain tensor operations.

It works straight on a checkpoint's weights, with the position table stretched at
run time, and shares no code with timm or with the package.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

Weights = dict[str, torch.Tensor]


def random_checkpoint(
    width: int, depth: int, grid: int = 14, patch: int = 16, seed: int = 0
) -> Weights:
    """Weights of a backbone at random, every one large enough to matter."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, std: float) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * std

    weights = {
        "cls_token": draw(1, 1, width, std=0.5),
        "pos_embed": draw(1, 1 + grid * grid, width, std=0.5),
        "patch_embed.proj.weight": draw(width, 3, patch, patch, std=0.05),
        "patch_embed.proj.bias": draw(width, std=0.1),
        "norm.weight": 1 + draw(width, std=0.2),
        "norm.bias": draw(width, std=0.2),
    }
    for i in range(depth):
        sizes = {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (4 * width, width),
            "mlp.fc2": (width, 4 * width),
        }
        for name, (rows, columns) in sizes.items():
            weights[f"blocks.{i}.{name}.weight"] = draw(rows, columns, std=1.5 / columns**0.5)
            weights[f"blocks.{i}.{name}.bias"] = draw(rows, std=0.3)
        for name in ("norm1", "norm2"):
            weights[f"blocks.{i}.{name}.weight"] = 1 + draw(width, std=0.2)
            weights[f"blocks.{i}.{name}.bias"] = draw(width, std=0.2)
    return weights


def dino_tokens(weights: Weights, images: torch.Tensor, heads: int) -> torch.Tensor:
    """Tokens after the last norm, shape (b, 1 + grid * grid, width); CLS first."""
    patch = weights["patch_embed.proj.weight"].shape[-1]
    width = weights["cls_token"].shape[-1]
    batch, _, height, breadth = images.shape
    x = F.conv2d(
        images,
        weights["patch_embed.proj.weight"],
        weights["patch_embed.proj.bias"],
        stride=patch,
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([weights["cls_token"].expand(batch, -1, -1), x], dim=1)
    x = x + _positions(weights["pos_embed"], height // patch, breadth // patch)
    depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for i in range(depth):
        w = {n.removeprefix(f"blocks.{i}."): t for n, t in weights.items()}
        x = x + _attention(_norm(x, w, "norm1"), w, heads, width)
        hidden = F.gelu(_norm(x, w, "norm2") @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
        x = x + hidden @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    return _norm(x, weights, "norm")


def _positions(table: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """DINO's interpolate_pos_encoding: the ratio, with 0.1 added, is used for sampling."""
    old = math.isqrt(table.shape[1] - 1)
    if (rows, columns) == (old, old):
        return table
    patches = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    ratios = ((rows + 0.1) / math.sqrt(old * old), (columns + 0.1) / math.sqrt(old * old))
    stretched = F.interpolate(patches, scale_factor=ratios, mode="bicubic")
    assert stretched.shape[-2:] == (rows, columns)
    return torch.cat([table[:, :1], stretched.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _attention(x: torch.Tensor, w: Weights, heads: int, width: int) -> torch.Tensor:
    batch, tokens, _ = x.shape
    qkv = (x @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]).reshape(
        batch, tokens, 3, heads, width // heads
    )
    q, k, v = (qkv[:, :, part].transpose(1, 2) for part in range(3))
    scores = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // heads), dim=-1)
    mixed = (scores @ v).transpose(1, 2).reshape(batch, tokens, width)
    return mixed @ w["attn.proj.weight"].T + w["attn.proj.bias"]


def _norm(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = x.var(dim=-1, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-6) * w[f"{name}.weight"] + w[f"{name}.bias"]
