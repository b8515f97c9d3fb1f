"""How long an epoch of training takes and how much memory, against the authors' loop.

    python benchmarks/training.py [--quick] [--cells 57000]

Both train on the same made-up arrays of the size of the paper's mouse brain: 57,000 cells,
576 features, 1,820 genes, about 7 % of the counts above zero. The baseline is written from
the description of the authors' published scripts: dense counts, each batch scaled gene by
gene and count by count in Python, ReLU after batch norm, two heads, focal loss with squared
error over expressed entries, gradient clipped at norm 1, AdamW, batches of 512. Of its epoch
some batches are timed and the rest reckoned from them; ours runs whole epochs, each with its
look at the validation cells. Each line printed is one figure as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from statistics import median
from time import perf_counter

import numpy as np
import torch
from _figures import PeakMemory, in_fresh_process, show_cost, tell
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from napari_prts.expression import TrainRequest
from napari_prts.expression.batches import Cells
from napari_prts.expression.checkpoint import EpochReport
from napari_prts.expression.fitting import Fitting
from napari_prts.expression.scaling import GeneScaling

FEATURES, GENES = 576, 1820
VALIDATION_SHARE = 0.15
# Gives about 7 % of the counts above zero, as Visium HD of the paper's sections has in the
# genes selected.
_MEAN_LOG_RATE, _SPREAD = -3.6, 1.2
_BLOCK = 4096

# The authors' scripts (docs/method.md has the table).
BATCH, LEARNING_RATE = 512, 1e-3
WIDTHS = (512, 512, 1024, 1024)


def made_up(cells: int, seed: int = 0) -> Cells:
    """Cells whose features tell their counts, in the proportions of a real section."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(FEATURES, 8)) / np.sqrt(FEATURES)
    programmes = rng.normal(size=(8, GENES)) * 0.5
    level = _MEAN_LOG_RATE + _SPREAD * rng.normal(size=GENES)
    features = rng.standard_normal((cells, FEATURES), dtype=np.float32)
    blocks = []
    for start in range(0, cells, _BLOCK):
        rates = np.exp(features[start : start + _BLOCK] @ slopes @ programmes + level)
        blocks.append(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)))
    return Cells(features, sparse.csr_matrix(sparse.vstack(blocks)))


def warm_up(request: TrainRequest) -> None:
    """Take the first steps, for which PyTorch loads more of itself, before the clock starts."""
    few = made_up(300)
    fitting = Fitting(few, few, GeneScaling.fit(few.counts), request, torch.device("cpu"))
    next(report for report in fitting.epochs() if isinstance(report, EpochReport))


class Ours:
    """Whole epochs of this package, by the paper's defaults or with the scripts' loss."""

    def __init__(self, cells: int, loss: str) -> None:
        training, validation = made_up(cells), made_up(round(cells * VALIDATION_SHARE), seed=1)
        request = TrainRequest(loss=loss, device="cpu")
        scaling = GeneScaling.fit(training.counts)
        fitting = Fitting(training, validation, scaling, request, torch.device("cpu"))
        self._epochs = fitting.epochs()
        warm_up(request)

    def epoch(self) -> None:
        while not isinstance(next(self._epochs), EpochReport):
            pass


class AuthorsNetwork(nn.Module):
    """The scripts' network: batch norm before ReLU, two heads."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = FEATURES
        for width in WIDTHS:
            layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)]
            size = width
        self.trunk = nn.Sequential(*layers)
        self.expression, self.expressed = nn.Linear(size, GENES), nn.Linear(size, GENES)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.trunk(features)
        return self.expression(hidden), self.expressed(hidden)


def scaled_one_by_one(
    counts: NDArray[np.float64], smallest: NDArray[np.float64], largest: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale a batch's counts gene by gene, count by count; zeros stay 0."""
    scaled = np.zeros_like(counts)
    for gene in range(counts.shape[1]):
        low, high = smallest[gene], largest[gene]
        for cell in np.flatnonzero(counts[:, gene]):
            if high > low:
                scaled[cell, gene] = (counts[cell, gene] - low) / (high - low)
    return scaled


