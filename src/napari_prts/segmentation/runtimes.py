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

# Measured, not believed: see benchmarks/README.md.
QUICKEST_ON_CPU = "ncnn"
DEVICES = ("auto", "cpu", "cuda", "ncnn", "torch-cpu")
# Largest difference of a probability, and of a distance as a share of it (in pixels below one),
# that a runtime may show against PyTorch.
TOLERANCE = 1e-4


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
        ``"torch"`` or ``"ncnn"``.
    remark : str
        Why it is not the quickest runtime; empty if it is, or was asked for.
    """

    type: str
    runtime: str
    remark: str = ""

    def without(self, runtime: str, reason: str) -> Device:
        """PyTorch on the same device, and why ``runtime`` is not used."""
        return replace(self, runtime="torch", remark=f"not {runtime}: {reason}")


def choose_device(device: str) -> Device:
    """Turn a device's name into a device that is there.

    Parameters
    ----------
    device : str
        ``"auto"``: CUDA, or else the CPU. ``"cpu"``: the CPU with the quickest
        runtime that is installed. ``"ncnn"`` or ``"torch-cpu"``: the CPU with that
        runtime and no other. ``"cuda"``: the graphics card, always with PyTorch.

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
    quickest = Device("cpu", QUICKEST_ON_CPU)
    if _version(QUICKEST_ON_CPU) is not None:
        return quickest
    if device == QUICKEST_ON_CPU:
        raise ModelError(
            f"{QUICKEST_ON_CPU} is not installed; run 'pip install {QUICKEST_ON_CPU}', or choose "
            "'cpu' as device."
        )
    return quickest.without(QUICKEST_ON_CPU, "it is not installed")


def device_name(device: Device) -> str:
    """Name of a device for provenance, such as ``"cpu (ncnn 1.0.20261020, 2 threads)"``."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    runtime = f"{device.runtime} {_version(device.runtime)}"
    remark = f"; {device.remark}" if device.remark else ""
    return f"cpu ({runtime}, {torch.get_num_threads()} threads{remark})"


def suits(runtime: str, network: torch.nn.Module) -> bool:
    """Tell whether a runtime can compute a network at all: PyTorch any, others StarDist's only."""
    return runtime == "torch" or type(network) is StarDistNetwork


def differs(network: Network, reference: Network, sides: tuple[int, int], channels: int) -> str:
    """Compare a runtime with PyTorch on a small image of noise.

    Parameters
    ----------
    network, reference : Network
        The one in question, and PyTorch's.
    sides : tuple of int
        Rows and columns of the image.
    channels : int
        Its channels.

    Returns
    -------
    str
        What differs by more than :data:`TOLERANCE`; empty if nothing does.
    """
    noise = np.random.default_rng(0).random((*sides, channels), np.float32)
    logit, wanted_dist = reference.look(noise, Window(0, 0, *sides))
    found_logit, dist = network.look(noise, Window(0, 0, *sides))
    if logit.shape != found_logit.shape or dist.shape != wanted_dist.shape:
        return f"its output has shape {tuple(dist.shape)}, not {tuple(wanted_dist.shape)}"
    prob = (torch.sigmoid(found_logit) - torch.sigmoid(logit)).abs().max()
    share = ((dist - wanted_dist).abs() / wanted_dist.abs().clamp(min=1)).max()
    # Written so that what is no number fails too.
    if prob <= TOLERANCE and share <= TOLERANCE:
        return ""
    return f"its results differ from PyTorch's (probability by {prob:.1g}, distance by {share:.1g})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
