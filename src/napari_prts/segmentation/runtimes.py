"""Which library computes the network, and on what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.network import StarDistNetwork

# The quickest first. Measured, not believed: see benchmarks/README.md.
ON_CPU = ("torch-bf16", "ncnn", "torch")
DEVICES = ("auto", "cpu", "cuda", "torch-bf16", "ncnn", "torch-cpu")
# Largest difference of a probability, and of a distance as a share of it (in pixels below one),
# that a runtime may show against PyTorch in float32. With the shipped model the distances of
# bfloat16 differ by 0.02 px in the mean: the nuclei are the same at an IoU of 0.9.
TOLERANCE = {"ncnn": 1e-4, "torch-bf16": 0.05}
_BFLOAT16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@dataclass(frozen=True)
class Window:
    """Grid points that are wanted: ``row0 <= r < row1``, ``column0 <= c < column1``."""

    row0: int
    column0: int
    row1: int
    column1: int


class Network(Protocol):
    """A network ready to look at images."""

    def look(
        self, pixels: NDArray[np.float32], window: Window
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at an image.

        Parameters
        ----------
        pixels : ndarray of float32, shape (row, column, channel)
            Normalised image, sides multiples of the network's divisor.
        window : Window
            The grid points wanted.

        Returns
        -------
        logit, dist : torch.Tensor
            Logit of the object probability, shape (row, column), and distances in
            pixels of the image, shape (ray, row, column), of the window.
        """
        ...


@dataclass(frozen=True)
class Device:
    """What the network runs on.

    Parameters
    ----------
    type : str
        ``"cpu"`` or ``"cuda"``.
    runtime : str
        ``"torch"`` (float32), ``"torch-bf16"`` or ``"ncnn"``.
    remark : str
        Why a quicker runtime that this processor could have is not used; empty if
        there is none, or this one was asked for.
    """

    type: str
    runtime: str
    remark: str = ""

    def without(self, runtime: str, reason: str) -> Device:
        """The next quickest on the same device, and why ``runtime`` is not used."""
        remark = "; ".join(filter(None, (self.remark, f"not {runtime}: {reason}")))
        return replace(self, runtime=ON_CPU[ON_CPU.index(runtime) + 1], remark=remark)


def choose_device(device: str) -> Device:
    """Turn a device's name into a device that is there.

    Parameters
    ----------
    device : str
        ``"auto"``: CUDA, or else the CPU. ``"cpu"``: the CPU with its quickest
        runtime: PyTorch in bfloat16 where the processor computes that (AVX-512 BF16),
        or else ncnn in float32. ``"torch-bf16"``, ``"ncnn"`` or ``"torch-cpu"``
        (float32): the CPU with that runtime and no other. ``"cuda"``: the graphics
        card, always with PyTorch.

    Raises
    ------
    ModelError
        If the device or the runtime asked for is not there, or the name is another.
    """
    if device not in DEVICES:
        names = ", ".join(repr(name) for name in DEVICES)
        raise ModelError(f"Device {device!r} is unknown; choose one of {names}.")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ModelError("No CUDA device was found; choose 'cpu' or 'auto' as device.")
    if device == "cuda" or (device == "auto" and there):
        return Device("cuda", "torch")
    if device == "torch-cpu":
        return Device("cpu", "torch")
    if device == "torch-bf16" or (device != "ncnn" and has_bfloat16()):
        return Device("cpu", "torch-bf16")
    return _with_ncnn(device)


def _with_ncnn(device: str) -> Device:
    quickest = Device("cpu", "ncnn")
    if _version("ncnn") is not None:
        return quickest
    if device == "ncnn":
        raise ModelError(
            "ncnn is not installed; run 'pip install ncnn', or choose 'cpu' as device."
        )
    return quickest.without("ncnn", "it is not installed")


def has_bfloat16() -> bool:
    """Tell whether the processor computes bfloat16 itself: elsewhere it is slower than float32."""
    # PyTorch knows, but its functions for this are not public in all versions.
    known = (getattr(torch.cpu, name, None) for name in _BFLOAT16)
    return any(ask is not None and bool(ask()) for ask in known)


def device_name(device: Device) -> str:
    """Name of a device for provenance, such as ``"cpu (ncnn 1.0.20261020, 2 threads)"``."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    package, _, kind = device.runtime.partition("-")
    runtime = " ".join(filter(None, (package, _version(package), kind)))
    remark = f"; {device.remark}" if device.remark else ""
    return f"cpu ({runtime}, {torch.get_num_threads()} threads{remark})"


def suits(runtime: str, network: torch.nn.Module) -> bool:
    """Tell whether a runtime can compute a network: PyTorch in float32 any, others StarDist's."""
    return runtime == "torch" or type(network) is StarDistNetwork


def differs(
    network: Network,
    reference: Network,
    sides: tuple[int, int],
    channels: int,
    tolerance: float = 1e-4,
) -> str:
    """Compare a runtime with PyTorch on a small image of noise.

    Parameters
    ----------
    network, reference : Network
        The one in question, and PyTorch's.
    sides : tuple of int
        Rows and columns of the image.
    channels : int
        Its channels.
    tolerance : float
        See :data:`TOLERANCE`.

    Returns
    -------
    str
        What differs by more than that; empty if nothing does.
    """
    noise = np.random.default_rng(0).random((*sides, channels), np.float32)
    logit, wanted_dist = reference.look(noise, Window(0, 0, *sides))
    found_logit, dist = network.look(noise, Window(0, 0, *sides))
    if logit.shape != found_logit.shape or dist.shape != wanted_dist.shape:
        return f"its output has shape {tuple(dist.shape)}, not {tuple(wanted_dist.shape)}"
    prob = (torch.sigmoid(found_logit) - torch.sigmoid(logit)).abs().max()
    share = ((dist - wanted_dist).abs() / wanted_dist.abs().clamp(min=1)).max()
    # Written so that what is no number fails too.
    if prob <= tolerance and share <= tolerance:
        return ""
    return f"its results differ from PyTorch's (probability by {prob:.1g}, distance by {share:.1g})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
