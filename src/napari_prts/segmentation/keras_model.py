"""StarDist 2D models as stardist saves them: a folder, a zip of it, or bare weights.

A folder holds ``config.json``, ``thresholds.json`` and ``weights_best.h5`` (or
``weights_last.h5``). Neither Keras nor TensorFlow is needed to read it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from napari_prts.errors import ModelError
from napari_prts.segmentation.keras_weights import read_keras_weights
from napari_prts.segmentation.model import StarDistModel, load_weights, weights_hash
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork

# Scale at which 2D_versatile_he is commonly run on H&E: QuPath's StarDist scripts
# ask for pixelSize(0.5) with it.
KERAS_MPP = 0.5
# What stardist itself uses for a model without thresholds.json (models/base.py).
DEFAULT_THRESHOLDS = {"prob": 0.5, "nms": 0.4}

_WEIGHTS = ("weights_best.h5", "weights_last.h5", "model.weights.h5")
_FILES = ("config.json", "thresholds.json", *_WEIGHTS)


def read_keras_model(
    path: Path | str, *, name: str | None = None, mpp: float = KERAS_MPP
) -> StarDistModel:
    """Load a StarDist 2D model that Keras wrote.

    Parameters
    ----------
    path : path
        A folder, a ``.zip`` of one, or an ``.h5`` file. Beside a lone ``.h5`` the
        ``config.json`` and ``thresholds.json`` of its folder are used; without them
        the configuration is that of ``2D_versatile_he`` and the thresholds are
        stardist's defaults (0.5, 0.4).
    name : str, optional
        Name of the model; by default the file's.
    mpp : float
        Microns per pixel at which to run it; Keras models do not say.

    Raises
    ------
    ModelError
        If something is missing or damaged, or the network is of a kind that this
        package does not have.
    """
    path = Path(path)
    files, weights_name = _read_files(path)
    origin = f"{path}: {weights_name}" if path.suffix != ".h5" else str(path)
    settings = _json(files, "config.json", path)
    config = keras_config(settings, path)
    thresholds = _json(files, "thresholds.json", path)
    prefix = str(settings.get("unet_prefix", ""))
    network = StarDistNetwork(config)
    load_weights(network, read_keras_weights(files[weights_name], config, origin, prefix), origin)
    try:
        return StarDistModel(
            name=name or path.stem,
            network=network.eval(),
            config=config,
            prob_threshold=float(thresholds.get("prob", DEFAULT_THRESHOLDS["prob"])),
            nms_threshold=float(thresholds.get("nms", DEFAULT_THRESHOLDS["nms"])),
            mpp=mpp,
            card={
                "source": f"Keras model {path.name}, {weights_name}",
                "thresholds": "thresholds.json" if thresholds else "defaults of stardist",
                "keras_config": settings,
            },
            hash=weights_hash(network),
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: thresholds.json is damaged ({error}).") from error


def keras_config(settings: Mapping[str, Any], path: Path) -> StarDistConfig:
    """Shape of the network from stardist's ``config.json``.

    Parameters
    ----------
    settings : mapping
        The file's contents; what is missing has the value of ``2D_versatile_he``.
    path : Path
        Where it is from, for messages.

    Raises
    ------
    ModelError
        If the network is of another kind: not 2D, another backbone, batch
        normalisation, another activation, or another pooling.
    """
    demands = {
        "n_dim": 2,
        "backbone": "unet",
        "unet_batch_norm": False,
        "unet_activation": "relu",
        "unet_last_activation": "relu",
        "unet_pool": [2, 2],
        "unet_expansion": 2,
    }
    for key, wanted in demands.items():
        given = settings.get(key, wanted)
        given = list(given) if isinstance(given, (list, tuple)) else given
        if given != wanted:
            raise ModelError(
                f"{path}: config.json has {key} = {given!r}; only {wanted!r} is possible here."
            )
    try:
        kernel_rows, kernel_columns = settings.get("unet_kernel_size", (3, 3))
        grid_rows, grid_columns = settings.get("grid", (2, 2))
        config = StarDistConfig(
            n_rays=int(settings.get("n_rays", 32)),
            grid=(int(grid_rows), int(grid_columns)),
            n_channel_in=int(settings.get("n_channel_in", 3)),
            depth=int(settings.get("unet_n_depth", 3)),
            filters=int(settings.get("unet_n_filter_base", 32)),
            convs_per_depth=int(settings.get("unet_n_conv_per_depth", 2)),
            features=int(settings.get("net_conv_after_unet", 128)),
            kernel=int(kernel_rows),
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: config.json is damaged ({error}).") from error
    powers = all(side > 0 and side & (side - 1) == 0 for side in config.grid)
    if kernel_rows != kernel_columns or not powers:
        raise ModelError(
            f"{path}: config.json has kernel {[kernel_rows, kernel_columns]} and grid "
            f"{list(config.grid)}; the kernel must be square, the grid powers of two."
        )
    return config


def _read_files(path: Path) -> tuple[dict[str, bytes], str]:
    try:
        if path.is_dir():
            files = {n: (path / n).read_bytes() for n in _FILES if (path / n).is_file()}
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found = {PurePosixPath(n).name: n for n in archive.namelist()}
                files = {n: archive.read(found[n]) for n in _FILES if n in found}
        else:
            beside = [path.parent / n for n in ("config.json", "thresholds.json")]
            files = {f.name: f.read_bytes() for f in beside if f.is_file()}
            return {**files, path.name: path.read_bytes()}, path.name
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read ({error}); copy or download it again.") from error
    weights = next((n for n in _WEIGHTS if n in files), None)
    if weights is None or "config.json" not in files:
        raise ModelError(
            f"{path} is no StarDist model: it needs config.json and one of {', '.join(_WEIGHTS)}."
        )
    return files, weights


def _json(files: Mapping[str, bytes], name: str, path: Path) -> dict[str, Any]:
    if name not in files:
        return {}
    try:
        values = json.loads(files[name])
    except ValueError as error:
        raise ModelError(f"{path}: {name} is not JSON ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: {name} is not a JSON object.")
    return values
