"""The losses against direct transcriptions of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.expression.losses import LOSSES, focal_loss, paper_loss

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
