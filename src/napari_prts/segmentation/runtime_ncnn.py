"""The network in ncnn: on CPUs the quickest, because it convolves by Winograd's method.

All in float32. The graph is text and the weights are bytes, both made in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.ncnn_graph import Graph
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.runtimes import Window

# Most tiles of a slide have one of few sizes; one more costs a twentieth of a second.
_KEPT = 3


@dataclass(frozen=True, eq=False)
class _Compiled:
    """A net, and the bytes of its weights, which ncnn refers to and does not copy."""

    net: Any
    weights: bytes
    graph: Graph


class NcnnNetwork:
    """A StarDist network in ncnn.

    Safe to use from several threads.

    Parameters
    ----------
    network : StarDistNetwork
        Its weights are copied.
    threads : int, optional
        Threads of a pass; as many as PyTorch uses by default.

    Raises
    ------
    ImportError
        If ncnn is not there.
    """

    def __init__(self, network: StarDistNetwork, threads: int | None = None) -> None:
        import ncnn

        self._ncnn = ncnn
        self._threads = threads or torch.get_num_threads()
        self._config: StarDistConfig = network.config
        self._state = {
            name: tensor.detach().cpu().to(torch.float32).numpy().copy()
            for name, tensor in network.state_dict().items()
        }
        self._compiled: OrderedDict[tuple[tuple[int, int], Window], _Compiled] = OrderedDict()
        self._lock = threading.Lock()

    def look(
        self, pixels: NDArray[np.float32], window: Window
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`napari_prts.segmentation.runtimes.Network.look`."""
        grid_rows, grid_columns = self._config.grid
        sides = (pixels.shape[0] // grid_rows, pixels.shape[1] // grid_columns)
        window = replace(
            window, row1=min(window.row1, sides[0]), column1=min(window.column1, sides[1])
        )
        compiled = self._net(sides, window)
        # ncnn refers to this memory: it must live until the result is there.
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
        extractor = compiled.net.create_extractor()
        extractor.input(compiled.graph.input, self._ncnn.Mat(planes))
        status, result = extractor.extract(compiled.graph.output)
        if status != 0:
            raise ModelError(
                f"The network could not look at a tile of {pixels.shape[0]} x {pixels.shape[1]} px "
                f"(ncnn returned {status}), most likely for want of memory; choose smaller tiles."
            )
        values = torch.from_numpy(np.asarray(result))
        return values[self._config.n_rays], values[: self._config.n_rays]

    def _net(self, sides: tuple[int, int], window: Window) -> _Compiled:
        key = (sides, window)
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = self._compile(sides, window)
            self._compiled.move_to_end(key)
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
            return self._compiled[key]

    def _compile(self, sides: tuple[int, int], window: Window) -> _Compiled:
        graph = Graph(self._config, self._state, sides, window)
        net = self._ncnn.Net()
        option = net.opt
        option.num_threads = self._threads
        # Half precision is the default on some processors, and results would depend on them.
        for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(option, f"use_{name}", False)
        # The largest tiles of Winograd's method are no quicker here, and the least exact.
        option.use_winograd63_convolution = False
        weights = graph.weights()
        if net.load_param_mem(graph.text()) != 0:
            raise ModelError("ncnn does not take the network; choose 'torch-cpu' as device.")
        net.load_model_mem(weights)
        return _Compiled(net, weights, graph)
