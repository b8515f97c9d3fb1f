"""Training a StarDist network on outlined nuclei.

:func:`train` is a generator: it yields its progress, and closing it stops it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from napari_prts.errors import ModelError
from napari_prts.segmentation.augmentation import Augmentation, random_crop
from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.targets import make_targets

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class TrainingRequest:
    """How to train.

    Parameters
    ----------
    steps : int
        Number of batches.
    minutes : float or None
        If given, the learning rate follows the clock and training ends after
        this many minutes, or after ``steps``, whichever is first.
    batch : int
        Crops per step.
    learning_rate : float
        Peak rate; it rises over 100 steps and falls as a cosine to nothing.
    weight_decay : float
        Of AdamW.
    distance_weight, background_weight : float
        Weights of the distance loss (0.2) and of the distances' size on
        background (1e-4), as in stardist.
    average : float
        Decay of the running average of the weights, which is what is kept.
    weights : dict of str to float
        How often a group's folder is drawn relative to the number of its tiles.
    seed : int
        Seed of the weights and of the augmentation.
    config : StarDistConfig
        Shape of the network.
    augmentation : Augmentation
        Ranges of the random changes.
    """

    steps: int = 5000
    minutes: float | None = None
    batch: int = 4
    learning_rate: float = 4e-4
    weight_decay: float = 1e-4
    distance_weight: float = 0.2
    background_weight: float = 1e-4
    average: float = 0.998
    weights: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    config: StarDistConfig = field(default_factory=StarDistConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class TrainingProgress:
    """State after one step.

    Parameters
    ----------
    step, steps : int
        Steps done and asked for.
    fraction : float
        Share of the schedule done, 0 to 1.
    loss : float
        Loss of this step's batch.
    network : StarDistNetwork
        Running average of the network, ready to be used or saved.
    """

    step: int
    steps: int
    fraction: float
    loss: float
    network: StarDistNetwork


def train(
    tiles: tuple[LabelledTile, ...],
    request: TrainingRequest,
    start: StarDistNetwork | None = None,
) -> Iterator[TrainingProgress]:
    """Train a network, one progress report a step.

    Parameters
    ----------
    tiles : tuple of LabelledTile
        Training tiles.
    request : TrainingRequest
        How to train.
    start : StarDistNetwork, optional
        Weights to go on from; random ones otherwise.

    Yields
    ------
    TrainingProgress
        After each step; the last one holds the result.

    Raises
    ------
    ModelError
        If no tile has a nucleus.
    """
    diameters = np.array([tile.median_diameter for tile in tiles])
    usable = np.isfinite(diameters)
    if not usable.any():
        raise ModelError("Training needs tiles with outlined nuclei; none of the tiles has any.")
    torch.manual_seed(request.seed)
    network = StarDistNetwork(request.config)
    if start is not None:
        network.load_state_dict(start.state_dict())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(request.average)
    )
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=request.learning_rate, weight_decay=request.weight_decay
    )
    started = time.monotonic()
    for step, batch in enumerate(_batches(tiles, diameters, request), start=1):
        done = _schedule_done(step, time.monotonic() - started, request)
        for group in optimiser.param_groups:
            group["lr"] = request.learning_rate * _rate(step, done)
        loss = _step(network, optimiser, batch, request)
        # Early weights are far from the later ones: restart the average while they still move.
        if step <= 200:
            averaged.module.load_state_dict(network.state_dict())
        else:
            averaged.update_parameters(network)
        assert isinstance(averaged.module, StarDistNetwork)
        yield TrainingProgress(step, request.steps, done, loss, averaged.module)
        if done >= 1:
            return


def _schedule_done(step: int, seconds: float, request: TrainingRequest) -> float:
    done = step / request.steps
    if request.minutes is not None:
        done = max(done, seconds / 60 / request.minutes)
    return min(done, 1.0)


def _rate(step: int, done: float) -> float:
    return min(1.0, step / 100) * max(0.5 * (1 + math.cos(math.pi * done)), 0.01)


def _step(
    network: StarDistNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    request: TrainingRequest,
) -> float:
    image, prob, dist = batch
    logit, predicted = network(image)
    loss = stardist_loss(
        logit, predicted, prob, dist, request.distance_weight, request.background_weight
    )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


def stardist_loss(
    logit: torch.Tensor,
    predicted: torch.Tensor,
    prob: torch.Tensor,
    dist: torch.Tensor,
    distance_weight: float = 0.2,
    background_weight: float = 1e-4,
    known: torch.Tensor | None = None,
) -> torch.Tensor:
    """StarDist's loss: cross-entropy plus masked mean absolute error of the distances.

    Parameters
    ----------
    logit, predicted : torch.Tensor
        Output of the network: (batch, 1, row, column), (batch, n_rays, row, column).
    prob, dist : torch.Tensor
        Targets of the same shapes.
    distance_weight, background_weight : float
        As ``train_loss_weights`` and ``train_background_reg`` of stardist.
    known : torch.Tensor, optional
        1 where the targets hold and 0 where they are to be ignored, (batch, 1, row,
        column); they hold everywhere by default.

    Notes
    -----
    ``masked_loss_mae`` of stardist (``models/base.py``): the mask is the target
    probability, the sum is divided by the mask's mean.
    """
    share: torch.Tensor | float = 1.0
    if known is not None:
        prob, share = prob * known, known.mean() + 1e-7
    cross_entropy = F.binary_cross_entropy_with_logits(logit, prob, weight=known) / share
    error = (prob * (predicted - dist).abs()).mean() / (prob.mean() + 1e-7)
    empty = 1 - prob if known is None else known - prob
    background = (empty * predicted.abs()).mean() / share
    return cross_entropy + distance_weight * (error + background_weight * background)


def _batches(
    tiles: tuple[LabelledTile, ...], diameters: NDArray[np.float64], request: TrainingRequest
) -> Iterator[Batch]:
    """Make batches one ahead in a thread, each from a seed of its own."""
    chance = np.array(
        [request.weights.get(tile.group.partition("/")[0], 1.0) for tile in tiles], float
    )
    chance[~np.isfinite(diameters)] = 0
    chance /= chance.sum()
    limits = [Normalisation.from_pixels(tile.image) for tile in tiles]
    seeds = np.random.SeedSequence(request.seed)

    def make(seed: np.random.SeedSequence) -> Batch:
        rng = np.random.default_rng(seed)
        picks = rng.choice(len(tiles), request.batch, p=chance)
        crops = [
            random_crop(tiles[i], float(diameters[i]), limits[i], request.augmentation, rng)
            for i in picks
        ]
        return _batch(crops, request.config)

    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Batch]] = [pool.submit(make, s) for s in seeds.spawn(2)]
        for _ in range(request.steps):
            batch = waiting.pop(0).result()
            waiting.append(pool.submit(make, seeds.spawn(1)[0]))
            yield batch
        for future in waiting:
            future.cancel()


def _batch(
    crops: list[tuple[NDArray[np.float32], NDArray[np.int32]]], config: StarDistConfig
) -> Batch:
    images, probs, dists = [], [], []
    for image, labels in crops:
        targets = make_targets(labels, config.n_rays, config.grid)
        images.append(image.transpose(2, 0, 1))
        probs.append(targets.prob[None])
        dists.append(targets.dist)
    image_tensor = torch.from_numpy(np.stack(images)).contiguous(memory_format=torch.channels_last)
    return image_tensor, torch.from_numpy(np.stack(probs)), torch.from_numpy(np.stack(dists))
