"""Building a vision transformer of timm from given weights, all of them and no others."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any

import torch

from napari_prts.errors import ModelError

if TYPE_CHECKING:
    from timm.models import VisionTransformer

# Parts for other tasks than encoding, which a checkpoint may have and we do not need.
_NOT_NEEDED = ("head.", "head_dist.", "pre_logits.", "mask_token", "last_layer.")


def create_vit(architecture: str, **arguments: Any) -> VisionTransformer:
    """Create a vision transformer of timm with weights at random, without a classifier.

    Parameters
    ----------
    architecture : str
        Its name in timm.
    **arguments
        Passed on: ``img_size``, ``depth`` and so on.

    Raises
    ------
    ModelError
        If timm has no such model, it is no vision transformer, or an argument does
        not fit.
    """
    import timm
    from timm.models import VisionTransformer

    try:
        model = timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ModelError(
            f"timm cannot make {architecture!r} {arguments or ''}: {error}. Give the name of a "
            "vision transformer of timm, such as vit_small_patch16_224."
        ) from error
    if not isinstance(model, VisionTransformer):
        raise ModelError(
            f"{architecture!r} is no vision transformer, so it has no patch tokens: choose one, "
            "such as vit_small_patch16_224."
        )
    return model


def build_vit(
    architecture: str, weights: dict[str, torch.Tensor], origin: str, **arguments: Any
) -> VisionTransformer:
    """Create a vision transformer and fill it with weights.

    The side of its tile is the one that the weights' position table was made for.

    Parameters
    ----------
    architecture : str
        Its name in timm.
    weights : dict of str to torch.Tensor
        Weights by parameter name, in timm's form or one that timm converts.
    origin : str
        Where they are from, for messages.
    **arguments
        Passed on to timm.

    Raises
    ------
    ModelError
        If a weight is missing, left over, of another shape, or not finite.
    """
    from timm.models.vision_transformer import checkpoint_filter_fn

    if "blocks.0.ls1.gamma" in weights:
        # Some models at the hub (UNI) expect their user to say so; the value is overwritten.
        arguments.setdefault("init_values", 1e-5)
    if (side := _side(weights)) is not None:
        arguments["img_size"] = side
    # Nothing is drawn at random only to be overwritten.
    with torch.device("meta"):
        model = create_vit(architecture, **arguments)
    try:
        ready = checkpoint_filter_fn(dict(weights), model)
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        raise _misfit(origin, architecture, str(error)) from error
    _fill(model, ready, origin, architecture)
    return model


def _side(weights: dict[str, torch.Tensor]) -> int | None:
    """Side in pixels of the tile that a square position table was made for, if there is one."""
    table, stem = weights.get("pos_embed"), weights.get("patch_embed.proj.weight")
    if table is None or stem is None or table.ndim != 3 or stem.ndim != 4:
        return None
    others = [weights[name].shape[-2] for name in ("cls_token", "reg_token") if name in weights]
    # Tables have positions for CLS, and in some models for registers, or for neither.
    for prefix in (0, *others[:1], sum(others)):
        grid = isqrt(max(table.shape[1] - prefix, 0))
        if grid and grid * grid == table.shape[1] - prefix:
            return int(grid * stem.shape[-1])
    return None


def _fill(
    model: VisionTransformer, weights: dict[str, torch.Tensor], origin: str, architecture: str
) -> None:
    wanted = model.state_dict()
    if missing := sorted(wanted.keys() - weights.keys()):
        raise _misfit(origin, architecture, f"{len(missing)} weights are missing ({missing[0]})")
    left = sorted(
        name for name in weights.keys() - wanted.keys() if not name.startswith(_NOT_NEEDED)
    )
    if left:
        raise _misfit(origin, architecture, f"{len(left)} weights are left over ({left[0]})")
    for name, empty in wanted.items():
        if weights[name].shape != empty.shape:
            shapes = f"{tuple(weights[name].shape)}, not {tuple(empty.shape)}"
            raise _misfit(origin, architecture, f"{name} is {shapes}")
        if not torch.isfinite(weights[name]).all():
            raise ModelError(f"{origin}: {name} holds NaN or infinity; the file is damaged.")
    # Copies, so that nothing stays mapped to the file.
    state = {name: weights[name].to(torch.float32, copy=True) for name in wanted}
    model.load_state_dict(state, assign=True)
    if unset := [name for name, tensor in _tensors(model) if tensor.is_meta]:
        raise _misfit(origin, architecture, f"{unset[0]} is kept in no file")


def _tensors(model: VisionTransformer) -> list[tuple[str, torch.Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _misfit(origin: str, architecture: str, why: str) -> ModelError:
    return ModelError(
        f"The weights in {origin} do not fit timm's {architecture}: {why}. Give weights made for "
        "it, or name their own architecture as NAME=PATH."
    )
