"""Batches made from sparse counts hold what dense ones would."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from napari_prts.expression.batches import Batches, Cells
from napari_prts.expression.scaling import GeneScaling
from tests.expression.test_scaling import transcribed


@given(st.integers(0, 2**32 - 1))
def test_a_batch_is_the_rows_asked_for_in_their_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.6, (12, 5)).astype(np.float32)
    dense[4] = 0
    looks = rng.normal(size=(12, 3)).astype(np.float32)
    counts = sparse.csr_matrix(dense)
    batches = Batches(Cells(looks, counts), GeneScaling.fit(counts), torch.device("cpu"))
    rows = rng.permutation(12)[: rng.integers(1, 13)]
    features, scaled, expressed = batches.take(rows)
    np.testing.assert_array_equal(features, looks[rows])
    np.testing.assert_allclose(scaled, transcribed(dense)[rows], rtol=1e-6)
    np.testing.assert_array_equal(expressed, dense[rows] > 0)


def test_cells_without_any_count_are_zeros() -> None:
    counts = sparse.csr_matrix(np.zeros((3, 4), np.float32))
    cells = Cells(np.zeros((3, 2), np.float32), counts)
    batches = Batches(cells, GeneScaling.fit(counts), torch.device("cpu"))
    _, scaled, expressed = batches.take(np.array([2, 0]))
    assert scaled.shape == expressed.shape == (2, 4)
    assert not scaled.any()
    assert not expressed.any()
