"""The epochs of training: AdamW, early stopping, the best state kept."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from napari_prts.errors import ExpressionError
from napari_prts.expression.batches import Batches, Cells
from napari_prts.expression.checkpoint import (
    CANCELLED,
    Checkpoint,
    EpochReport,
    Snapshot,
    State,
    copied,
)
from napari_prts.expression.losses import LOSSES
from napari_prts.expression.network import PrtsNetwork, used_device
from napari_prts.expression.pcc_sums import PccSums
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.scaling import GeneScaling, expected_counts

__all__ = ["Cells", "EpochReport", "Fitted", "Fitting", "Within"]

# Enough for the mean and variance of a layer's outputs; more only cost time.
_SETTLING_CELLS = 2048

# The paper's ten epochs are over 1,500 steps on its sections. On a small one they are
# fifty, too few to tell a pause from an end: on 1,100 cells the best epochs are the last.
_LEAST_PATIENCE = 500

# How long an epoch goes on without asking whether it shall.
_REPORT_S = 0.2
_CHECK_BATCH = 1024


@dataclass(frozen=True)
class Within:
    """How far an epoch is.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    share : float
        0 to 1.
    """

    epoch: int
    share: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """The best state of a network.

    Parameters
    ----------
    state : dict of Tensor
        Its weights, on the CPU.
    report : EpochReport
        Of the epoch it comes from.
    epochs : int
        Epochs run.
    """

    state: State
    report: EpochReport
    epochs: int


class Fitting:
    """One training of a network.

    Parameters
    ----------
    training, validation : Cells
        Not empty.
    scaling : GeneScaling
        Fitted on the training cells.
    request : TrainRequest
        How.
    device : torch.device
        Where.
    checkpoint : Checkpoint, optional
        Where to go on from, and where to keep the state.

    Raises
    ------
    ExpressionError
        If the checkpoint is damaged.
    """

    def __init__(
        self,
        training: Cells,
        validation: Cells,
        scaling: GeneScaling,
        request: TrainRequest,
        device: torch.device,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._training, self._validation = training, validation
        self._batches = Batches(training, scaling, device)
        self._checks = Batches(validation, scaling, device)
        self._scaling, self._request, self._device = scaling, request, device
        self._loss = LOSSES[request.loss]
        with _seeded(request.seed, 0):
            genes = training.counts.shape[1]
            self._network = PrtsNetwork(training.features.shape[1], genes).to(device)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=request.learning_rate,
            weight_decay=request.weight_decay,
            fused=True,
        )
        self._order = np.random.default_rng(request.seed)
        self._reports: tuple[EpochReport, ...] = ()
        self._best: State = {}
        self._checkpoint = checkpoint
        kept = checkpoint.read() if checkpoint is not None else None
        if kept is not None:
            self._restore(kept)
        self.resumed = len(self._reports)

    @property
    def best(self) -> Fitted | None:
        """The state with the lowest validation loss so far; None before the first epoch."""
        if not self._reports:
            return None
        report = next(report for report in reversed(self._reports) if report.best)
        return Fitted(self._best, report, len(self._reports))

    def epochs(self) -> Generator[EpochReport | Within, None, Fitted]:
        """Train until it gets no better; can be closed at any time.

        Yields
        ------
        EpochReport
            After each epoch; those of an earlier run first.
        Within
            Several times a second within an epoch.

        Returns
        -------
        Fitted
            The state with the lowest validation loss.

        Raises
        ------
        ExpressionError
            If the loss stops being a number.
        """
        try:
            yield from self._reports
            while not self._ended():
                yield (yield from self._epoch(len(self._reports) + 1))
        except CANCELLED:
            if self._checkpoint is not None:
                self._checkpoint.write()
            raise
        if self._checkpoint is not None:
            self._checkpoint.remove()
        assert self.best is not None
        return self.best

    def _ended(self) -> bool:
        run = len(self._reports)
        best = self.best
        if best is None:
            return False
        steps = len(even_parts(np.arange(len(self._training)), self._request.batch))
        waited = run - best.report.epoch
        return run >= self._request.epochs or waited >= _patience(self._request, steps)

    def _epoch(self, epoch: int) -> Generator[Within, None, EpochReport]:
        count = len(self._training)
        parts = even_parts(self._order.permutation(count), self._request.batch)
        train_loss = yield from self._train(epoch, parts)
        settling = self._order.permutation(count)[:_SETTLING_CELLS]
        settle(self._network, self._batches.features(settling))
        validation_loss, pcc = yield from self._check(epoch)
        if not np.isfinite([train_loss, validation_loss]).all():
            raise ExpressionError(
                f"Training diverged in epoch {epoch} (the loss is no number): use a lower "
                f"learning_rate than {self._request.learning_rate:g}."
            )
        best = self.best
        better = best is None or validation_loss < best.report.validation_loss
        report = EpochReport(epoch, train_loss, validation_loss, pcc, better)
        kept = copied(self._network.state_dict()) if better else self._best
        self._best, self._reports = kept, (*self._reports, report)
        if self._checkpoint is not None:
            self._checkpoint.keep(self._snapshot())
        return report

    def _train(
        self, epoch: int, parts: list[NDArray[np.integer]]
    ) -> Generator[Within, None, float]:
        """One pass over the training cells; returns the mean loss."""
        told, losses = time.monotonic(), []
        self._network.train()
        for step, rows in enumerate(parts, 1):
            with _seeded(self._request.seed, epoch, step):
                losses.append(self._step(rows))
            if time.monotonic() - told >= _REPORT_S:
                yield Within(epoch, step / len(parts))
                told = time.monotonic()
        # Only now: to ask a GPU for each number would make it wait.
        values = torch.stack(losses).cpu().numpy().astype(np.float64)
        return float(np.average(values, weights=[len(rows) for rows in parts]))

    def _step(self, rows: NDArray[np.integer]) -> torch.Tensor:
        features, *targets = self._batches.take(rows)
        value = self._loss.function(*self._network(features), *targets)
        self._optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if self._loss.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._loss.clip)
        self._optimiser.step()
        return value.detach()

    def _check(self, epoch: int) -> Generator[Within, None, tuple[float, float]]:
        """Mean loss and mean PCC of the validation cells, from one look at each."""
        counts = self._validation.counts
        self._network.eval()
        total, told, pcc = 0.0, time.monotonic(), PccSums(counts.shape[1])
        for rows in even_parts(np.arange(len(self._validation)), _CHECK_BATCH):
            features, *targets = self._checks.take(rows)
            with torch.inference_mode():
                scaled, logit = self._network(features)
                total += float(self._loss.function(scaled, logit, *targets)) * len(rows)
                probability = torch.sigmoid(logit).cpu().numpy()
            found = expected_counts(self._scaling, scaled.cpu().numpy(), probability)
            pcc.add(np.log1p(found), np.log1p(counts[rows].toarray()))
            if time.monotonic() - told >= _REPORT_S:
                yield Within(epoch, 1.0)
                told = time.monotonic()
        return total / len(self._validation), pcc.mean()

    def _snapshot(self) -> Snapshot:
        adam = self._optimiser.state_dict()["state"]
        return Snapshot(
            copied(self._network.state_dict()),
            {number: copied(state) for number, state in adam.items()},
            self._best,
            dict(self._order.bit_generator.state),
            self._reports,
        )

    def _restore(self, kept: Snapshot) -> None:
        self._network.load_state_dict(kept.network)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": kept.adam, "param_groups": groups})
        self._order.bit_generator.state = kept.order
        self._best, self._reports = kept.best, kept.reports


def _patience(request: TrainRequest, steps_per_epoch: int) -> int:
    """Epochs without a better validation loss after which training stops."""
    return max(request.patience, -(-_LEAST_PATIENCE // steps_per_epoch))


def even_parts(rows: NDArray[np.integer], most: int) -> list[NDArray[np.integer]]:
    """Cut rows into as few parts of at most ``most`` as possible, equal in size but for one row."""
    return np.array_split(rows, -(-len(rows) // most))


def settle(network: PrtsNetwork, features: torch.Tensor) -> None:
    """Set batch norm's statistics to those of the current weights.

    The running means of PyTorch are those of the last dozens of steps. On a small
    section, where an epoch has a few steps, they lag epochs behind the weights,
    and validation with them is off by orders of magnitude.

    Parameters
    ----------
    network : PrtsNetwork
        Changed in place.
    features : Tensor, shape (cells, features)
        Standardised training cells, two or more, on the network's device.
    """
    network.eval()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        network.trunk(features)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def expected(
    network: PrtsNetwork, features: NDArray[np.float32], scaling: GeneScaling, batch: int = 1024
) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
    """Predict cells batch by batch, without dropout.

    Yields
    ------
    rows : slice
        Which cells.
    counts, probability : ndarray of float32, shape (batch, genes)
        Expected counts, and the probability of being expressed.
    """
    network.eval()
    device = used_device(network)
    for start in range(0, len(features), batch):
        rows = slice(start, min(start + batch, len(features)))
        with torch.inference_mode():
            # Copied, for what a matrix product rounds to depends on where its input lies.
            scaled, logit = network(torch.tensor(features[rows], device=device))
            probability = torch.sigmoid(logit).cpu().numpy()
        yield rows, expected_counts(scaling, scaled.cpu().numpy(), probability), probability


@contextmanager
def steady_threads() -> Iterator[None]:
    """Compute with as many threads as the machine gives, whatever other libraries have set.

    Sums are rounded by how they are shared out. Some libraries leave another number behind
    once they have been used, and a training begun again in a window that has measured a
    section would not give the model that it gives in a new process.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    usable = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else 0
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return min(cores, usable or cores)


@contextmanager
def _seeded(*seeds: int) -> Iterator[None]:
    """Fix PyTorch's random numbers within a step, and leave the caller's alone."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    (number,) = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(number) >> 1)
        yield
