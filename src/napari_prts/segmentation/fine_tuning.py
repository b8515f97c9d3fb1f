"""Learning from corrections: a nucleus model is tuned on regions that the user put right."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from napari_prts.errors import ModelError
from napari_prts.jobs import Job, Progress
from napari_prts.nuclei import Nuclei
from napari_prts.segmentation.fine_tuning_choice import Choice, Trial, Trials
from napari_prts.segmentation.fine_tuning_deal import (
    Deal,
    deal,
    held_pictures,
    teaching_tiles,
)
from napari_prts.segmentation.fine_tuning_record import tuned_card
from napari_prts.segmentation.fine_tuning_regions import Corrected, Patch, Region
from napari_prts.segmentation.fine_tuning_scoring import Held, scores_at
from napari_prts.segmentation.fine_tuning_steps import Lesson, Moment, device_named, taught
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.loading import DEFAULT_MODEL, load_model
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.model_folder import read_model_folder, rounded_to_half, save_model
from napari_prts.segmentation.network import StarDistNetwork
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.scoring import PROB_GRID, NucleiScore
from napari_prts.segmentation.user_models import check_new_name, free_name, user_models
from napari_prts.slide import Slide

# Looking at the network shall take no more than this share of the time.
_FOR_CHECKS = 0.3
# With fewer held-out nuclei, the best threshold is chance.
_ENOUGH_FOR_THRESHOLD = 40


@dataclass(frozen=True)
class FineTuneRequest:
    """What to learn from and how.

    Parameters
    ----------
    name : str
        Name of the new model.
    regions : tuple
        Where every nucleus is right, and none is missing: (row, column, height, width) in
        level-0 pixels, or three or more (row, column) corners.
    base : str, path or StarDistModel
        Model to begin with, as for :func:`~napari_prts.segmentation.load_model`.
    frozen : "encoder" or "none"
        ``"encoder"`` tunes only what makes outlines of what the base model sees;
        ``"none"`` tunes the whole network.
    minutes : float or None
        About how long to train; None for all of ``steps``.
    steps : int
        Most steps of each run.
    learning_rate : float
        Peak rate of Adam.
    pull : float
        How strongly weights are pulled back to those of the base model.
    batch : int
        Crops per step.
    average : float
        Decay of the running average of the weights.
    held_out : float
        Share of the nuclei held out to choose and judge by, 0.1 to 0.5.
    checks : int
        How often a run's network is looked at on what is held out; less often if that
        would take too much of ``minutes``.
    seed : int
        Of the part held out and of the crops.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ModelError
        If a number is out of its range.
    """

    name: str
    regions: tuple[Region, ...]
    base: str | Path | StarDistModel = DEFAULT_MODEL
    frozen: Literal["encoder", "none"] = "none"
    minutes: float | None = 5.0
    steps: int = 400
    learning_rate: float = 1e-4
    pull: float = 1.0
    batch: int = 4
    average: float = 0.9
    held_out: float = 0.25
    checks: int = 6
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.frozen not in ("encoder", "none"):
            raise ModelError(f"frozen is {self.frozen!r}: choose 'encoder' or 'none'.")
        for what, low, high in (
            ("steps", 1, 100_000),
            ("learning_rate", 1e-7, 1e-2),
            ("pull", 0, 1000),
            ("batch", 1, 64),
            ("average", 0, 0.9999),
            ("held_out", 0.1, 0.5),
            ("checks", 1, 1000),
            ("seed", 0, 2**63),
        ):
            if not low <= getattr(self, what) <= high:
                raise ModelError(f"{what} is {getattr(self, what)}: give {low:g} to {high:g}.")
        if self.minutes is not None and not 0.01 <= self.minutes <= 1440:
            raise ModelError(f"minutes is {self.minutes}: give 0.01 to 1440.")


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What came of it.

    Parameters
    ----------
    model : StarDistModel
        The new model, as it was saved.
    folder : Path
        Where it is kept.
    base : str
        Name of the base model.
    before, after : NucleiScore
        Of the base model and of the new one on the part held out.
    """

    model: StarDistModel
    folder: Path
    base: str
    before: NucleiScore
    after: NucleiScore

    @property
    def better(self) -> bool:
        """Whether F1 at IoU 0.5 on the part held out rose."""
        return self.after.f1[0.5] > self.before.f1[0.5]

    @property
    def recommended(self) -> str:
        """Name of the model to use on such slides."""
        return self.model.name if self.better else self.base

    @property
    def words(self) -> str:
        """A sentence for the user."""
        figures = (
            f"F1 on the part held out: {self.before.f1[0.5]:.2f} before, "
            f"{self.after.f1[0.5]:.2f} after"
        )
        if self.better:
            return f"{figures}; model {self.model.name!r} saved."
        return (
            f"{figures}: no better. Model {self.model.name!r} is saved, but {self.base!r} "
            "remains the one to use; correct more nuclei, or other ones."
        )


