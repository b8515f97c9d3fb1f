"""Running the network on a device: normalised pixels in, candidates out."""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.network import StarDistConfig

# Distances below this upset the geometry of polygons (stardist, models/base.py).
_LEAST_DISTANCE = 1e-3


def choose_device(device: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"`` or ``"cuda"`` into a device that is there.

    Raises
    ------
    ModelError
        If CUDA is asked for and there is none, or the name is another.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ModelError(f"Device {device!r} is unknown; choose 'auto', 'cpu' or 'cuda'.")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ModelError("No CUDA device was found; choose 'cpu' or 'auto' as device.")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def device_name(device: torch.device) -> str:
    """Name of a device for provenance."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def receptive_radius(config: StarDistConfig) -> int:
    """How far, in image pixels, an input pixel can change the output at a grid point.

    Each convolution reaches half its kernel at its level's resolution, each pooling
    and upsampling one pixel of the level it leaves.
    """
    reach = config.kernel // 2
    scale, radius = 1, 0
    while scale < max(config.grid):
        radius += scale * (reach * config.convs_per_depth + 1)
        scale *= 2
    for _ in range(config.depth):
        # Once on the way down, once on the way up.
        radius += 2 * scale * (reach * config.convs_per_depth + 1)
        scale *= 2
    radius += scale * reach * config.convs_per_depth
    return radius + max(config.grid) * reach * (config.features > 0)


class Runner:
    """A model's network on a device, ready to look at images.

    Parameters
    ----------
    model : StarDistModel
        The model; its own network stays where it is.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ModelError
        If the device is not there, or the network does not take RGB images.
    """

    def __init__(self, model: StarDistModel, device: str = "auto") -> None:
        if model.config.n_channel_in != 3:
            raise ModelError(
                f"Model {model.name!r} takes {model.config.n_channel_in} channel(s); an H&E slide "
                "has three. Choose a model for H&E."
            )
        self.config = model.config
        self.device = choose_device(device)
        self._network = copy.deepcopy(model.network).eval()
        self._network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def candidates(
        self, pixels: NDArray[np.float32], prob_threshold: float, inner: tuple[slice, slice]
    ) -> Candidates:
        """Find candidates in an image.

        Parameters
        ----------
        pixels : ndarray of float32, shape (row, column, 3)
            Normalised image; sides that are no multiples of the network's divisor
            are filled up by reflection.
        prob_threshold : float
            Points of higher probability are candidates.
        inner : tuple of slice
            Rows and columns, in pixels of the image, from which points are taken.
            Each must begin at a multiple of the grid.

        Returns
        -------
        Candidates
            Points in pixels of the image.
        """
        prob, dist = self._run(pixels)
        grid_rows, grid_columns = self.config.grid
        first = np.array([inner[0].start // grid_rows, inner[1].start // grid_columns])
        rows = slice(first[0], -(-inner[0].stop // grid_rows))
        columns = slice(first[1], -(-inner[1].stop // grid_columns))
        prob, dist = prob[rows, columns], dist[:, rows, columns]
        found = prob > prob_threshold
        where = torch.nonzero(found).cpu().numpy()
        points = (where + first) * np.array(self.config.grid)
        distances = dist[:, found].T.clamp(min=_LEAST_DISTANCE)
        return Candidates(
            points.astype(np.float32),
            prob[found].cpu().numpy(),
            np.ascontiguousarray(distances.cpu().numpy()),
        )

    @torch.inference_mode()
    def _run(self, pixels: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
        divisor = np.array(self.config.divisor)
        fill = -np.array(pixels.shape[:2]) % divisor
        if fill.any():
            mode: Literal["reflect", "edge"] = (
                "reflect" if (fill < pixels.shape[:2]).all() else "edge"
            )
            widths = ((0, int(fill[0])), (0, int(fill[1])), (0, 0))
            pixels = np.pad(pixels, widths, mode=mode)
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        # A permuted (row, column, channel) array is channels_last already.
        logit, dist = self._network(image.permute(2, 0, 1)[None])
        return torch.sigmoid(logit[0, 0]), dist[0]
