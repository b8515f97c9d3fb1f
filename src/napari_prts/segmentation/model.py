"""A StarDist network together with all that must be known to use it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch

from napari_prts.errors import ModelError
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.normalisation import HIGH_PERCENTILE, LOW_PERCENTILE


@dataclass(frozen=True, eq=False)
class StarDistModel:
    """A network, its thresholds and the scale at which it is run.

    Parameters
    ----------
    name : str
        Name shown to the user.
    network : StarDistNetwork
        The network with its weights, on the CPU and in float32.
    config : StarDistConfig
        Shape of the network.
    prob_threshold : float
        Grid points of higher object probability are candidates, 0 to 1.
    nms_threshold : float
        Of two candidates that overlap by more than this share of the smaller one,
        the less probable is dropped, 0 to 1.
    mpp : float
        Microns per pixel of the images that the network is given.
    card : dict
        Whatever is known of the model: training data, metrics, licence.
    hash : str
        SHA-256 of the weights as float32, whatever file they came from.
    percentiles : tuple of float
        Percentiles of each channel that become 0 and 1.

    Raises
    ------
    ModelError
        If a threshold or the scale is out of its range.
    """

    name: str
    network: StarDistNetwork
    config: StarDistConfig
    prob_threshold: float
    nms_threshold: float
    mpp: float
    card: dict[str, Any]
    hash: str
    percentiles: tuple[float, float] = field(default=(LOW_PERCENTILE, HIGH_PERCENTILE))

    def __post_init__(self) -> None:
        for what in ("prob_threshold", "nms_threshold"):
            check_threshold(getattr(self, what), what)
        if not 0.05 <= self.mpp <= 20:
            raise ModelError(
                f"Model {self.name!r} is to be run at {self.mpp} um/px; 0.05 to 20 is possible."
            )
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ModelError(
                f"Model {self.name!r} normalises from percentile {low} to {high}; they must rise "
                "within 0 to 100."
            )


def check_threshold(value: float, what: str) -> None:
    """Raise ModelError unless ``value`` lies within 0 to 1."""
    if not 0 <= value <= 1:
        raise ModelError(f"{what} is {value}; give a number from 0 to 1.")


def weights_hash(network: StarDistNetwork) -> str:
    """SHA-256 of a network's weights: names and float32 bytes, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_weights(network: StarDistNetwork, state: dict[str, torch.Tensor], origin: str) -> None:
    """Put weights into a network, each of the right name and shape.

    Parameters
    ----------
    network : StarDistNetwork
        Filled in place.
    state : dict of str to torch.Tensor
        Weights by parameter name; any floating type.
    origin : str
        Where they are from, for messages.

    Raises
    ------
    ModelError
        If a parameter is missing, left over, of another shape, or not finite.
    """
    wanted = network.state_dict()
    if missing := sorted(wanted.keys() - state.keys()):
        raise ModelError(
            f"{origin} lacks {len(missing)} of the network's parameters, the first is "
            f"{missing[0]!r}: its configuration is of another network."
        )
    if left := sorted(state.keys() - wanted.keys()):
        raise ModelError(
            f"{origin} holds {len(left)} parameters that the network has not, the first is "
            f"{left[0]!r}: its configuration is of another network."
        )
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"{origin}: {name!r} is {tuple(tensor.shape)}, but the configuration asks for "
                f"{tuple(wanted[name].shape)}. Check config.json (filters, rays, channels, kernel)."
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{origin}: {name!r} holds NaN or infinity; the file is damaged.")
    network.load_state_dict({name: tensor.to(torch.float32) for name, tensor in state.items()})
