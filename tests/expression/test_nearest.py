"""The nearest training cells are found by one product, and measured exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from napari_prts.expression.nearest import Neighbours

PRECISIONS = ("float32", "bfloat16")


def by_hand(rows: np.ndarray, cells: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    apart = cdist(cells.astype(np.float64), rows.astype(np.float64))
    return np.sort(apart, axis=1)[:, min(number, len(rows)) - 1], apart.argmin(1)


@given(rows=st.integers(1, 90), cells=st.integers(1, 70), number=st.integers(1, 8))
def test_it_is_as_if_all_were_measured(rows: int, cells: int, number: int) -> None:
    rng = np.random.default_rng(rows)
    training = rng.normal(size=(rows, 6)).astype(np.float32)
    asked = rng.normal(size=(cells, 6)).astype(np.float32)
    distances, nearest = Neighbours(training).of(asked, number)
    wanted = by_hand(training, asked, number)
    np.testing.assert_allclose(distances, wanted[0], rtol=1e-5)
    np.testing.assert_array_equal(nearest, wanted[1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_those_of_a_vit_are_found_in_either_precision(precision: str) -> None:
    # A few directions hold most of what differs, as in the features of real nuclei.
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(40, 576)) / np.sqrt(40)
    everything = rng.normal(size=(2300, 40)) @ directions + 0.3 * rng.normal(size=(2300, 576))
    training, asked = np.split(everything.astype(np.float32), [2000])
    distances, nearest = Neighbours(training, precision).of(asked, 5)
    wanted = by_hand(training, asked, 5)
    np.testing.assert_allclose(distances, wanted[0], rtol=1e-4)
    assert np.mean(nearest == wanted[1]) > 0.995


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_training_cell_finds_itself(precision: str) -> None:
    training = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32) * 4
    distances, nearest = Neighbours(training, precision).of(training, 1)
    np.testing.assert_array_equal(nearest, np.arange(300))
    np.testing.assert_array_equal(distances, 0)


def test_of_equally_near_ones_the_first_is_taken() -> None:
    rows = np.array([[3, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    assert Neighbours(rows).of(np.zeros((1, 2), np.float32), 2)[1].tolist() == [1]
