"""A StarDist 2D network as Keras computes and saves it, in NumPy alone.

Written from ``stardist/models/model2d.py`` and ``csbdeep/internals/blocks.py``
without a look at our own network: it is the reference that ours must agree with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class KerasSettings:
    n_rays: int = 8
    grid: tuple[int, int] = (2, 2)
    n_channel_in: int = 3
    unet_n_depth: int = 2
    unet_kernel_size: tuple[int, int] = (3, 3)
    unet_n_filter_base: int = 4
    unet_n_conv_per_depth: int = 2
    net_conv_after_unet: int = 6

    def as_dict(self) -> dict[str, object]:
        rest = {"n_dim": 2, "backbone": "unet", "unet_pool": [2, 2], "unet_activation": "relu"}
        return {**{key: getattr(self, key) for key in self.__dataclass_fields__}, **rest}


class Graph:
    """Records the layers in the order in which Keras would make them, then runs them."""

    def __init__(self, settings: KerasSettings, seed: int) -> None:
        self.settings = settings
        self.weights: Weights = {}
        self._rng = np.random.default_rng(seed)

    def conv(self, name, x, filters, kernel, activation="relu"):
        if name not in self.weights:
            shape = (*kernel, x.shape[-1], filters)
            spread = np.sqrt(2 / np.prod(shape[:3]))
            self.weights[name] = (
                self._rng.normal(0, spread, shape).astype(np.float32),
                self._rng.normal(0, 0.1, filters).astype(np.float32),
            )
        weight, bias = self.weights[name]
        padded = np.pad(x, ((kernel[0] // 2,) * 2, (kernel[1] // 2,) * 2, (0, 0)))
        out = np.stack(
            [
                correlate(padded, weight[..., i].astype(float), mode="valid")[..., 0] + bias[i]
                for i in range(filters)
            ],
            axis=-1,
        )
        return np.maximum(out, 0) if activation == "relu" else out

    def run(self, image):
        s = self.settings
        kernel, per_depth, base = (
            s.unet_kernel_size,
            s.unet_n_conv_per_depth,
            s.unet_n_filter_base,
        )
        x, pooled, number = image.astype(float), np.array([1, 1]), 0
        while tuple(pooled) != tuple(s.grid):
            pool = 1 + (np.asarray(s.grid) > pooled)
            pooled *= pool
            for _ in range(per_depth):
                x = self.conv(f"conv2d_{number}" if number else "conv2d", x, base, kernel)
                number += 1
            x = max_pool(x, pool)
        skips = []
        for n in range(s.unet_n_depth):
            for i in range(per_depth):
                x = self.conv(f"down_level_{n}_no_{i}", x, base * 2**n, kernel)
            skips.append(x)
            x = max_pool(x, (2, 2))
        for i in range(per_depth - 1):
            x = self.conv(f"middle_{i}", x, base * 2**s.unet_n_depth, kernel)
        last = base * 2 ** max(0, s.unet_n_depth - 1)
        x = self.conv(f"middle_{per_depth}", x, last, kernel)
        for n in reversed(range(s.unet_n_depth)):
            x = np.concatenate([x.repeat(2, axis=0).repeat(2, axis=1), skips[n]], axis=-1)
            for i in range(per_depth - 1):
                x = self.conv(f"up_level_{n}_no_{i}", x, base * 2**n, kernel)
            x = self.conv(f"up_level_{n}_no_{per_depth}", x, base * 2 ** max(0, n - 1), kernel)
        if s.net_conv_after_unet:
            x = self.conv("features", x, s.net_conv_after_unet, kernel)
        logit = self.conv("prob", x, 1, (1, 1), activation="linear")
        dist = self.conv("dist", x, s.n_rays, (1, 1), activation="linear")
        return 1 / (1 + np.exp(-logit[..., 0])), dist


def max_pool(x, pool):
    rows, columns = x.shape[0] // pool[0], x.shape[1] // pool[1]
    return x.reshape(rows, pool[0], columns, pool[1], -1).max(axis=(1, 3))


def write_keras2(file: h5py.Group, weights: Weights, suffix: str = ":0") -> None:
    """``save_weights`` of Keras 2 (``kernel:0``); of Keras 3 as ``.h5`` with no suffix."""
    # Layers without weights are listed too, and groups are written in order of name.
    file.attrs["layer_names"] = [b"input", *(n.encode() for n in weights), b"max_pooling2d"]
    file.attrs["backend"] = b"tensorflow"
    file.create_group("input").attrs["weight_names"] = np.array([], "S1")
    file.create_group("max_pooling2d").attrs["weight_names"] = np.array([], "S1")
    for name in sorted(weights):
        group = file.create_group(name)
        names = [f"{name}/kernel{suffix}", f"{name}/bias{suffix}"]
        group.attrs["weight_names"] = [n.encode() for n in names]
        for dataset, value in zip(names, weights[name], strict=True):
            group.create_dataset(dataset, data=value)
    file.create_group("top_level_model_weights").attrs["weight_names"] = np.array([], "S1")


def write_keras3(file: h5py.Group, weights: Weights, named: bool) -> None:
    """``.weights.h5`` of Keras 3: numbered by class, names only in later releases."""
    for number, (name, values) in enumerate(weights.items()):
        key = f"layers/conv2d_{number}/vars" if number else "layers/conv2d/vars"
        group = file.create_group(key)
        if named:
            group.attrs["name"] = name
        for i, value in enumerate(values):
            group.create_dataset(str(i), data=value)
    file.create_group("layers/max_pooling2d/vars")
    file.create_group("layers/input_layer/vars")


def write_folder(folder: Path, graph: Graph, weights_name: str = "weights_best.h5") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(graph.settings.as_dict()))
    (folder / "thresholds.json").write_text('{"prob": 0.692478, "nms": 0.3}')
    with h5py.File(folder / weights_name, "w") as file:
        write_keras2(file, graph.weights)
    return folder
