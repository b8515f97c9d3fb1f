"""Running the network on a device: normalised pixels in, candidates out."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.runtime_torch import TorchNetwork
from napari_prts.segmentation.runtimes import (
    TOLERANCE,
    Device,
    Network,
    Window,
    choose_device,
    device_name,
    differs,
    suits,
)

__all__ = ["Runner", "choose_device", "device_name", "receptive_radius"]

# Distances below this upset the geometry of polygons (stardist, models/base.py).
_LEAST_DISTANCE = 1e-3


def receptive_radius(config: StarDistConfig) -> int:
    """How far, in image pixels, an input pixel can change the output at a grid point.

    Each convolution reaches half its kernel at its level's resolution, each pooling
    and upsampling one pixel of the level it leaves.
    """
    reach = config.kernel // 2
    scale, radius = 1, 0
    while scale < max(config.grid):
        radius += scale * (reach * config.convs_per_depth + 1)
        scale *= 2
    for _ in range(config.depth):
        # Once on the way down, once on the way up.
        radius += 2 * scale * (reach * config.convs_per_depth + 1)
        scale *= 2
    radius += scale * reach * config.convs_per_depth
    return radius + max(config.grid) * reach * (config.features > 0)


class Runner:
    """A model's network on a device, ready to look at images.

    Parameters
    ----------
    model : StarDistModel
        The model; its own network stays where it is.
    device : str
        See :func:`~napari_prts.segmentation.runtimes.choose_device`.
    lookers : int
        How many threads will look at images at the same time: on the CPU each gets
        its share of the cores, which is quicker than one pass after the other on all.

    Attributes
    ----------
    device : Device
        What it runs on. Where the quickest runtime of the CPU fails, or does not give
        what PyTorch gives on a small image of noise, this is the next one, the remark
        says why, and Python's warnings say so once.
    lookers : int
        As asked for, but no more than there are threads on a CPU, and one elsewhere.

    Raises
    ------
    ModelError
        If the device or the runtime asked for is not there or does not work, or the
        network does not take RGB images.
    """

    def __init__(self, model: StarDistModel, device: str = "auto", lookers: int = 1) -> None:
        if model.config.n_channel_in != 3:
            raise ModelError(
                f"Model {model.name!r} takes {model.config.n_channel_in} channel(s); an H&E slide "
                "has three. Choose a model for H&E."
            )
        self.config = model.config
        chosen = choose_device(device)
        threads = torch.get_num_threads()
        self.lookers = min(lookers, threads) if chosen.type == "cpu" else 1
        each = threads // self.lookers if self.lookers > 1 else None
        self._network, self.device = _compiled(model, chosen, each)
        if self.device.remark and device == chosen.runtime:
            raise ModelError(
                f"Model {model.name!r} cannot run on {device!r} ({self.device.remark}); choose "
                "'auto' or 'torch-cpu' as device."
            )

    @property
    def name(self) -> str:
        """What the network runs on, for provenance."""
        return device_name(self.device)

    def candidates(
        self, pixels: NDArray[np.float32], prob_threshold: float, inner: tuple[slice, slice]
    ) -> Candidates:
        """Find candidates in an image.

        Parameters
        ----------
        pixels : ndarray of float32, shape (row, column, 3)
            Normalised image; sides that are no multiples of the network's divisor
            are filled up by reflection.
        prob_threshold : float
            Points of higher probability are candidates.
        inner : tuple of slice
            Rows and columns, in pixels of the image, from which points are taken.
            Each must begin at a multiple of the grid.

        Returns
        -------
        Candidates
            Points in pixels of the image.
        """
        grid_rows, grid_columns = self.config.grid
        first = np.array([inner[0].start // grid_rows, inner[1].start // grid_columns])
        window = Window(
            int(first[0]),
            int(first[1]),
            -(-inner[0].stop // grid_rows),
            -(-inner[1].stop // grid_columns),
        )
        with torch.inference_mode():
            logit, dist = self._network.look(self._filled(pixels), window)
            prob = torch.sigmoid(logit)
            found = prob > prob_threshold
            where = torch.nonzero(found).cpu().numpy()
            points = (where + first) * np.array(self.config.grid)
            distances = dist[:, found].T.clamp(min=_LEAST_DISTANCE)
            return Candidates(
                points.astype(np.float32),
                prob[found].cpu().numpy(),
                np.ascontiguousarray(distances.cpu().numpy()),
            )

    def _filled(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        fill = -np.array(pixels.shape[:2]) % np.array(self.config.divisor)
        if not fill.any():
            return pixels
        mode: Literal["reflect", "edge"] = "reflect" if (fill < pixels.shape[:2]).all() else "edge"
        widths = ((0, int(fill[0])), (0, int(fill[1])), (0, 0))
        return np.pad(pixels, widths, mode=mode)


def _compiled(model: StarDistModel, device: Device, threads: int | None) -> tuple[Network, Device]:
    """The network on a device with the quickest runtime that works, and which one that is."""
    reference = TorchNetwork(model.network, device.type, threads=threads)
    # What cannot be had for this processor or network is in the record; what fails is a surprise.
    fails = bool(device.remark)
    while device.runtime != "torch":
        if not suits(device.runtime, model.network):
            device = device.without(device.runtime, "it only computes StarDist networks")
            continue
        try:
            network = _network(device.runtime, model.network, threads)
            trouble = _trouble(network, reference, model, TOLERANCE[device.runtime])
        except (ImportError, OSError, RuntimeError, ModelError) as error:
            trouble = f"it does not work ({error})"
        if not trouble:
            break
        device, fails = device.without(device.runtime, trouble), True
    else:
        network = reference
    if fails:
        _warn(model, device)
    return network, device


def _trouble(network: Network, reference: Network, model: StarDistModel, tolerance: float) -> str:
    rows, columns = model.config.divisor
    channels = model.config.n_channel_in
    return differs(network, reference, (2 * rows, 2 * columns), channels, tolerance)


def _warn(model: StarDistModel, device: Device) -> None:
    warnings.warn(
        f"Model {model.name!r} runs slower on the CPU than it could, with {device.runtime} "
        f"({device.remark}).",
        RuntimeWarning,
        stacklevel=4,
    )


def _network(runtime: str, network: StarDistNetwork, threads: int | None) -> Network:
    if runtime == "torch-bf16":
        return TorchNetwork(network, "cpu", torch.bfloat16, threads)
    from napari_prts.segmentation.runtime_ncnn import NcnnNetwork

    return NcnnNetwork(network, threads)
