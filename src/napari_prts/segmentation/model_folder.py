"""The project's own model format: a folder of ``weights.safetensors`` and ``card.json``.

Loading one runs no code. The weights may be float16 on disk; in memory they are
float32. The card holds the SHA-256 of the weights file, checked at each load.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from napari_prts.errors import ModelError
from napari_prts.files import written_aside
from napari_prts.segmentation.model import StarDistModel, load_weights, weights_hash
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.normalisation import HIGH_PERCENTILE, LOW_PERCENTILE
from napari_prts.slide.quality_reference import CARD_KEY, QualityReference

FORMAT = "napari-prts stardist"
FORMAT_VERSION = 1
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"

# Keys of the card that describe the format; all others are free to say more.
_REQUIRED = ("name", "config", "prob_threshold", "nms_threshold", "mpp", "normalisation", "sha256")


def save_model(model: StarDistModel, folder: Path | str, *, half: bool = True) -> Path:
    """Write a model folder, whole or not at all.

    Parameters
    ----------
    model : StarDistModel
        What to write.
    folder : path
        Folder to write; an existing model there is replaced.
    half : bool
        Round the weights to float16, which halves the file. The loaded model then
        differs from ``model`` by this rounding (see :func:`rounded_to_half`).

    Returns
    -------
    Path
        The folder.
    """
    from safetensors.torch import save

    dtype = torch.float16 if half else torch.float32
    state = {
        name: tensor.detach().cpu().to(dtype).contiguous()
        for name, tensor in model.network.state_dict().items()
    }
    weights = save(state, metadata={"format": FORMAT})
    card = {
        **model.card,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "config": asdict(model.config),
        "prob_threshold": model.prob_threshold,
        "nms_threshold": model.nms_threshold,
        "mpp": model.mpp,
        "normalisation": {"low": model.percentiles[0], "high": model.percentiles[1]},
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    with written_aside(folder) as aside:
        aside.mkdir()
        (aside / WEIGHTS_FILE).write_bytes(weights)
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        (aside / CARD_FILE).write_text(text, encoding="utf-8")
    return Path(folder)


def export_model(
    network: StarDistNetwork,
    folder: Path | str,
    *,
    name: str,
    prob_threshold: float,
    nms_threshold: float,
    mpp: float,
    licence: str,
    training: dict[str, Any],
    metrics: dict[str, Any],
    half: bool = True,
    reference: QualityReference | None = None,
) -> StarDistModel:
    """Make a model folder of a trained network.

    Parameters
    ----------
    network : StarDistNetwork
        The trained network.
    folder : path
        Folder to write.
    name : str
        Name of the model.
    prob_threshold, nms_threshold : float
        Thresholds to use unless the user says otherwise.
    mpp : float
        Microns per pixel at which to run it.
    licence : str
        Licence of the weights and credit for the training data.
    training, metrics : dict
        What it was trained on, and how it scores; JSON values.
    half : bool
        Round the weights to float16.
    reference : QualityReference, optional
        Stain and focus of the training tiles.

    Returns
    -------
    StarDistModel
        The model as it loads from the folder.
    """
    model = StarDistModel(
        name=name,
        network=network,
        config=network.config,
        prob_threshold=prob_threshold,
        nms_threshold=nms_threshold,
        mpp=mpp,
        card={
            "licence": licence,
            "training": training,
            **({} if reference is None else {CARD_KEY: reference.as_dict()}),
            "metrics": metrics,
            "versions": {what: version(what) for what in ("napari-prts", "torch", "stardist")},
        },
        hash=weights_hash(network),
    )
    return read_model_folder(save_model(model, folder, half=half))


def add_reference(folder: Path | str, reference: QualityReference) -> Path:
    """Write stain and focus of the training tiles into the card of a model folder.

    Parameters
    ----------
    folder : path
        A model folder; its weights, and so its hash, stay as they are.
    reference : QualityReference
        What to write; another one there is replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        If it is no model folder.
    """
    path = Path(folder) / CARD_FILE
    card = {**_read_card(path), CARD_KEY: reference.as_dict()}
    with written_aside(path) as aside:
        aside.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(folder)


def rounded_to_half(network: StarDistNetwork) -> StarDistNetwork:
    """Copy a network with its weights rounded to float16, as they are on disk."""
    copy = StarDistNetwork(network.config)
    copy.load_state_dict(
        {name: tensor.half().float() for name, tensor in network.state_dict().items()}
    )
    return copy.eval()


def read_model_folder(folder: Path | str) -> StarDistModel:
    """Load a model folder.

    Parameters
    ----------
    folder : path
        Folder with ``weights.safetensors`` and ``card.json``.

    Raises
    ------
    ModelError
        If a file is missing or damaged, the format is another or newer one, or the
        weights do not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    card = _read_card(folder / CARD_FILE)
    try:
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} cannot be read ({error}); copy the whole model folder."
        ) from error
    if hashlib.sha256(weights).hexdigest() != card["sha256"]:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} is damaged: its SHA-256 is not the one in {CARD_FILE}. "
            "Copy or download the model again."
        )
    try:
        state = load(weights)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder / WEIGHTS_FILE} is not a safetensors file ({error}).") from error
    try:
        network = StarDistNetwork(_config(card["config"]))
        load_weights(network, state, str(folder / WEIGHTS_FILE))
        return StarDistModel(
            name=str(card["name"]),
            network=network.eval(),
            config=network.config,
            prob_threshold=float(card["prob_threshold"]),
            nms_threshold=float(card["nms_threshold"]),
            mpp=float(card["mpp"]),
            card=card,
            hash=weights_hash(network),
            percentiles=(
                float(card["normalisation"].get("low", LOW_PERCENTILE)),
                float(card["normalisation"].get("high", HIGH_PERCENTILE)),
            ),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / CARD_FILE} does not describe a model: {error}.") from error


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}); it is no model folder.") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); the model is damaged.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(f"{path} is not the card of a StarDist model of napari-prts.")
    if card.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path} has format version {card.get('format_version')!r}, this napari-prts reads "
            f"{FORMAT_VERSION}. Use the napari-prts that wrote it, or update this one."
        )
    if missing := [key for key in _REQUIRED if key not in card]:
        raise ModelError(f"{path} lacks {', '.join(missing)}; the model is damaged.")
    return card


def _config(values: dict[str, Any]) -> StarDistConfig:
    row, column = values["grid"]
    return StarDistConfig(**{**values, "grid": (int(row), int(column))})
