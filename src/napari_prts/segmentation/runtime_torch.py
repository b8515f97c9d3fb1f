"""The network in PyTorch: the reference, the way to CUDA, and bfloat16 on CPUs that have it."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.segmentation.network import StarDistNetwork
from napari_prts.segmentation.runtimes import Window
from napari_prts.segmentation.threads import ThreadLimit


class TorchNetwork:
    """A network on one of PyTorch's devices. Safe to use from several threads.

    Parameters
    ----------
    network : torch.nn.Module
        Gives logit and distances as
        :class:`~napari_prts.segmentation.network.StarDistNetwork` does; it stays
        where it is, a copy is moved.
    device : str
        ``"cpu"`` or ``"cuda"``.
    dtype : torch.dtype
        In which it is computed, but for StarDist's two heads: they are float32, as is
        what it gives.
    threads : int, optional
        Threads of a pass on the CPU; as many as PyTorch uses by default.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        device: str,
        dtype: torch.dtype = torch.float32,
        threads: int | None = None,
    ) -> None:
        self._device, self._dtype = torch.device(device), dtype
        self._limit = ThreadLimit(threads if self._device.type == "cpu" else None)
        self._network = copy.deepcopy(network).eval()
        self._network.to(self._device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(self._network, StarDistNetwork):
            # In bfloat16 a distance of 11 px would be rounded to sixteenths, and the heads are
            # a fiftieth of the work.
            self._network.prob.float()
            self._network.dist.float()

    @torch.inference_mode()
    def look(
        self, pixels: NDArray[np.float32], window: Window
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`napari_prts.segmentation.runtimes.Network.look`."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device, self._dtype)
        # A permuted (row, column, channel) array is channels_last already.
        image = image.permute(2, 0, 1)[None]
        with self._limit.limited():
            logit, dist = self._seen(image, window)
        return logit[0, 0].float(), dist[0].float()

    def _seen(self, image: torch.Tensor, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        part = slice(window.row0, window.row1), slice(window.column0, window.column1)
        if isinstance(self._network, StarDistNetwork):
            # Slices end at the grid's border, whatever the window says.
            rows, columns = (
                slice(each.start, min(each.stop, side // step))
                for each, side, step in zip(
                    part, image.shape[2:], self._network.config.grid, strict=True
                )
            )
            seen: tuple[torch.Tensor, torch.Tensor] = self._network(image, (rows, columns))
            return seen
        logit, dist = self._network(image)
        return logit[:, :, part[0], part[1]], dist[:, :, part[0], part[1]]