def fine_tune(slide: Slide, nuclei: Nuclei, request: FineTuneRequest) -> Job[FineTuned]:
    """Tune a nucleus model on corrected regions and keep it under a new name.

    A part of the regions is held out. It tells when to stop, which threshold suits, and
    whether the new model is better; where it would be too small, parts are held out in
    turn, and the model then learns from all. Nuclei that a region's border cuts are
    neither learned from nor taken for background.

    Parameters
    ----------
    slide : Slide
        The slide; its microns per pixel must be known.
    nuclei : Nuclei
        Its nuclei. Those outside the regions play no part.
    request : FineTuneRequest
        What to learn from and how.

    Yields
    ------
    Progress
        In ``"steps"``. Closing the job ends it within a step. If the best network so far
        is better than the base model, it is kept under the new name, and its card says
        that training was cancelled.

    Returns
    -------
    FineTuned
        The saved model and its scores. It is saved though it be no better; nothing
        is switched to it.

    Raises
    ------
    ModelError
        If the name is taken or no name, the base model cannot be loaded, a region is none
        or too large, there are too few nuclei in them, or the model cannot be saved.
    MissingPixelSizeError
        If the slide's microns per pixel are unknown.
    """
    check_new_name(request.name)
    base = request.base if isinstance(request.base, StarDistModel) else load_model(request.base)
    corrected = Corrected.of(slide, nuclei, request.regions)
    dealt = deal(corrected, request.held_out, request.seed)
    yield Progress(0, 0, "steps", "reading the regions")
    reading = corrected.patches(slide, base.mpp)
    patches = yield from _counted(reading, "reading the regions")
    limits = measure_limits(slide, base.mpp, base.percentiles)
    work = _Work(slide, request, base, corrected, dealt, patches, limits)
    try:
        yield from work.trial_runs()
        choice = work.trials.choice()
        network = yield from work.final(choice)
    except GeneratorExit:
        work.keep_best_so_far()
        raise
    yield work.at_end("saving the model")
    return work.saved(network, choice)


