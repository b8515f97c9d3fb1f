"""Correlation from batches is that of the whole table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.correlation import pcc_per_gene
from napari_prts.expression.pcc_sums import PccSums


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_batches_give_the_correlation_of_all(seed: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    found = np.log1p(rng.gamma(0.3, 1.0, (40, 6))).astype(np.float32)
    measured = np.log1p(rng.poisson(found * 3)).astype(np.float32)
    found[:, 1] = 0.7
    measured[:, 2] = 0
    sums = PccSums(6)
    sums.add(found[:first], measured[:first])
    sums.add(found[first:], measured[first:])
    np.testing.assert_allclose(sums.per_gene(), pcc_per_gene(found, measured), atol=1e-6)


def test_a_gene_without_variation_counts_zero() -> None:
    sums = PccSums(2)
    values = np.array([[1, 5], [2, 5], [3, 5]], np.float32)
    sums.add(values, values)
    assert np.isnan(sums.per_gene()[1])
    assert sums.mean() == pytest.approx(0.5)


def test_of_no_cells_nothing_is_known() -> None:
    assert np.isnan(PccSums(3).per_gene()).all()
    assert PccSums(3).mean() == 0