class Authors:
    """The scripts' loop over dense arrays."""

    def __init__(self, cells: int) -> None:
        given = made_up(cells)
        self._features = given.features
        self._counts = given.counts.toarray().astype(np.float64)
        above = np.where(self._counts > 0, self._counts, np.nan)
        with np.errstate(all="ignore"):
            self._smallest = np.nan_to_num(np.nanmin(above, axis=0))
            self._largest = np.nan_to_num(np.nanmax(above, axis=0))
        torch.manual_seed(0)
        self._network = AuthorsNetwork()
        self._optimiser = torch.optim.AdamW(self._network.parameters(), lr=LEARNING_RATE)
        self.batches_an_epoch = -(-cells // BATCH)
        self._order = self._shuffled(cells)
        self.scaling_seconds = 0.0

    def _shuffled(self, cells: int) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng(0)
        while True:
            order = rng.permutation(cells)
            yield from (order[start : start + BATCH] for start in range(0, cells, BATCH))

    def batch(self) -> None:
        rows = next(self._order)
        started = perf_counter()
        counts = self._counts[rows]
        scaled = scaled_one_by_one(counts, self._smallest, self._largest)
        self.scaling_seconds += perf_counter() - started
        target = torch.tensor(scaled, dtype=torch.float32)
        expressed = torch.tensor(counts > 0, dtype=torch.float32)
        found, logit = self._network(torch.tensor(self._features[rows]))
        entropy = nn.functional.binary_cross_entropy_with_logits(logit, expressed, reduction="none")
        alpha = torch.where(expressed > 0, 0.7, 0.3)
        focal = (alpha * (1 - torch.exp(-entropy)) ** 2 * entropy).mean()
        squares = (expressed * (found - target) ** 2).sum() / expressed.sum().clamp(min=1)
        loss = focal + 30 * squares
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimiser.step()


def time_ours(cells: int, epochs: int, loss: str) -> tuple[float, float]:
    """Seconds an epoch (median), and megabytes that making and training add."""
    taken: list[float] = []

    def work() -> None:
        ours = Ours(cells, loss)
        for _ in range(epochs):
            started = perf_counter()
            ours.epoch()
            taken.append(perf_counter() - started)

    memory = PeakMemory().during(work)
    return median(taken), memory


def time_authors(cells: int, batches: int) -> tuple[float, float, float]:
    """Seconds an epoch, seconds of it spent on scaling (both reckoned), and megabytes."""
    taken: list[float] = []
    scaling: list[float] = []

    def work() -> None:
        authors = Authors(cells)
        authors.batch()
        authors.scaling_seconds = 0.0
        for _ in range(batches):
            started = perf_counter()
            authors.batch()
            taken.append(perf_counter() - started)
        scaling.append(authors.scaling_seconds / batches * authors.batches_an_epoch)
        taken[:] = [seconds * authors.batches_an_epoch for seconds in taken]

    memory = PeakMemory().during(work)
    return median(taken), scaling[0], memory


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of one epoch, few batches")
    parser.add_argument("--cells", type=int, default=57_000)
    given = parser.parse_args()
    epochs, batches, rounds = (1, 3, 1) if given.quick else (2, 8, 2)
    found: dict[str, list[tuple[float, ...]]] = {"paper": [], "focal": [], "authors": []}
    for number in range(rounds):
        for loss in ("paper", "focal"):
            tell(f"round {number + 1}: our epoch, loss {loss!r}")
            found[loss].append(in_fresh_process(time_ours, given.cells, epochs, loss))
        tell(f"round {number + 1}: {batches} batches of the authors' loop")
        found["authors"].append(in_fresh_process(time_authors, given.cells, batches))
    size = f"{given.cells:,} cells x {FEATURES} to {GENES:,} genes"
    authors = [each[0] for each in found["authors"]]
    for loss, how in (("paper", "the paper's loss, batches of 256"), ("focal", "their loss")):
        ours = [each[0] for each in found[loss]]
        ratio = median(theirs / own for theirs, own in zip(authors, ours, strict=True))
        target = "ours < 25" if loss == "paper" else None
        name = f"epoch_{loss} of {size}, {how}"
        show_cost(name, median(ours), median(authors), "s", target, ratio)
    scaling = median(each[1] for each in found["authors"])
    show_cost("scaling_of_targets in an epoch", time_scaling(given.cells), scaling, "s", None)
    memory = max(each[1] for each in found["paper"]), max(each[2] for each in found["authors"])
    show_cost(f"training_memory of {size}", *memory, "MB", "ours < 3000")
    return 0


def time_scaling(cells: int) -> float:
    """Seconds that our scaling takes: once for all epochs."""
    counts = made_up(cells).counts
    scaling = GeneScaling.fit(counts)
    started = perf_counter()
    scaling.scaled(counts)
    return perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
