"""Makes a model's encoder ready before it is asked for, and reckons how long a prediction takes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_prts.errors import ModelError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle
    from napari_prts.features import EncoderShelf
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True)
class Readiness:
    """What is known once an encoder is loaded and was timed.

    Parameters
    ----------
    devices : tuple of str
        Devices that this computer has, ``"auto"`` first.
    where : str
        Device and precision that the encoder runs with, in words.
    seconds : dict of str to float
        About how long all nuclei take, by how tiles are laid: ``"exact"``, ``"grid"``.
        Empty for an encoder that looks at no tiles.
    """

    devices: tuple[str, ...]
    where: str
    seconds: dict[str, float]


def warming_job(
    model: ModelBundle, device: str, slide: Slide, nuclei: Nuclei, shelf: EncoderShelf
) -> Job[Readiness]:
    """Load the encoder of a model, time it, and count the tiles that nuclei need.

    Parameters
    ----------
    model : ModelBundle
        The model.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        Its nuclei; may be none yet.
    shelf : EncoderShelf
        Where the encoder is put.

    Yields
    ------
    Progress
        As :func:`napari_prts.features.shelf.warm_up_job` does.

    Returns
    -------
    Readiness

    Raises
    ------
    ModelError
        If the encoder cannot be had or run.
    """
    from napari_prts.features import ExtractRequest
    from napari_prts.features.planning import tiles_needed
    from napari_prts.features.shelf import warm_up_job

    request = ExtractRequest(encoder=model.encoder, device=device)
    speed = yield from warm_up_job(request, slide, shelf)
    needed = tiles_needed(slide, nuclei, shelf.get(model.encoder))
    seconds: dict[str, float] = {}
    if needed is not None and speed.tiles_per_s:
        seconds = {
            "exact": needed.exact / speed.tiles_per_s,
            "grid": needed.grid / speed.tiles_per_s,
        }
    yield Progress(1, 1, "encoders")
    return Readiness(devices_here(), speed.where, seconds)


def devices_here() -> tuple[str, ...]:
    """Names of the devices that this computer has, ``"auto"`` first.

    Imports PyTorch: not for the window's own thread.
    """
    from napari_prts.features.device import DEVICES, choose_device

    found = []
    for name in DEVICES:
        with suppress(ModelError):
            choose_device(name)
            found.append(name)
    return tuple(found)
