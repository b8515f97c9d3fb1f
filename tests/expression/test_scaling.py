"""Scaling against a direct transcription of the authors' per-gene loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from napari_prts.expression.scaling import FeatureScaling, GeneScaling, expected_counts

COUNTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 5)),
    elements=st.integers(0, 6).map(float),
)


def transcribed(counts: np.ndarray) -> np.ndarray:
    scaled = np.zeros_like(counts)
    for gene in range(counts.shape[1]):
        found = [value for value in counts[:, gene] if value > 0]
        for cell in range(counts.shape[0]):
            if counts[cell, gene] > 0 and max(found) > min(found):
                value = (counts[cell, gene] - min(found)) / (max(found) - min(found))
                scaled[cell, gene] = value
    return scaled


@given(COUNTS)
def test_non_zero_counts_scale_to_0_to_1_and_zeros_stay(counts: np.ndarray) -> None:
    table = sparse.csr_matrix(counts)
    scaled, expressed = GeneScaling.fit(table).targets(table)
    np.testing.assert_allclose(scaled, transcribed(counts), rtol=1e-6)
    np.testing.assert_array_equal(expressed, counts > 0)


@given(COUNTS)
def test_scaling_back_gives_the_counts(counts: np.ndarray) -> None:
    table = sparse.csr_matrix(counts)
    scaling = GeneScaling.fit(table)
    scaled, expressed = scaling.targets(table)
    np.testing.assert_allclose(scaling.counts(scaled) * expressed, counts, rtol=1e-5)


def test_a_gene_with_one_value_or_none_divides_nothing_by_zero() -> None:
    counts = sparse.csr_matrix([[2, 0, 1], [2, 0, 3], [0, 0, 0]])
    scaling = GeneScaling.fit(counts)
    np.testing.assert_array_equal(scaling.minimum, [2, 0, 1])
    np.testing.assert_array_equal(scaling.span, [0, 0, 2])
    other = sparse.csr_matrix([[5, 4, 5]])
    np.testing.assert_array_equal(scaling.targets(other)[0], [[0, 0, 2]])
    np.testing.assert_array_equal(scaling.counts(np.full((1, 3), 9, np.float32)), [[2, 0, 19]])


def test_explicit_zeros_of_a_sparse_table_are_zeros() -> None:
    table = sparse.csr_matrix((np.array([0.0, 3.0]), ([0, 1], [0, 0])), shape=(2, 1))
    assert GeneScaling.fit(table).minimum[0] == 3


def test_expected_counts_are_probability_times_count_and_never_negative() -> None:
    scaling = GeneScaling(np.array([1, 1], np.float32), np.array([4, 0], np.float32))
    scaled = np.array([[0.5, 0.5], [-2.0, -2.0]], np.float32)
    probability = np.array([[0.5, 0.2], [0.1, 0.0]], np.float32)
    np.testing.assert_allclose(
        expected_counts(scaling, scaled, probability), [[1.5, 0.2], [0.1, 0.0]]
    )


def test_features_are_standardised_and_a_constant_one_becomes_zero() -> None:
    matrix = np.array([[1, 0.1], [3, 0.1], [5, 0.1]], np.float32)
    scaling = FeatureScaling.fit(matrix)
    standardised = scaling.apply(matrix)
    np.testing.assert_allclose(standardised.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(standardised[:, 0].std(), 1, rtol=1e-6)
    assert scaling.std[1] == 1
