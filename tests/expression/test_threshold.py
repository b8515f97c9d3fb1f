"""The threshold is the one that serves validation cells best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.correlation import mean_pcc
from napari_prts.expression.threshold import THRESHOLDS, ThresholdSums, choose_threshold, cut


def test_values_below_the_threshold_become_zero() -> None:
    values = np.array([[1.0, 2.0, 3.0]], np.float32)
    probability = np.array([[0.3, 0.5, 0.7]], np.float32)
    np.testing.assert_array_equal(cut(values, probability, 0.5), [[0, 2, 3]])


def test_the_threshold_that_separates_best_is_chosen() -> None:
    # Counts predicted too high below p = 0.45 spoil the correlation unless cut away.
    probability = np.array([[0.1], [0.25], [0.44], [0.46], [0.7], [0.9]], np.float32)
    predicted = np.array([[9.0], [7.0], [8.0], [1.0], [2.0], [3.0]], np.float32)
    measured = np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0]], np.float32)
    threshold, pcc = choose_threshold(predicted, probability, measured)
    # 0.5 would cut the fourth cell too, and 0.4 leave the third.
    logged = np.log1p(cut(predicted, probability, threshold))
    assert pcc == pytest.approx(np.corrcoef(logged.ravel(), np.log1p(measured).ravel())[0, 1])
    others = [
        np.corrcoef(np.log1p(cut(predicted, probability, t)).ravel(), np.log1p(measured).ravel())
        for t in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    ]
    assert pcc == pytest.approx(max(o[0, 1] for o in others))


def test_ties_go_to_the_smaller_threshold() -> None:
    probability = np.full((4, 1), 0.95, np.float32)
    counts = np.arange(4, dtype=np.float32)[:, None]
    assert choose_threshold(counts, probability, counts)[0] == 0.0


def test_a_threshold_that_leaves_a_gene_constant_counts_zero_for_it() -> None:
    probability = np.full((4, 2), 0.35, np.float32)
    counts = np.array([[1, 1], [2, 2], [3, 3], [4, 5]], np.float32)
    threshold, pcc = choose_threshold(counts, probability, counts)
    assert (threshold, pcc) == (0.0, pytest.approx(1.0))


@given(st.integers(0, 2**32 - 1))
def test_batches_give_what_trying_each_threshold_on_all_cells_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (30, 5)
    # Probabilities on the edges between two thresholds are among them.
    probability = (rng.integers(0, 21, shape) / 20).astype(np.float32)
    counts = rng.gamma(1.0, 2.0, shape).astype(np.float32)
    measured = rng.poisson(counts).astype(np.float32)
    sums = ThresholdSums(5)
    for rows in (slice(0, 7), slice(7, 30)):
        sums.add(counts[rows], probability[rows], measured[rows])
    tried = [
        mean_pcc(cut(np.log1p(counts), probability, threshold), np.log1p(measured))
        for threshold in THRESHOLDS
    ]
    threshold, pcc = sums.best()
    assert pcc == pytest.approx(max(tried), abs=1e-9)
    assert tried[THRESHOLDS.index(threshold)] == pytest.approx(max(tried), abs=1e-9)