class _Work:
    """What one job has in hand."""

    def __init__(
        self,
        slide: Slide,
        request: FineTuneRequest,
        base: StarDistModel,
        corrected: Corrected,
        dealt: Deal,
        patches: list[Patch],
        limits: Normalisation,
    ) -> None:
        self._slide, self._request, self._base = slide, request, base
        self._corrected, self._deal = corrected, dealt
        self._patches, self._limits = patches, limits
        self._device = device_named(request.device)
        self._networks: dict[int, StarDistNetwork] = {}
        self.trials = Trials(base.prob_threshold)
        self._run, self._planned = 0, request.steps
        self._checks, self._seconds = request.checks, None if request.minutes is None else 0.0

    def trial_runs(self) -> Generator[Progress, None, None]:
        """Tune on what teaches, look at the network on what is held out."""
        folds = [
            (
                teaching_tiles(self._corrected, self._patches, teach),
                held_pictures(self._corrected, self._patches, out, self._limits),
            )
            for teach, out in self._deal.folds
        ]
        judges = sum(picture.nuclei for _, held in folds for picture in held)
        probs = [self._base.prob_threshold]
        if judges >= _ENOUGH_FOR_THRESHOLD:
            probs = sorted({*probs, *PROB_GRID})
        begin = copy.deepcopy(self._base.network).to(self._device).eval()
        for tiles, held in folds:
            began = time.monotonic()
            yield from self._look(begin, held, probs, Trials.BASE)
            if not self._run:
                self._plan(time.monotonic() - began)
            for moment in taught(
                self._base.network, tiles, self._limits, self._lesson(), self._device
            ):
                yield self._progress(moment)
                if moment.check is not None:
                    yield from self._check(moment, held, probs)
            self._run += 1

    def final(self, choice: Choice) -> Generator[Progress, None, StarDistNetwork]:
        """Give the chosen network; if all of them were held out from something, tune again."""
        if choice.check == Trials.BASE:
            return self._base.network
        if not self._deal.in_turn:
            return self._networks[choice.check]
        tiles = teaching_tiles(self._corrected, self._patches, self._deal.everything)
        for moment in taught(self._base.network, tiles, self._limits, self._lesson(), self._device):
            yield self._progress(moment)
            if moment.check == choice.check:
                break
        return _rounded(moment.network)

    def at_end(self, note: str) -> Progress:
        """All steps done, though the last run may have ended early."""
        return self._at(self._deal.runs * self._planned, note)

    def keep_best_so_far(self) -> None:
        """Save what a cancelled job has found, if it is better than the base model."""
        if self._deal.in_turn or not self._networks:
            return
        choice = self.trials.choice()
        if choice.check != Trials.BASE and choice.better:
            self.saved(self._networks[choice.check], choice, cancelled=True)

    def saved(self, network: StarDistNetwork, choice: Choice, cancelled: bool = False) -> FineTuned:
        """Write the model folder."""
        request = self._request
        # Another window may have taken the name meanwhile; what was learned is not lost for it.
        name = free_name(request.name)
        # Measuring the regions' stain takes longer than someone who cancels should wait.
        patches = () if cancelled else self._patches
        card = tuned_card(
            self._slide, request, self._base, self._corrected, self._deal, choice, patches
        )
        card["training"] |= {"cancelled": cancelled, "planned_steps": self._planned}
        model = replace(
            self._base,
            name=name,
            network=network,
            prob_threshold=choice.prob,
            card=card,
        )
        folder = user_models() / name
        try:
            save_model(model, folder)
        except OSError as error:
            raise ModelError(
                f"The model cannot be written to {folder} ({error.strerror or error}). Make the "
                "folder writable, or name another with NAPARI_PRTS_DATA."
            ) from error
        kept = read_model_folder(folder)
        return FineTuned(kept, folder, self._base.name, choice.before, choice.after)

    def _check(
        self, moment: Moment, held: tuple[Held, ...], probs: list[float]
    ) -> Generator[Progress, None, None]:
        assert moment.check is not None
        network = _rounded(moment.network).to(self._device)
        yield from self._look(network, held, probs, moment.check, moment.step)
        if not self._deal.in_turn:
            self._networks[moment.check] = network.cpu()

    def _look(
        self,
        network: StarDistNetwork,
        held: tuple[Held, ...],
        probs: list[float],
        check: int,
        step: int = 0,
    ) -> Generator[Progress, None, None]:
        looking = scores_at(network, held, probs, self._base.nms_threshold)
        while True:
            try:
                next(looking)
            except StopIteration as stop:
                scores: dict[float, NucleiScore] = stop.value
                break
            yield self._at(self._run * self._planned + step, "looking at the part held out")
        for prob, score in scores.items():
            self.trials.add(Trial(check, prob, step, score))

    def _plan(self, look: float) -> None:
        """Share the time of a run between steps and looks, which take so many seconds each."""
        minutes = self._request.minutes
        if minutes is not None:
            seconds = minutes * 60 / self._deal.runs
            self._checks = int(np.clip(seconds * _FOR_CHECKS / look, 2, self._checks))
            self._seconds = max(seconds - (self._checks + 1) * look, seconds / 2)

    def _lesson(self) -> Lesson:
        request = self._request
        return Lesson(
            frozen=request.frozen,
            steps=request.steps,
            seconds=self._seconds,
            batch=request.batch,
            learning_rate=request.learning_rate,
            pull=request.pull,
            average=request.average,
            checks=self._checks,
            seed=request.seed + self._run,
        )

    def _progress(self, moment: Moment) -> Progress:
        self._planned = moment.steps
        return self._at(self._run * moment.steps + moment.step, "")

    def _at(self, done: int, note: str) -> Progress:
        total = self._deal.runs * self._planned
        figures = self.trials.words()
        return Progress(min(done, total), total, "steps", note or figures)


def _counted(reading: Generator[float, None, Any], note: str) -> Generator[Progress, None, Any]:
    while True:
        try:
            next(reading)
        except StopIteration as stop:
            return stop.value
        yield Progress(0, 0, "steps", note)


def _rounded(network: StarDistNetwork) -> StarDistNetwork:
    """As it will be on disk, so that what is scored is what is saved."""
    with torch.no_grad():
        return rounded_to_half(copy.deepcopy(network).cpu())
