"""The epochs of training: AdamW, early stopping, the best state kept."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from napari_prts.correlation import mean_pcc
from napari_prts.errors import ExpressionError
from napari_prts.expression.losses import LOSSES, Loss
from napari_prts.expression.network import PrtsNetwork, used_device
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.scaling import GeneScaling, expected_counts

# Enough for the mean and variance of a layer's outputs; more only cost time.
_SETTLING_CELLS = 2048

# The paper's ten epochs are over 1,500 steps on its sections. On a small one they are
# fifty, too few to tell a pause from an end: on 1,100 cells the best epochs are the last.
_LEAST_PATIENCE = 500

State = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells to learn from or to check with.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        Standardised.
    counts : csr matrix, shape (n, genes)
        Raw counts.
    """

    features: NDArray[np.float32]
    counts: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class EpochReport:
    """What came out of an epoch.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    train_loss, validation_loss : float
        Mean over cells; the former while the epoch went on, with dropout.
    validation_pcc : float
        Mean over genes of the PCC of log1p expected with log1p measured counts
        over validation cells; a gene without variation counts 0.
    best : bool
        Whether the validation loss is the lowest so far.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_pcc: float
    best: bool


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


def fit(
    training: Cells,
    validation: Cells,
    scaling: GeneScaling,
    request: TrainRequest,
    device: torch.device,
) -> Generator[EpochReport, None, Fitted]:
    """Train a network.

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

    Yields
    ------
    EpochReport
        After each epoch.

    Returns
    -------
    Fitted
        The state with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If the loss stops being a number.
    """
    genes = training.counts.shape[1]
    with _seeded(request.seed, 0):
        network = PrtsNetwork(training.features.shape[1], genes).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=request.learning_rate,
        weight_decay=request.weight_decay,
        fused=True,
    )
    loss = LOSSES[request.loss]
    order = np.random.default_rng(request.seed)
    best: EpochReport | None = None
    state: State = {}
    for epoch in range(1, request.epochs + 1):
        parts = even_parts(order.permutation(len(training)), request.batch)
        with _seeded(request.seed, epoch):
            train_loss = _train(network, optimiser, training, scaling, loss, parts)
        settle(network, training.features[order.permutation(len(training))[:_SETTLING_CELLS]])
        validation_loss, pcc = _check(network, validation, scaling, loss)
        if not np.isfinite([train_loss, validation_loss]).all():
            raise ExpressionError(
                f"Training diverged in epoch {epoch} (the loss is no number): use a lower "
                f"learning_rate than {request.learning_rate:g}."
            )
        better = best is None or validation_loss < best.validation_loss
        report = EpochReport(epoch, train_loss, validation_loss, pcc, better)
        if better:
            best, state = report, _copied(network)
        yield report
        if best is not None and epoch - best.epoch >= _patience(request, len(parts)):
            break
    assert best is not None
    return Fitted(state, best, epoch)


def _patience(request: TrainRequest, steps_per_epoch: int) -> int:
    """Epochs without a better validation loss after which training stops."""
    return max(request.patience, -(-_LEAST_PATIENCE // steps_per_epoch))


def even_parts(rows: NDArray[np.integer], most: int) -> list[NDArray[np.integer]]:
    """Cut rows into as few parts of at most ``most`` as possible, equal in size but for one row."""
    return np.array_split(rows, -(-len(rows) // most))


def settle(network: PrtsNetwork, features: NDArray[np.float32]) -> None:
    """Set batch norm's statistics to those of the current weights.

    The running means of PyTorch are those of the last dozens of steps. On a small
    section, where an epoch has a few steps, they lag epochs behind the weights,
    and validation with them is off by orders of magnitude.

    Parameters
    ----------
    network : PrtsNetwork
        Changed in place.
    features : ndarray of float32, shape (cells, features)
        Standardised training cells, two or more.
    """
    network.eval()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        network(torch.from_numpy(features).to(used_device(network)))
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
            scaled, logit = network(torch.from_numpy(features[rows]).to(device))
            probability = torch.sigmoid(logit).cpu().numpy()
        yield rows, expected_counts(scaling, scaled.cpu().numpy(), probability), probability


def expected_of_all(
    network: PrtsNetwork, features: NDArray[np.float32], scaling: GeneScaling
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict cells at once: expected counts and probability, each (cells, genes)."""
    parts = list(expected(network, features, scaling))
    return np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])


def _train(
    network: PrtsNetwork,
    optimiser: torch.optim.Optimizer,
    cells: Cells,
    scaling: GeneScaling,
    loss: Loss,
    parts: list[NDArray[np.integer]],
) -> float:
    """One pass over the training cells; returns the mean loss."""
    network.train()
    total = 0.0
    for rows in parts:
        value = _loss_of(network, cells, rows, scaling, loss)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if loss.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), loss.clip)
        optimiser.step()
        total += float(value.detach()) * len(rows)
    return total / len(cells)


def _check(
    network: PrtsNetwork, cells: Cells, scaling: GeneScaling, loss: Loss
) -> tuple[float, float]:
    """Mean loss and mean PCC of the validation cells."""
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in even_parts(np.arange(len(cells)), 1024):
            total += float(_loss_of(network, cells, rows, scaling, loss)) * len(rows)
    counts, _ = expected_of_all(network, cells.features, scaling)
    return total / len(cells), mean_pcc(np.log1p(counts), np.log1p(cells.counts.toarray()))


def _loss_of(
    network: PrtsNetwork,
    cells: Cells,
    rows: NDArray[np.integer],
    scaling: GeneScaling,
    loss: Loss,
) -> torch.Tensor:
    device = used_device(network)
    scaled, expressed = scaling.targets(cells.counts[rows])
    given, *targets = (
        torch.from_numpy(values).to(device) for values in (cells.features[rows], scaled, expressed)
    )
    return loss.function(*network(given), *targets)


def _copied(network: PrtsNetwork) -> State:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


@contextmanager
def _seeded(seed: int, epoch: int) -> Iterator[None]:
    """Fix PyTorch's random numbers within an epoch, and leave the caller's alone."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed * 1_000_003 + epoch)
        yield
