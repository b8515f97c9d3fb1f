"""One door to all encoders."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.errors import ModelError
from napari_prts.features.combined import PLUS, CombinedEncoder, parts_of
from napari_prts.features.licences import Consent
from napari_prts.features.request import MORPHOLOGY
from napari_prts.features.sources import HIPT_VIT256, WeightsSource, fetch, models_folder

if TYPE_CHECKING:
    from napari_prts.features.encoder import Encoder
    from napari_prts.features.hub import Hub, HubModel
    from napari_prts.features.vit import VitEncoder

UNET = "unet"
TEXTURE = "texture"
RANDOM = "random-vit:"
HUB = "hf-hub:"
LOCAL_LICENCE = "local file, licence not stated"


def load_encoder(
    encoder: str | Path = MORPHOLOGY,
    *,
    accept_licence: Consent = False,
    source: WeightsSource = HIPT_VIT256,
    hub: Hub | None = None,
) -> Encoder | CombinedEncoder:
    """Load an encoder.

    Parameters
    ----------
    encoder : str or path
        One of

        - ``"morphology"``: shape, stain and texture; needs no weights;
        - ``"texture"``: colour and texture of 45 to 627 um around the nucleus; needs no weights;
        - ``"unet"``: activations of the segmentation network that ships with the package;
          ``"unet:MODEL"`` those of another, as :func:`napari_prts.segmentation.load_model`
          names it;
        - ``"hipt-vit256"``: ViT-S/16 at 256 px of HIPT, as in PRTS, from the cache or
          downloaded;
        - ``"hf-hub:OWNER/NAME"``: a vision transformer of timm at the hub;
        - the name of a vision transformer of timm that has weights at the hub;
        - ``"NAME=PATH"``: timm's architecture NAME with weights from a file;
        - the path of a DINO checkpoint (``.pth``, ``.safetensors``), or of a folder with
          ``config.json`` and weights as the hub holds them. A bare file name is also
          looked for in the cache's ``models`` folder;
        - ``"random-vit:NAME"``: weights at random, for tests and benchmarks only;
        - ``"A+B"``: any of these side by side, such as ``"morphology+unet"``.
    accept_licence : bool or callable
        Weights of others are downloaded only if this is True, or a function that is
        shown a :class:`~napari_prts.features.LicenceNotice` and returns True.
    source : WeightsSource
        Where ``source.name`` is downloaded from.
    hub : Hub, optional
        Which hub to ask; Hugging Face's own by default.

    Returns
    -------
    Encoder or CombinedEncoder

    Raises
    ------
    ModelError
        If there is no such encoder, its weights cannot be had, or do not fit.
    """
    name = str(encoder)
    if name == MORPHOLOGY:
        from napari_prts.features.morphology import MorphologyEncoder

        return MorphologyEncoder()
    if name == TEXTURE:
        from napari_prts.features.texture import TextureEncoder

        return TextureEncoder()
    if name == UNET or name.startswith(f"{UNET}:"):
        from napari_prts.features.unet import UnetEncoder

        return UnetEncoder(name.removeprefix(f"{UNET}:")) if ":" in name else UnetEncoder()
    if PLUS in name and _local(name) is None:
        return _combined(name, accept_licence, source, hub)
    if name == source.name:
        return _dino(name, fetch(source, accept_licence), source.licence)
    if name.startswith(RANDOM):
        return _random(name)
    if name.startswith(HUB):
        return _from_hub(name, name.removeprefix(HUB), accept_licence, hub)
    if (path := _local(name)) is not None:
        return _from_path(path, source)
    if "=" in name:
        return _from_file(*name.split("=", 1))
    return _from_timm(name, accept_licence, hub)


def _combined(
    name: str, consent: Consent, source: WeightsSource, hub: Hub | None
) -> CombinedEncoder:
    names = [part.strip() for part in name.split(PLUS)]
    if not all(names):
        raise ModelError(
            f"{name!r} is no combination of encoders: write names with a plus between them, such "
            f"as '{MORPHOLOGY}{PLUS}{UNET}'."
        )
    loaded = [load_encoder(part, accept_licence=consent, source=source, hub=hub) for part in names]
    return CombinedEncoder([single for part in loaded for single in parts_of(part)])


def _local(name: str) -> Path | None:
    """Path of a local file or folder, also by its bare name in the cache."""
    path = Path(name).expanduser()
    for candidate in (path, models_folder() / path.name):
        if candidate.exists() and (candidate.is_file() or candidate != models_folder()):
            return candidate.resolve()
    return None


def _dino(name: str, path: Path, licence: str) -> VitEncoder:
    from napari_prts.features.dino import MEAN, STD, load_dino
    from napari_prts.features.vit import VitEncoder

    architecture, model = load_dino(path)
    return VitEncoder(name, model, architecture, MEAN, STD, licence)


def _from_path(path: Path, source: WeightsSource) -> VitEncoder:
    if path.is_dir():
        from napari_prts.features.hub import load_model_folder

        return _of_hub_model(str(path), load_model_folder(path))
    if _is_file_of(path, source):
        return _dino(source.name, path, source.licence)
    return _dino(str(path), path, LOCAL_LICENCE)


def _is_file_of(path: Path, source: WeightsSource) -> bool:
    """Whether a file is a known one, so that a model made with it names no private path."""
    if source.sha256 is None or path.stat().st_size != source.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == source.sha256


def _from_file(architecture: str, weights: str) -> VitEncoder:
    import timm

    from napari_prts.features.building import build_vit
    from napari_prts.features.checkpoints import read_weights
    from napari_prts.features.hub import normalisation
    from napari_prts.features.vit import VitEncoder

    _require_timm_name(architecture)
    path = _local(weights) or Path(weights).expanduser()
    model = build_vit(architecture, read_weights(path), str(path))
    config = timm.get_pretrained_cfg(architecture)
    mean, std = normalisation(config.to_dict() if config else {})
    return VitEncoder(f"{architecture}={path}", model, architecture, mean, std, LOCAL_LICENCE)


def _from_timm(name: str, consent: Consent, hub: Hub | None) -> VitEncoder:
    import timm

    _require_timm_name(name)
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise ModelError(
            f"timm has no weights for {name!r}: give {name}=PATH with a file of weights, or "
            f"{RANDOM}{name} for a test with weights at random."
        )
    return _from_hub(name, config.hf_hub_id, consent, hub)


def _from_hub(name: str, repository: str, consent: Consent, hub: Hub | None) -> VitEncoder:
    from napari_prts.features.hub import Hub, load_model_folder

    hub = hub or Hub()
    folder = hub.fetch(repository, consent)
    return _of_hub_model(name, load_model_folder(folder, hub.licence(repository)))


def _of_hub_model(name: str, found: HubModel) -> VitEncoder:
    from napari_prts.features.vit import VitEncoder

    return VitEncoder(name, found.model, found.architecture, found.mean, found.std, found.licence)


def _random(name: str) -> VitEncoder:
    """``random-vit:NAME`` or ``random-vit:NAME,img_size=64,depth=2``."""
    import torch

    from napari_prts.features.building import create_vit
    from napari_prts.features.dino import MEAN, STD
    from napari_prts.features.vit import VitEncoder

    architecture, *options = name.removeprefix(RANDOM).split(",")
    arguments = {}
    for option in options:
        key, _, value = option.partition("=")
        if not value.isdigit():
            raise ModelError(f"{option!r} in {name!r} is no option: write img_size=64, say.")
        arguments[key] = int(value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_vit(architecture, **arguments)
    return VitEncoder(name, model, f"random-{architecture}", MEAN, STD, "none: random weights")


def _require_timm_name(name: str) -> None:
    import timm

    if not timm.is_model(name):
        raise ModelError(
            f"There is no encoder {name!r}, neither a file nor a model of timm. Give "
            f"{MORPHOLOGY!r}, {TEXTURE!r}, {UNET!r}, {HIPT_VIT256.name!r}, {HUB}OWNER/NAME, the "
            "name of a vision transformer of timm, NAME=PATH, the path of a checkpoint, or several "
            "with a plus between them."
        )
