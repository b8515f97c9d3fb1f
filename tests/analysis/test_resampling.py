"""Intervals over blocks of tissue."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.analysis.resampling import Drawn, plan_resampling
from napari_prts.errors import ExpressionError


def strip(blocks: int, cells_each: int) -> np.ndarray:
    """Cells in a row of blocks of 256 um, each in the middle of its block."""
    columns = np.repeat(np.arange(blocks), cells_each) * 256.0 + 128
    return np.column_stack([np.full(len(columns), 50.0), columns])


def test_totals_are_sums_over_the_blocks_drawn() -> None:
    plan = plan_resampling(strip(6, 2), draws=50, seed=0)
    assert plan.block_count == 6
    values = np.arange(12.0)[:, None]
    totals = plan.totals(values)[:, 0]
    assert totals[0] == values.sum()
    of_blocks = values.reshape(6, 2).sum(1)
    np.testing.assert_allclose(totals[1:], plan.draws[1:] @ of_blocks)
    assert (plan.draws.sum(1) == 6).all()


def test_the_same_seed_draws_the_same() -> None:
    first, second = (plan_resampling(strip(8, 3), 20, seed=4).draws for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (plan_resampling(strip(8, 3), 20, seed=5).draws != first).any()


def test_few_blocks_are_refused() -> None:
    with pytest.raises(ExpressionError, match="4 squares of 256 um; 5 are needed"):
        plan_resampling(strip(4, 100), 20, seed=0)
    assert plan_resampling(strip(5, 100), 20, seed=0).block_count == 5


def test_the_interval_of_a_mean_is_twice_its_standard_error_to_each_side() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    plan = plan_resampling(strip(400, 1), 4000, seed=0)
    found = Drawn.of(plan.totals(values) / plan.totals(np.ones((400, 1))))
    error = values.std() / np.sqrt(400)
    assert found.value[0] == pytest.approx(values.mean())
    assert found.low[0] == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high[0] == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_cells_alike_within_a_block_are_no_surer_than_one() -> None:
    values = np.random.default_rng(0).normal(size=(60, 1))
    alone = plan_resampling(strip(60, 1), 1000, seed=0)
    many = plan_resampling(strip(60, 50), 1000, seed=0)
    one = Drawn.of(alone.totals(values) / alone.totals(np.ones((60, 1))))
    fifty = Drawn.of(many.totals(np.repeat(values, 50, 0)) / many.totals(np.ones((3000, 1))))
    assert fifty.high[0] - fifty.low[0] == pytest.approx(one.high[0] - one.low[0], rel=1e-6)


def test_draws_in_which_a_score_is_not_defined_are_left_out() -> None:
    draws = np.array([[1.0, 1.0]] + [[2.0, np.nan]] * 6 + [[np.nan, 2.0]] * 4)
    found = Drawn.of(draws)
    assert (found.value.tolist(), found.low[0], found.high[0]) == ([1, 1], 2, 2)
    assert np.isnan(found.low[1])
    np.testing.assert_array_equal(found.above(1.5), [True, False])
