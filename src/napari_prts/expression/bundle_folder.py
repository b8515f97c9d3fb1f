"""A model on disk: a folder of ``weights.safetensors`` and ``card.json``.

Loading one runs no code. The card holds the SHA-256 of the arrays, checked at
each load.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from napari_prts.errors import ModelError
from napari_prts.expression.bundle import ModelBundle
from napari_prts.files import written_aside

FORMAT = "napari-prts expression"
# 2: several slides, standardisation by section, counts of the sampled training cells.
FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"

_DESCRIBE_FILE = ("format", "format_version", "sha256")
_REQUIRED = (
    "genes",
    "encoder",
    "encoder_key",
    "features",
    "network",
    "threshold",
    "distance",
    "training",
    "sha256",
)


def save_bundle(bundle: ModelBundle, folder: Path | str) -> Path:
    """Write a model folder, whole or not at all; an existing one is replaced.

    Parameters
    ----------
    bundle : ModelBundle
        The model.
    folder : path
        Folder to write.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        If the folder holds something else, or cannot be written.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    _check_target(folder)
    weights = save(bundle.arrays, metadata={"format": FORMAT})
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **bundle.card,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with written_aside(folder) as aside:
            aside.mkdir()
            (aside / WEIGHTS_FILE).write_bytes(weights)
            (aside / CARD_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ModelError(f"The model cannot be written to {folder} ({error}).") from error
    return folder


def load_bundle(folder: Path | str) -> ModelBundle:
    """Load a model folder.

    Parameters
    ----------
    folder : path
        Folder that :meth:`ModelBundle.save` wrote.

    Raises
    ------
    ModelError
        If it is no such folder, is damaged, or was written by a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder)
    card = _read_card(folder)
    try:
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} cannot be read ({error}): copy the whole model folder."
        ) from error
    if hashlib.sha256(weights).hexdigest() != card["sha256"]:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} is damaged: its SHA-256 is not the one in {CARD_FILE}. Copy "
            "the model again."
        )
    try:
        arrays = load(weights)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder / WEIGHTS_FILE} is not a safetensors file ({error}).") from error
    about = {name: value for name, value in card.items() if name not in _DESCRIBE_FILE}
    try:
        bundle = ModelBundle(about, arrays)
        bundle.network()
        _ = bundle.slides, bundle.training_cells, bundle.threshold, bundle.use, bundle.trained_on
        _ = bundle.quality_reference
    except ModelError as error:
        raise ModelError(f"{folder}: {error} Copy or train the model again.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{folder / CARD_FILE} does not describe a model ({error!r}): it is damaged. Copy or "
            "train the model again."
        ) from error
    return bundle


def _check_target(folder: Path) -> None:
    if folder.is_file():
        raise ModelError(f"The model cannot be written to {folder}: that is a file; name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD_FILE).is_file():
        raise ModelError(
            f"{folder} holds something else than a model and would be replaced: name a new folder."
        )


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_FILE
    if not path.is_file():
        reason = f"it has no {CARD_FILE}" if folder.is_dir() else "there is no such folder"
        raise ModelError(f"{folder} is not a PRTS model: {reason}. Choose a folder made by train.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}): the model is damaged. Copy it again."
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(
            f"{path} is not the card of a PRTS expression model: choose a folder made by train."
        )
    if card.get("format_version") not in READ_VERSIONS:
        raise ModelError(
            f"{path} has format version {card.get('format_version')!r}, this napari-prts reads "
            f"up to {FORMAT_VERSION}: update napari-prts."
        )
    if missing := [key for key in _REQUIRED if key not in card]:
        raise ModelError(f"{path} lacks {', '.join(missing)}: the model is damaged.")
    return card
