"""The steps of fine-tuning: few, small, and never far from where they began."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.augmentation import Augmentation, random_crop
from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.fine_tuning_regions import IGNORED
from napari_prts.segmentation.fine_tuning_waiting import one_worker, patiently
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.targets import make_targets
from napari_prts.segmentation.training import stardist_loss

Crop = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

# Side of the crops in model pixels; one crop takes a fraction of a second on two cores.
CROP = 192
# Least share of a crop of which something is known, and how often a better one is looked for.
_LEAST_KNOWN, _TRIES = 0.25, 8
_WARM_UP = 10
_PLANNING = 4


@dataclass(frozen=True)
class Lesson:
    """How the network is to change.

    Parameters
    ----------
    frozen : "encoder" or "none"
        What keeps the base model's weights.
    steps : int
        Most steps.
    seconds : float or None
        The steps are planned to take so long; None for no limit.
    batch : int
        Crops per step.
    learning_rate : float
        Peak rate of Adam; it rises over ten steps and falls as a cosine.
    pull : float
        How strongly each weight is pulled back to where it began, per step and
        learning rate, as a decoupled weight decay is.
    average : float
        Decay of the running average of the weights, which is what is kept.
    checks : int
        How often, over the whole run, the network is looked at.
    seed : int
        Of the crops and their changes.
    """

    frozen: Literal["encoder", "none"]
    steps: int
    seconds: float | None
    batch: int
    learning_rate: float
    pull: float
    average: float
    checks: int
    seed: int


@dataclass(frozen=True)
class Moment:
    """Where a run is.

    Parameters
    ----------
    step, steps : int
        Steps done and planned.
    check : int or None
        Number of the check that is due, counted from 0.
    network : StarDistNetwork
        Running average; it goes on changing.
    """

    step: int
    steps: int
    check: int | None
    network: StarDistNetwork


def device_named(name: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"`` or ``"cuda"`` into a device of PyTorch.

    Raises
    ------
    ModelError
        If CUDA is asked for and there is none, or the name is another.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ModelError(f"Device {name!r} is unknown; choose 'auto', 'cpu' or 'cuda'.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ModelError("No CUDA device was found; choose 'cpu' or 'auto' as device.")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def gentle_augmentation(crop: int) -> Augmentation:
    """Change less than in training from nothing: all pictures are of one slide."""
    return Augmentation(
        crop=crop,
        # Diameters are given as shares of the usual one, so these are scales.
        diameter=(1 / 1.15, 1.15),
        stretch=0.08,
        stain=0.12,
        channel=0.06,
        blur=0.15,
        jpeg=0.1,
        glass=0.01,
    )


def taught(
    base: StarDistNetwork,
    tiles: Sequence[LabelledTile],
    limits: Normalisation,
    lesson: Lesson,
    device: torch.device,
) -> Generator[Moment, None, None]:
    """Tune a copy of a network.

    Parameters
    ----------
    base : StarDistNetwork
        Where to begin; it stays as it is.
    tiles : sequence of LabelledTile
        Pictures at the model's scale, with labels as
        :mod:`~napari_prts.segmentation.fine_tuning_regions` has them.
    limits : Normalisation
        The slide's.
    lesson : Lesson
        How.
    device : torch.device
        Where the network runs.

    Yields
    ------
    Moment
        After each step and several times a second in between, so that a run can be
        ended at any time; ``check`` is set after a step whose network is to be looked at.
    """
    network = _copy(base, device)
    average, home = _copy(network, device).eval(), _copy(network, device)
    chosen = _free_parameters(network, lesson.frozen)
    optimiser = torch.optim.Adam([p for _, p in chosen], lr=lesson.learning_rate)
    began, planned, checked = time.monotonic(), lesson.steps, 0
    with one_worker() as worker, one_worker() as cutter:
        crops = _Crops(tiles, limits, lesson.seed, base.config, cutter)
        for step in count(1):
            rate = lesson.learning_rate * _rate(step, planned)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            for _ in range(lesson.batch):
                learning = patiently(worker, lambda: _learn(network, crops, device, lesson.batch))
                for _ in learning:
                    yield Moment(step - 1, planned, None, average)
            torch.nn.utils.clip_grad_norm_([p for _, p in chosen], 5.0)
            optimiser.step()
            _pull_home(chosen, home, rate * lesson.pull)
            _follow(average, network, min(lesson.average, step / (step + 4)))
            planned = _planned(step, planned, time.monotonic() - began, lesson)
            due = checked if step >= _due(checked, planned, lesson.checks) else None
            looked = time.monotonic()
            yield Moment(step, planned, due, average)
            # Only steps are planned for: the time that a look takes is not theirs.
            began += 0.0 if due is None else time.monotonic() - looked
            checked += due is not None
            if step >= planned:
                return


def _learn(network: StarDistNetwork, crops: _Crops, device: torch.device, batch: int) -> None:
    """Add the gradient of one crop of a batch."""
    image, prob, dist, known = (part.to(device) for part in crops.take())
    logit, predicted = network(image)
    loss = stardist_loss(logit, predicted, prob, dist, known=known) / batch
    loss.backward()  # type: ignore[no-untyped-call]


def _copy(network: StarDistNetwork, device: torch.device) -> StarDistNetwork:
    made = copy.deepcopy(network)
    made.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def _free_parameters(network: StarDistNetwork, frozen: str) -> list[tuple[str, torch.nn.Parameter]]:
    kept = ("pooled.", "down.", "middle.") if frozen == "encoder" else ()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(kept))
    return [(n, p) for n, p in network.named_parameters() if p.requires_grad]


def _due(check: int, planned: int, checks: int) -> int:
    """After how many steps a look is due; the last one is at the end."""
    return math.ceil((check + 1) * planned / min(checks, planned))


def _rate(step: int, planned: int) -> float:
    return min(1.0, step / _WARM_UP) * max(0.5 * (1 + math.cos(math.pi * step / planned)), 0.02)


@torch.no_grad()
def _pull_home(
    chosen: list[tuple[str, torch.nn.Parameter]], home: StarDistNetwork, amount: float
) -> None:
    if amount:
        began = dict(home.named_parameters())
        for name, parameter in chosen:
            parameter.lerp_(began[name], min(1.0, amount))


@torch.no_grad()
def _follow(average: StarDistNetwork, network: StarDistNetwork, decay: float) -> None:
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


def _planned(step: int, planned: int, seconds: float, lesson: Lesson) -> int:
    """How many steps the time is enough for; the plan holds once the first are timed."""
    if lesson.seconds is None:
        return planned
    if step == _PLANNING:
        return max(step + 1, min(lesson.steps, round(lesson.seconds / (seconds / step))))
    # A machine that became busy ends earlier, at a lower rate than planned.
    return step if step > _PLANNING and seconds > 1.5 * lesson.seconds else planned


class _Crops:
    """Makes crops one ahead in a thread, each from a seed of its own."""

    def __init__(
        self,
        tiles: Sequence[LabelledTile],
        limits: Normalisation,
        seed: int,
        config: StarDistConfig,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._tiles, self._limits, self._config, self._pool = tiles, limits, config, pool
        divisor = int(np.lcm(*config.divisor))
        self._settings = gentle_augmentation(-(-CROP // divisor) * divisor)
        known = np.array([(tile.labels != IGNORED).sum() for tile in tiles], float)
        self._chances = known / known.sum()
        self._seeds = np.random.SeedSequence(seed)
        self._waiting = self._begun()

    def take(self) -> Crop:
        """Give a crop and begin the next."""
        crop = self._waiting.result()
        self._waiting = self._begun()
        return crop

    def _begun(self) -> Future[Crop]:
        return self._pool.submit(self._make, self._seeds.spawn(1)[0])

    def _make(self, seed: np.random.SeedSequence) -> Crop:
        rng = np.random.default_rng(seed)
        tile = self._tiles[rng.choice(len(self._tiles), p=self._chances)]
        for _ in range(_TRIES):
            image, labels = random_crop(tile, 1.0, self._limits, self._settings, rng)
            if (labels != IGNORED).mean() >= _LEAST_KNOWN:
                break
        return as_tensors(image, labels, self._config)


def as_tensors(
    image: NDArray[np.float32], labels: NDArray[np.int32], config: StarDistConfig
) -> Crop:
    """Make image, probability, distances and what is known of them, as batches of one.

    Where nothing is known, the targets are those of background and must not be used.
    """
    targets = make_targets(np.maximum(labels, 0), config.n_rays, config.grid)
    known = labels[:: config.grid[0], :: config.grid[1]] != IGNORED
    return (
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None],
        torch.from_numpy(targets.prob)[None, None],
        torch.from_numpy(targets.dist)[None],
        torch.from_numpy(known.astype(np.float32))[None, None],
    )
