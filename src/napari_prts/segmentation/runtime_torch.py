"""The network in PyTorch: the reference, and the way to CUDA."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.segmentation.runtimes import Window


class TorchNetwork:
    """A network on one of PyTorch's devices.

    Parameters
    ----------
    network : torch.nn.Module
        Gives logit and distances as
        :class:`~napari_prts.segmentation.network.StarDistNetwork` does; it stays
        where it is, a copy is moved.
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, network: torch.nn.Module, device: str) -> None:
        self._device = torch.device(device)
        self._network = copy.deepcopy(network).eval()
        self._network.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def look(
        self, pixels: NDArray[np.float32], window: Window
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`napari_prts.segmentation.runtimes.Network.look`."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        # A permuted (row, column, channel) array is channels_last already.
        logit, dist = self._network(image.permute(2, 0, 1)[None])
        rows = slice(window.row0, window.row1)
        columns = slice(window.column0, window.column1)
        return logit[0, 0, rows, columns], dist[0, :, rows, columns]
