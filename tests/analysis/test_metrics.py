"""The figures against hand computation and direct transcriptions of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.analysis.metrics import accuracy_per_gene, rmse_per_gene
from napari_prts.correlation import mean_pcc, pcc_per_gene


def transcribed_pcc(x: list[float], y: list[float]) -> float:
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    spread = math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))
    return covariance / spread if spread else math.nan


def test_pcc_by_hand() -> None:
    # Deviations (-1, 0, 1) and (-1, -1, 2): 3 / sqrt(2 * 6).
    first, second = np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [0.0], [3.0]])
    assert pcc_per_gene(first, second)[0] == pytest.approx(3 / math.sqrt(12))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 600))
def test_pcc_is_the_formula_for_every_gene(seed: int, cells: int, genes: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, size=(2, cells, genes)).astype(np.float32)
    found = pcc_per_gene(first, second)
    for gene in {0, genes // 2, genes - 1}:
        wanted = transcribed_pcc(first[:, gene].tolist(), second[:, gene].tolist())
        assert found[gene] == pytest.approx(wanted, nan_ok=True, abs=1e-9)


def test_pcc_of_a_constant_gene_is_not_defined_and_counts_zero_in_a_mean() -> None:
    varying = np.arange(4.0)[:, None]
    constant = np.full((4, 1), 0.1, np.float32)
    assert np.isnan(pcc_per_gene(varying, constant)[0])
    assert np.isnan(pcc_per_gene(constant, varying)[0])
    both = np.hstack([varying, constant])
    assert mean_pcc(both, np.hstack([varying, varying])) == pytest.approx(0.5)


def test_pcc_of_no_cells_is_not_defined() -> None:
    assert np.isnan(pcc_per_gene(np.empty((0, 2)), np.empty((0, 2)))).all()


def test_rmse_by_hand() -> None:
    predicted = np.array([[1.0, 0.0], [3.0, 0.0]])
    measured = np.array([[1.0, 3.0], [0.0, 4.0]])
    np.testing.assert_allclose(
        rmse_per_gene(predicted, measured), [math.sqrt(9 / 2), math.sqrt(25 / 2)]
    )


def test_accuracy_by_hand() -> None:
    predicted = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], bool)
    measured = np.array([[1, 0], [0, 0], [0, 0], [0, 1]], bool)
    np.testing.assert_allclose(accuracy_per_gene(predicted, measured), [3 / 4, 2 / 4])
