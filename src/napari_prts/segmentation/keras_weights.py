"""Weights that Keras wrote (HDF5), as parameters of our network.

Two layouts exist. In the older one (Keras 1 and 2, and ``.h5`` in Keras 3) the
attribute ``layer_names`` lists the groups, and each group's ``weight_names``
lists its datasets, kernel before bias; Keras 2 calls them ``kernel:0``, Keras 3
``kernel``. A whole saved model has all of it in a group ``model_weights``. In the
newer one (``.weights.h5`` of Keras 3) a layer is ``layers/<key>/vars/0`` and
``/1``, its name an attribute of ``vars`` in later releases only.
"""

from __future__ import annotations

import re
from io import BytesIO

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.network import StarDistConfig

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

_AUTOMATIC = re.compile(r"conv2d(?:_(\d+))?$")
# Heads of multi-class models; they do not change the shapes that are found.
_CLASS_LAYERS = ("features_class", "prob_class")


def read_keras_weights(
    data: bytes, config: StarDistConfig, origin: str, prefix: str = ""
) -> dict[str, torch.Tensor]:
    """Read the weights of a StarDist 2D model from HDF5 bytes.

    Parameters
    ----------
    data : bytes
        The file.
    config : StarDistConfig
        Shape of the network.
    origin : str
        Name of the file, for messages.
    prefix : str
        ``unet_prefix`` of the model's configuration.

    Returns
    -------
    dict of str to torch.Tensor
        Parameters of :class:`~napari_prts.segmentation.network.StarDistNetwork`;
        kernels turned from Keras's (row, column, in, out) to (out, in, row, column).

    Raises
    ------
    ModelError
        If the bytes are not HDF5, or a convolution is missing or left over.
    """
    try:
        with h5py.File(BytesIO(data), "r") as file:
            layers = _read_layers(file, origin)
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{origin} is not a whole Keras weights file ({error}).") from error
    modules = module_names(config, prefix)
    layers = _in_graph_names(layers, modules, origin)
    state = {}
    for keras_name, module in modules.items():
        kernel, bias = layers[keras_name]
        turned = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"{module}.weight"] = torch.from_numpy(turned)
        state[f"{module}.bias"] = torch.from_numpy(np.ascontiguousarray(bias))
    return state


def module_names(config: StarDistConfig, prefix: str = "") -> dict[str, str]:
    """Map Keras layer names to our module names, in the order of the graph.

    The convolutions before the U-Net have no name of their own in StarDist; here
    they are ``conv2d``, ``conv2d_1``, ... (``stardist/models/model2d.py``, ``_build``;
    the other names are from ``csbdeep/internals/blocks.py``, ``unet_block``).
    """
    convs, names = config.convs_per_depth, {}
    steps = max(config.grid).bit_length() - 1
    for number in range(steps * convs):
        keras_name = f"conv2d_{number}" if number else "conv2d"
        names[keras_name] = f"pooled.{number // convs}.{number % convs}"
    # csbdeep numbers the last convolution of the way up with their count, not from zero.
    numbers = [*range(convs - 1), convs]
    for level in range(config.depth):
        for i in range(convs):
            names[f"{prefix}down_level_{level}_no_{i}"] = f"down.{level}.{i}"
    for i, number in enumerate(numbers):
        names[f"{prefix}middle_{number}"] = f"middle.{i}"
    for place, level in enumerate(reversed(range(config.depth))):
        for i, number in enumerate(numbers):
            names[f"{prefix}up_level_{level}_no_{number}"] = f"up.{place}.{i}"
    if config.features:
        names["features"] = "features.0"
    return {**names, "prob": "prob", "dist": "dist"}


def _read_layers(file: h5py.File, origin: str) -> dict[str, Layer]:
    root = file.get("model_weights", file)
    if layer_names := _texts(root, "layer_names"):
        layers = {}
        for name in layer_names:
            weight_names = _texts(root[name], "weight_names")
            if weight_names:
                layers[name] = _layer([root[name][w] for w in weight_names], name, origin)
        return layers
    for holder in ("layers", "_layer_checkpoint_dependencies"):
        if holder in root:
            return _read_numbered(root[holder], origin)
    raise ModelError(
        f"{origin} has no layers of Keras in it; give weights_best.h5 of a StarDist 2D model."
    )


def _read_numbered(group: h5py.Group, origin: str) -> dict[str, Layer]:
    layers = {}
    for key in group:
        variables = group[key].get("vars")
        if variables is not None and len(variables):
            name = variables.attrs.get("name", key)
            name = name.decode() if isinstance(name, bytes) else str(name)
            parts = [variables[str(i)] for i in range(len(variables))]
            layers[name] = _layer(parts, name, origin)
    return layers


def _layer(parts: list[h5py.Dataset], name: str, origin: str) -> Layer:
    if len(parts) != 2 or parts[0].ndim != 4 or parts[1].ndim != 1:
        raise ModelError(
            f"{origin}: layer {name!r} is not a 2D convolution with bias (shapes "
            f"{[part.shape for part in parts]}); only StarDist 2D without batch norm is possible."
        )
    return np.asarray(parts[0], np.float32), np.asarray(parts[1], np.float32)


def _texts(group: h5py.Group, name: str) -> list[str]:
    """List of names in an attribute, which Keras splits when it is large."""
    if name in group.attrs:
        values = list(group.attrs[name])
    else:
        values, chunk = [], 0
        while f"{name}{chunk}" in group.attrs:
            values.extend(group.attrs[f"{name}{chunk}"])
            chunk += 1
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _in_graph_names(
    layers: dict[str, Layer], modules: dict[str, str], origin: str
) -> dict[str, Layer]:
    """Give the unnamed convolutions the names of :func:`module_names`."""
    unnamed = sorted((n for n in layers if _AUTOMATIC.match(n)), key=_automatic_number)
    if len(unnamed) == len(layers):
        # Keras 3 before layer names were kept: all are numbered in the order of the graph.
        wanted = list(modules)
    else:
        wanted = [n for n in modules if _AUTOMATIC.match(n)]
    if len(unnamed) != len(wanted):
        raise ModelError(
            f"{origin} has {len(unnamed)} unnamed convolutions, its configuration asks for "
            f"{len(wanted)}: grid or unet_n_conv_per_depth in config.json is of another model."
        )
    named = {n: layer for n, layer in layers.items() if n not in unnamed}
    # A counter that did not start at zero (a second model in the session) keeps the order.
    named |= {new: layers[old] for new, old in zip(wanted, unnamed, strict=True)}
    if missing := [n for n in modules if n not in named]:
        raise ModelError(
            f"{origin} lacks the layer {missing[0]!r} ({len(missing)} missing): it is not a "
            "StarDist 2D model of the configuration given (config.json)."
        )
    left = [n for n in named if n not in modules and n not in _CLASS_LAYERS]
    if left:
        raise ModelError(
            f"{origin} has {len(left)} layers more than its configuration, the first is "
            f"{left[0]!r}: config.json is of another model."
        )
    return named


def _automatic_number(name: str) -> int:
    match = _AUTOMATIC.match(name)
    return int(match.group(1) or 0) if match else -1
