"""The figures against hand computation and direct transcriptions of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.analysis.metrics import (
    accuracy_per_gene,
    auc_per_gene,
    js_divergence_per_gene,
    mutual_information_per_gene,
    nrmse_per_gene,
    rmse_per_gene,
)
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


def column(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


def test_nrmse_is_rmse_over_the_measured_range() -> None:
    # Differences 0 and 1; measured from 0 to 2.
    assert nrmse_per_gene(column(0, 1), column(0, 2))[0] == pytest.approx(math.sqrt(1 / 2) / 2)
    assert np.isnan(nrmse_per_gene(column(0, 1), column(2, 2))[0])


def test_auc_is_the_chance_that_a_cell_with_the_gene_scores_higher() -> None:
    expressed = np.array([[0], [0], [1], [1]], bool)
    # Of the four pairs (0.35 or 0.8 against 0.1 or 0.4) three are in order.
    assert auc_per_gene(column(0.1, 0.4, 0.35, 0.8), expressed)[0] == 0.75
    # Equal scores count half.
    assert auc_per_gene(column(1, 1, 1, 1), expressed)[0] == 0.5
    assert np.isnan(auc_per_gene(column(1, 2, 3, 4), np.ones((4, 1), bool))[0])


def test_mutual_information_by_hand() -> None:
    assert mutual_information_per_gene(column(1, 2, 3, 4), column(9, 8, 7, 6))[0] == (
        pytest.approx(1)
    )
    assert mutual_information_per_gene(column(1, 1, 2, 2), column(1, 2, 1, 2))[0] == (
        pytest.approx(0, abs=1e-12)
    )
    # Pairs (1, 1) twice, (2, 1) and (2, 2) once: entropies of halves, of quarters, and joint.
    halves = math.log(2)
    quarters = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    joint = -0.5 * math.log(0.5) - 2 * 0.25 * math.log(0.25)
    wanted = (halves + quarters - joint) / math.sqrt(halves * quarters)
    found = mutual_information_per_gene(column(1, 1, 2, 2), column(1, 1, 1, 2))[0]
    assert found == pytest.approx(wanted)


def test_mutual_information_of_what_does_not_vary() -> None:
    assert mutual_information_per_gene(column(1, 1, 1), column(1, 2, 3))[0] == 0
    assert np.isnan(mutual_information_per_gene(column(1, 2, 3), column(1, 1, 1))[0])


def test_bins_hold_equal_shares_of_cells_and_equal_values_share_a_bin() -> None:
    # Half of the cells have none of the gene: bin 0. A tenth of the others is one cell.
    values = column(0, 0, 0, 0, 0, 1, 2, 3, 4, 5)
    bins = column(0, 0, 0, 0, 0, 5, 6, 7, 8, 9)
    np.testing.assert_allclose(mutual_information_per_gene(values, bins), 1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 400))
def test_auc_and_mutual_information_are_those_of_scikit_learn(seed: int, cells: int) -> None:
    from sklearn.metrics import normalized_mutual_info_score, roc_auc_score

    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 9, (2, cells, 1)).astype(np.float32)
    expressed = second > 3
    if 0 < expressed.sum() < cells:
        wanted = roc_auc_score(expressed[:, 0], first[:, 0])
        assert auc_per_gene(first, expressed)[0] == pytest.approx(wanted)
    # With 9 values and 10 bins values may share a bin; as bins themselves they do not.
    ranked = [np.searchsorted(np.sort(side[:, 0]), side[:, 0]) for side in (first, second)]
    binned = [ranks * max(10, int(cells ** (1 / 3))) // cells for ranks in ranked]
    if len(set(binned[1])) > 1:
        wanted = normalized_mutual_info_score(*binned, average_method="geometric")
        found = mutual_information_per_gene(first, second)[0]
        assert found == pytest.approx(wanted if len(set(binned[0])) > 1 else 0, abs=1e-9)


def test_js_divergence_by_hand() -> None:
    # All in one cell, all in the other: nothing in common.
    assert js_divergence_per_gene(column(5, 0), column(0, 7))[0] == pytest.approx(1)
    assert js_divergence_per_gene(column(1, 3), column(2, 6))[0] == pytest.approx(0, abs=1e-12)
    # Halves against all in one: entropy of (3/4, 1/4) less half of 1 bit.
    wanted = -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25) - 0.5
    assert js_divergence_per_gene(column(1, 1), column(1, 0))[0] == pytest.approx(wanted)
    # Nothing predicted anywhere: as if everywhere alike.
    assert js_divergence_per_gene(column(0, 0), column(1, 0))[0] == pytest.approx(wanted)
    assert np.isnan(js_divergence_per_gene(column(1, 0), column(0, 0))[0])


def test_js_divergence_is_that_of_scipy() -> None:
    from scipy.spatial.distance import jensenshannon

    rng = np.random.default_rng(0)
    first, second = rng.random((50, 9)), rng.poisson(1, (50, 9)).astype(float)
    wanted = jensenshannon(first, second, 2, axis=0) ** 2
    np.testing.assert_allclose(js_divergence_per_gene(first, second), wanted)


def test_every_gene_of_many_is_scored_by_itself() -> None:
    rng = np.random.default_rng(0)
    predicted, second = rng.random((30, 300)), rng.poisson(1, (30, 300)).astype(float)
    for score in (nrmse_per_gene, mutual_information_per_gene, js_divergence_per_gene):
        together = score(predicted, second)
        alone = [score(predicted[:, [g]], second[:, [g]])[0] for g in (0, 127, 128, 299)]
        np.testing.assert_allclose(together[[0, 127, 128, 299]], alone)
