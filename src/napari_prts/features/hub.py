"""Models at the Hugging Face hub, in timm's form: a config.json and a file of weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import ModelError
from napari_prts.features.building import build_vit
from napari_prts.features.checkpoints import read_weights
from napari_prts.features.licences import Consent, LicenceNotice, require_consent
from napari_prts.features.sources import brief

if TYPE_CHECKING:
    from timm.models import VisionTransformer

CONFIG = "config.json"
CARD = "README.md"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
UNKNOWN_LICENCE = "licence not stated"


@dataclass(frozen=True)
class HubModel:
    """A vision transformer that the hub or a folder holds.

    Parameters
    ----------
    architecture : str
        Its name in timm.
    model : timm.models.VisionTransformer
        With its weights.
    mean, std : tuple of float
        Normalisation of the channels.
    licence : str
        As its configuration or its card says.
    """

    architecture: str
    model: VisionTransformer
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str


@dataclass(frozen=True)
class Hub:
    """Where models are asked for.

    Parameters
    ----------
    endpoint : str, optional
        Address of the hub or of a mirror; Hugging Face's own by default.
    """

    endpoint: str | None = None

    @property
    def address(self) -> str:
        """Address of the hub, without a slash at the end."""
        from huggingface_hub import constants

        return str(self.endpoint or constants.ENDPOINT).rstrip("/")

    def fetch(self, repository: str, consent: Consent = False) -> Path:
        """Give the folder of a model, downloading it when it is not in the hub's cache.

        Parameters
        ----------
        repository : str
            ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.
        consent : bool or callable
            Whether the licence is accepted; asked only before the weights are
            downloaded.

        Raises
        ------
        ModelError
            If there is no consent, no connection, no access or no such model.
        """
        for name in WEIGHTS:
            config, weights = self._cached(repository, CONFIG), self._cached(repository, name)
            if config is not None and weights is not None:
                return config.parent
        config = self._download(repository, CONFIG)
        notice = LicenceNotice(
            f"hf-hub:{repository}",
            _licence(config, self._card(repository)),
            f"{self.address}/{repository.partition('@')[0]}",
        )
        require_consent(notice, consent, _by_hand(repository))
        return self._download(repository, *WEIGHTS).parent

    def licence(self, repository: str) -> str:
        """Licence of a model that was fetched, as its card or its configuration says."""
        config = self._cached(repository, CONFIG)
        if config is None:
            return UNKNOWN_LICENCE
        return _licence(config, self._cached(repository, CARD))

    def _require_connection(self) -> None:
        """Raise OSError at once if nothing answers; the hub's client tries half a minute."""
        import requests

        requests.head(self.address, timeout=10)

    def _card(self, repository: str) -> Path | None:
        """Model card, downloaded if need be; None for a model without one."""
        try:
            return self._cached(repository, CARD) or self._download(repository, CARD)
        except ModelError:
            return None

    def _cached(self, repository: str, filename: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        owner_name, _, revision = repository.partition("@")
        found = try_to_load_from_cache(owner_name, filename, revision=revision or None)
        return Path(found) if isinstance(found, str) else None

    def _download(self, repository: str, *filenames: str) -> Path:
        """Download the first of the files that the repository has."""
        from huggingface_hub import errors, hf_hub_download

        owner_name, _, revision = repository.partition("@")
        try:
            self._require_connection()
            for filename in filenames:
                try:
                    return Path(
                        hf_hub_download(
                            owner_name,
                            filename,
                            revision=revision or None,
                            endpoint=self.endpoint,
                        )
                    )
                except errors.LocalEntryNotFoundError:
                    raise
                except errors.EntryNotFoundError:
                    continue
        except errors.GatedRepoError as error:
            raise ModelError(
                f"{owner_name} is given out on request: ask for access at "
                f"{self.address}/{owner_name}, run 'hf auth login' once, and try again; "
                f"or {_by_hand(repository)}"
            ) from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            raise ModelError(
                f"The hub has no model {repository!r}: check the name at {self.address}."
            ) from error
        except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
            raise ModelError(
                f"{repository} could not be downloaded ({brief(error)}). Check the connection, "
                f"or {_by_hand(repository)}"
            ) from error
        raise ModelError(
            f"The hub's {owner_name} has no {' or '.join(filenames)}: it is not a model in timm's "
            "form. Choose one whose page says timm."
        )


def load_model_folder(folder: Path, licence: str | None = None) -> HubModel:
    """Load a vision transformer from a folder as the hub holds it.

    Parameters
    ----------
    folder : Path
        Holds ``config.json`` with timm's ``architecture``, and the weights.
    licence : str, optional
        Licence, if known better than from the configuration.

    Raises
    ------
    ModelError
        If the folder lacks a part, or its parts do not fit together.
    """
    config = _read_config(folder / CONFIG)
    architecture = config.get("architecture")
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if not isinstance(architecture, str) or path is None:
        raise ModelError(
            f"{folder} holds no model in timm's form: it needs {CONFIG} with 'architecture', and "
            f"{' or '.join(WEIGHTS)}."
        )
    pretrained = _pretrained(config)
    arguments = {**config.get("model_args", {})}
    arguments.pop("num_classes", None)
    if "global_pool" in config:
        arguments.setdefault("global_pool", config["global_pool"])
    model = build_vit(architecture, read_weights(path), str(path), **arguments)
    mean, std = normalisation(pretrained)
    return HubModel(
        architecture,
        model,
        mean,
        std,
        licence or str(pretrained.get("license") or UNKNOWN_LICENCE),
    )


def normalisation(pretrained: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the channels from a model's pretrained configuration.

    Raises
    ------
    ModelError
        If the configuration does not say.
    """
    mean, std = pretrained.get("mean"), pretrained.get("std")
    if not mean or not std or len(mean) != 3 or len(std) != 3 or not all(s > 0 for s in std):
        raise ModelError(
            f"The model's configuration has mean {mean} and std {std}; three numbers each are "
            "needed, std above 0. Mend its config.json."
        )
    return tuple(float(m) for m in mean), tuple(float(s) for s in std)


def _licence(config: Path, card: Path | None) -> str:
    """Licence that a model's card states, or else its configuration."""
    from huggingface_hub import ModelCard

    try:
        stated = ModelCard.load(card).data.get("license") if card is not None else None
    except ValueError:  # its header is no YAML
        stated = None
    return str(stated or _pretrained(_read_config(config)).get("license") or UNKNOWN_LICENCE)


def _by_hand(repository: str) -> str:
    return (
        f"download {CONFIG} and {WEIGHTS[0]} of {repository.partition('@')[0]} into one folder and "
        "give that folder as the encoder."
    )


def _pretrained(config: dict[str, Any]) -> dict[str, Any]:
    """Pretrained configuration; older files hold its entries without a key of their own."""
    inner = config.get("pretrained_cfg", config)
    return inner if isinstance(inner, dict) else {}


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read as a model's configuration.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is no model's configuration: it should hold one JSON object.")
    return config
