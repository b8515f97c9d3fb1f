"""Models that the user made: where they are kept, how they are named, which there are.

Nothing here loads PyTorch, so that a window can list the models at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import napari_prts
from napari_prts.errors import ModelError
from napari_prts.segmentation.sources import VERSATILE_HE
from napari_prts.slide.remembered import data_folder

CARD = "card.json"
_NAME = re.compile(r"\w[\w .+-]{0,62}(?<![ .])")
# Names that Windows keeps for devices, whatever ending follows.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Origin(StrEnum):
    """Where a model is from."""

    EMBEDDED = "embedded"
    DOWNLOAD = "download"
    USER = "user"


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked for by its name.

    Parameters
    ----------
    name : str
        As :func:`~napari_prts.segmentation.load_model` takes it.
    origin : Origin
        Where it is from.
    path : Path
        Its folder or file; that of a download may not be there yet.
    words : str
        A sentence about it for the user; may be empty.
    """

    name: str
    origin: Origin
    path: Path
    words: str = ""

    @property
    def here(self) -> bool:
        """Whether it can be used without a connection."""
        return self.path.exists()


def embedded_models() -> Path:
    """Folder of the models that ship with the package."""
    return Path(napari_prts.__file__).parent / "data" / "models"


def user_models() -> Path:
    """Folder of the models that the user made; it may not be there yet."""
    return data_folder() / "models"


def user_model_folder(name: str) -> Path | None:
    """Find a model of the user by its name, None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    folder = user_models() / name
    return folder if (folder / CARD).is_file() else None


def check_new_name(name: str) -> str:
    """Return a name for a new model, or say why it cannot be one.

    Raises
    ------
    ModelError
        If it is no file name, or a model of this name exists.
    """
    if not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be the name of a model: use up to 63 letters, digits, '-', '_', "
            "'.' or spaces, beginning with a letter or digit."
        )
    if name.casefold() in _taken():
        raise ModelError(
            f"There is a model {name!r} already, and no model is overwritten: choose another "
            f"name, for example {free_name(name)!r}."
        )
    return name


def free_name(name: str) -> str:
    """Return the name, numbered if a model has it already: ``skin``, ``skin-2``, ``skin-3``."""
    taken = _taken()
    if name.casefold() not in taken:
        return name
    stem = re.sub(r"-\d{1,6}$", "", name)[:56]
    number = 2
    while f"{stem}-{number}".casefold() in taken:
        number += 1
    return f"{stem}-{number}"


def list_models() -> tuple[ModelEntry, ...]:
    """List the models that have a name: embedded ones, known downloads, the user's own.

    Returns
    -------
    tuple of ModelEntry
        In that order, each group by name.
    """
    downloads = (ModelEntry(VERSATILE_HE.name, Origin.DOWNLOAD, VERSATILE_HE.path),)
    return (
        *_folders(embedded_models(), Origin.EMBEDDED),
        *downloads,
        *_folders(user_models(), Origin.USER),
    )


def _folders(parent: Path, origin: Origin) -> tuple[ModelEntry, ...]:
    cards = sorted(parent.glob(f"*/{CARD}"))
    # What is being written stands in a hidden folder until it is whole.
    return tuple(
        ModelEntry(card.parent.name, origin, card.parent, _words(card))
        for card in cards
        if not card.parent.name.startswith(".")
    )


def _words(card: Path) -> str:
    """Say what a tuned model was made of; a damaged card is told when the model is loaded."""
    try:
        training = json.loads(card.read_text(encoding="utf-8"))["training"]
        before, after = (training["held_out"][key] for key in ("f1_before", "f1_after"))
        return (
            f"{training['base']} tuned on {training['nuclei']} nuclei of "
            f"{training['slide']['name']}; F1 on the part held out {before:.2f} before, "
            f"{after:.2f} after."
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _taken() -> set[str]:
    """Names in use, without regard to case: not every file system tells them apart."""
    taken = {entry.name.casefold() for entry in list_models()}
    if user_models().is_dir():
        taken |= {path.name.casefold() for path in user_models().iterdir()}
    return taken
