"""In which precision a network is computed: the best that the machine computes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.features.device import choose_device
from napari_prts.features.request import FLOAT32

if TYPE_CHECKING:
    import torch

BFLOAT16, HALF = "bfloat16", "float16"


def choose_precision(precision: str, device: str) -> str:
    """Turn what was asked for into the name of a precision.

    Parameters
    ----------
    precision : str
        ``"auto"`` or ``"float32"``.
    device : str
        As :func:`~napari_prts.features.device.choose_device` takes it.

    Returns
    -------
    str
        ``"float16"`` on a GPU, ``"bfloat16"`` on a CPU that computes it, else
        ``"float32"``. Features of a ViT-S/16 in bfloat16 have a cosine of 0.9999 to those
        in float32 (``benchmarks/prediction.py`` measures it).

    Raises
    ------
    ModelError
        If the device is not there.
    """
    from napari_prts.segmentation.runtimes import has_bfloat16

    there = choose_device(device)
    if precision == FLOAT32:
        return FLOAT32
    if there.type != "cpu":
        return HALF
    return BFLOAT16 if has_bfloat16() else FLOAT32


def as_dtype(precision: str) -> torch.dtype:
    """PyTorch's type of a precision's name."""
    import torch

    dtype: torch.dtype = getattr(torch, precision)
    return dtype
