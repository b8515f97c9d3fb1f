"""What the segmentation network computes on its way: its last features and its bottleneck."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.device import choose_device, device_name
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.ncnn_graph import Graph
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.runtimes import TOLERANCE, Window

Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Activations:
    """Activations of an image.

    Parameters
    ----------
    features : ndarray of float32, shape (channel, row, column)
        What the heads are given, at the grid points of the window asked for.
    bottleneck : ndarray of float32, shape (channel, row, column)
        The lowest level, of the whole image.
    """

    features: NDArray[np.float32]
    bottleneck: NDArray[np.float32]


class ActivationNetwork(Protocol):
    """A network ready to look at images; ``runtime`` names the library that computes it."""

    runtime: str

    def look(self, pixels: Pixels, window: Window) -> Activations:
        """Look at a normalised image, (row, column, channel), sides multiples of the divisor."""
        ...


def sizes(config: StarDistConfig) -> tuple[int, int]:
    """Channels of the last features and of the bottleneck."""
    bottleneck = config.filters * 2 ** max(0, config.depth - 1)
    if config.features:
        return config.features, bottleneck
    return config.filters if config.depth else bottleneck, bottleneck


class TorchActivations:
    """The network in PyTorch.

    Parameters
    ----------
    network : StarDistNetwork
        It stays where it is, a copy is moved.
    device : torch.device
        Where it is computed.
    """

    runtime = "torch"

    def __init__(self, network: StarDistNetwork, device: torch.device) -> None:
        self._device = device
        self._network = copy.deepcopy(network).eval().to(device)
        self._seen: dict[str, torch.Tensor] = {}
        for name, level in (("features", _last_level(self._network)), ("middle", network.middle)):
            conv = (self._network.middle if name == "middle" else level)[-1]  # type: ignore[index]
            conv.register_forward_hook(self._keeper(name))

    def _keeper(self, name: str) -> Any:
        def keep(module: torch.nn.Module, given: Any, output: torch.Tensor) -> None:
            self._seen[name] = output

        return keep

    @torch.inference_mode()
    def look(self, pixels: Pixels, window: Window) -> Activations:
        """See :meth:`ActivationNetwork.look`."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        self._network(image.permute(2, 0, 1)[None])
        rows, columns = slice(window.row0, window.row1), slice(window.column0, window.column1)
        # The network has no layer for its rectifier, so hooks see what comes before it.
        kept = {name: torch.relu(seen)[0].cpu().numpy() for name, seen in self._seen.items()}
        self._seen.clear()
        return Activations(kept["features"][:, rows, columns], kept["middle"])


def _last_level(network: StarDistNetwork) -> torch.nn.Module:
    """The convolutions before the heads."""
    if network.config.features:
        return network.features
    return network.up[-1] if network.config.depth else network.middle


class _ActivationsGraph(Graph):
    """The segmentation's graph without its heads; ``bottleneck`` names the lowest level."""

    bottleneck: str

    def _heads(self, x: str) -> str:
        return self._level("features", 1, x) if self._config.features else x

    def _level(self, name: str, convs: int, x: str) -> str:
        x = super()._level(name, convs, x)
        if name == "middle":
            self.bottleneck = x
        return x


class NcnnActivations:
    """The network in ncnn, the quickest on CPUs; one image at a time.

    Parameters
    ----------
    network : StarDistNetwork
        Its weights are copied.

    Raises
    ------
    ImportError
        If ncnn is not there.
    """

    runtime = "ncnn"

    def __init__(self, network: StarDistNetwork) -> None:
        import ncnn

        self._ncnn = ncnn
        self._config = network.config
        self._state = {
            name: tensor.detach().cpu().to(torch.float32).numpy().copy()
            for name, tensor in network.state_dict().items()
        }
        # Blocks inside a slide all have one size: the last net is nearly always the next.
        self._last: tuple[Any, tuple[Any, _ActivationsGraph, bytes]] | None = None

    def look(self, pixels: Pixels, window: Window) -> Activations:
        """See :meth:`ActivationNetwork.look`."""
        grid = self._config.grid
        key = ((pixels.shape[0] // grid[0], pixels.shape[1] // grid[1]), window)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._compile(*key))
        net, graph, _ = self._last[1]
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
        extractor = net.create_extractor()
        extractor.input(graph.input, self._ncnn.Mat(planes))
        # The lowest level first: what is computed for it is not computed again.
        low, bottleneck = extractor.extract(graph.bottleneck)
        high, features = extractor.extract(graph.output)
        if low or high:
            raise ModelError(
                f"The network could not look at a block of {pixels.shape[0]} x {pixels.shape[1]} "
                f"px (ncnn returned {low or high}), most likely for want of memory: close other "
                "programs and try again."
            )
        return Activations(np.asarray(features), np.asarray(bottleneck))

    def _compile(
        self, sides: tuple[int, int], window: Window
    ) -> tuple[Any, _ActivationsGraph, bytes]:
        graph = _ActivationsGraph(self._config, self._state, sides, window)
        net = self._ncnn.Net()
        option = net.opt
        option.num_threads = torch.get_num_threads()
        # As for segmentation: float32 on every processor, and the more exact of Winograd's ways.
        for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(option, f"use_{name}", False)
        option.use_winograd63_convolution = False
        weights = graph.weights()
        if net.load_param_mem(graph.text()) != 0:
            raise ModelError("ncnn does not take the network; uninstall ncnn to use PyTorch.")
        net.load_model_mem(weights)
        return net, graph, weights


def activations_on(model: StarDistModel, device: str) -> tuple[ActivationNetwork, str]:
    """Put a model's network where it is to run.

    Parameters
    ----------
    model : StarDistModel
        Its network is copied.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Returns
    -------
    network : ActivationNetwork
        On CPUs in ncnn. Where ncnn fails, or does not give what PyTorch gives on a small
        image of noise, in PyTorch, and Python's warnings say so.
    where : str
        The device and the library, for the user.

    Raises
    ------
    ModelError
        If the device is not there.
    """
    chosen = choose_device(device)
    reference = TorchActivations(model.network, chosen)
    network: ActivationNetwork = reference
    if chosen.type == "cpu":
        try:
            quick = NcnnActivations(model.network)
            trouble = _differs(quick, reference, model.config)
        except (ImportError, OSError, RuntimeError, ModelError) as error:
            trouble = f"ncnn does not work ({error})"
        if trouble:
            warnings.warn(
                f"Encoder unet runs on the CPU with PyTorch, some two times slower than it could: "
                f"{trouble}.",
                RuntimeWarning,
                stacklevel=2,
            )
        else:
            network = quick
    return network, f"{device_name(chosen)}, {network.runtime}"


def _differs(
    network: ActivationNetwork, reference: ActivationNetwork, config: StarDistConfig
) -> str:
    """Say what differs from PyTorch on a small image of noise; empty if nothing does."""
    rows, columns = (2 * side for side in config.divisor)
    noise = np.random.default_rng(0).random((rows, columns, config.n_channel_in), np.float32)
    window = Window(0, 0, rows // config.grid[0], columns // config.grid[1])
    found, wanted = network.look(noise, window), reference.look(noise, window)
    for name in ("features", "bottleneck"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        if ours.shape != theirs.shape:
            return f"the {name} of ncnn have shape {ours.shape}, not {theirs.shape}"
        error = np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1)
        # Written so that what is no number fails too.
        if not error.max() <= TOLERANCE["ncnn"]:
            return f"the {name} of ncnn differ from PyTorch's by {error.max():.1g}"
    return ""
