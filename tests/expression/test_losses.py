"""The losses against direct transcriptions of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from napari_prts.expression.batches import Batches, Cells
from napari_prts.expression.losses import LOSSES, focal_loss, paper_loss
from napari_prts.expression.scaling import GeneScaling

CASES = st.integers(0, 2**32 - 1)


def make_case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    shape = (rng.integers(1, 5), rng.integers(1, 6))
    expressed = rng.random(shape) < 0.4
    scaled = rng.random(shape) * expressed * (rng.random(shape) < 0.7)
    values = (rng.normal(size=shape), 2 * rng.normal(size=shape), scaled, expressed)
    expression, logit, target, mask = (torch.tensor(np.asarray(v, float)) for v in values)
    return expression, logit, target, mask


def transcribed_paper(yhat, z, y, e) -> float:
    squares, entropies = [], []
    for cell in range(len(y)):
        total = 0.0
        for gene in range(len(y[0])):
            w = 5 if e[cell][gene] else 1
            total += w * (yhat[cell][gene] - y[cell][gene]) ** 2
            p = 1 / (1 + math.exp(-z[cell][gene]))
            entropies.append(-math.log(p if e[cell][gene] else 1 - p))
        squares.append(total)
    return sum(squares) / len(squares) + 20 * sum(entropies) / len(entropies)


def transcribed_focal(yhat, z, y, e) -> float:
    squares, focals = [], []
    for cell in range(len(y)):
        for gene in range(len(y[0])):
            p = 1 / (1 + math.exp(-z[cell][gene]))
            if e[cell][gene]:
                squares.append((yhat[cell][gene] - y[cell][gene]) ** 2)
                focals.append(-0.7 * (1 - p) ** 2 * math.log(p))
            else:
                focals.append(-0.3 * p**2 * math.log(1 - p))
    return 1 * np.mean(focals) + 30 * (np.mean(squares) if squares else 0)


@given(CASES)
def test_paper_loss_is_the_formula(seed: int) -> None:
    case = make_case(seed)
    assert float(paper_loss(*case)) == pytest.approx(transcribed_paper(*(c.tolist() for c in case)))


@given(CASES)
def test_focal_loss_is_the_formula(seed: int) -> None:
    case = make_case(seed)
    assert float(focal_loss(*case)) == pytest.approx(transcribed_focal(*(c.tolist() for c in case)))


def test_the_smallest_count_counts_as_expressed_though_it_scales_to_zero() -> None:
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    as_expressed = paper_loss(one, zero, zero, one)
    as_zero = paper_loss(one, zero, zero, zero)
    assert float(as_expressed - as_zero) == pytest.approx(4)


def test_focal_loss_without_any_expressed_gene_is_a_number() -> None:
    zero = torch.zeros(2, 3)
    assert torch.isfinite(focal_loss(zero, zero, zero, zero))


def test_only_the_scripts_loss_clips_gradients() -> None:
    assert LOSSES["paper"].clip is None
    assert LOSSES["focal"].clip == 1.0


def transcribed_scaling(counts: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Non-zero counts to 0..1 by the training cells' smallest and largest, one by one."""
    scaled = np.zeros(counts.shape)
    for gene in range(counts.shape[1]):
        found = [value for value in training[:, gene] if value > 0]
        for cell in range(len(counts)):
            if counts[cell, gene] > 0 and found and max(found) > min(found):
                scaled[cell, gene] = (counts[cell, gene] - min(found)) / (max(found) - min(found))
    return scaled


@pytest.mark.parametrize(
    ("name", "formula"), [("paper", transcribed_paper), ("focal", transcribed_focal)]
)
@given(seed=CASES)
def test_from_sparse_counts_to_the_loss_it_is_the_formula(name: str, formula, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (9, 4)).astype(np.float32)
    looks = rng.normal(size=(9, 3)).astype(np.float32)
    table = sparse.csr_matrix(counts)
    cells = Cells(looks, table)
    rows = rng.permutation(9)[:5]
    batches = Batches(cells, GeneScaling.fit(table), torch.device("cpu"))
    _, *targets = batches.take(rows)
    found, logit = (torch.from_numpy(rng.normal(size=(5, 4)).astype(np.float32)) for _ in range(2))
    given_by_hand = formula(
        found.tolist(),
        logit.tolist(),
        transcribed_scaling(counts[rows], counts).tolist(),
        (counts[rows] > 0).tolist(),
    )
    loss = float(LOSSES[name].function(found, logit, *targets))
    assert loss == pytest.approx(given_by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ["paper", "focal"])
def test_a_network_that_is_sure_and_wrong_has_a_finite_loss_and_gradient(name: str) -> None:
    # Written with probabilities, the logarithm of 0 would end the training.
    logit = torch.tensor([[80.0, -80.0]], requires_grad=True)
    expressed = torch.tensor([[0.0, 1.0]])
    zero = torch.zeros(1, 2)
    loss = LOSSES[name].function(zero, logit, zero, expressed)
    loss.backward()
    assert torch.isfinite(loss)
    assert logit.grad is not None
    assert logit.grad[0, 0] > 0 > logit.grad[0, 1]


def test_the_squared_error_counts_genes_not_cells() -> None:
    # A sum over genes and a mean over cells: twice the genes cost twice, twice the cells not.
    one = torch.ones(1, 1)
    zeros = torch.zeros(1, 1)

    def squares(cells: int, genes: int) -> float:
        shape = (cells, genes)
        entropy = 20 * math.log(2)
        given = [value.expand(shape) for value in (one, zeros, zeros, zeros)]
        return float(paper_loss(*given)) - entropy

    assert squares(1, 6) == pytest.approx(2 * squares(1, 3))
    assert squares(6, 3) == pytest.approx(squares(1, 3))
