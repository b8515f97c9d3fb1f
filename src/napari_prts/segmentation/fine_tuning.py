"""Learning from corrections: a nucleus model is tuned on regions that the user put right."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import torch

from napari_prts.errors import ModelError
from napari_prts.jobs import Job, Progress, Result
from napari_prts.nuclei import Nuclei
from napari_prts.segmentation.fine_tuning_choice import Choice, Trial, Trials
from napari_prts.segmentation.fine_tuning_deal import (
    Deal,
    deal,
    held_pictures,
    teaching_tiles,
)
from napari_prts.segmentation.fine_tuning_record import tuned_card
from napari_prts.segmentation.fine_tuning_regions import Corrected, Patch
from napari_prts.segmentation.fine_tuning_request import FineTuned, FineTuneRequest
from napari_prts.segmentation.fine_tuning_scoring import Held, scores_at
from napari_prts.segmentation.fine_tuning_steps import Lesson, Moment, device_named, taught
from napari_prts.segmentation.fine_tuning_waiting import one_worker, patiently
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.loading import load_model
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.model_folder import read_model_folder, rounded_to_half, save_model
from napari_prts.segmentation.network import StarDistNetwork
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.scoring import PROB_GRID, NucleiScore
from napari_prts.segmentation.user_models import check_new_name, free_name, user_models
from napari_prts.slide import Slide

__all__ = ["FineTuneRequest", "FineTuned", "fine_tune"]

# Looking at the network shall take no more than this share of the time.
_FOR_CHECKS = 0.3
# With fewer held-out nuclei, the best threshold is chance.
_ENOUGH_FOR_THRESHOLD = 40


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
    patches = yield from _reported(reading, "reading the regions")
    with one_worker() as worker:
        measuring = patiently(worker, lambda: measure_limits(slide, base.mpp, base.percentiles))
        limits = yield from _reported(measuring, "measuring the stain")
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
        if not all(tiles and held for tiles, held in folds):
            raise ModelError(
                "The regions are too narrow to be learned from: along their border too little is "
                "known. Draw a wider region."
            )
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


def _reported(
    working: Generator[object, None, Result], note: str
) -> Generator[Progress, None, Result]:
    """Make reports of a part of the work that counts no steps."""
    while True:
        try:
            next(working)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        yield Progress(0, 0, "steps", note)


def _rounded(network: StarDistNetwork) -> StarDistNetwork:
    """As it will be on disk, so that what is scored is what is saved."""
    with torch.no_grad():
        return rounded_to_half(copy.deepcopy(network).cpu())
