"""The threshold is the one that serves validation cells best."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.expression.threshold import choose_threshold, cut


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
