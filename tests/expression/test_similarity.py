"""The distance to the training cells."""

from __future__ import annotations

import numpy as np

from napari_prts.expression.similarity import MOST_ROWS, TrainingCells


def test_it_is_the_distance_to_the_fifth_neighbour() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)).astype(np.float32)
    cells = rng.normal(size=(9, 4)).astype(np.float32)
    expected = [sorted(np.linalg.norm(rows - cell, axis=1))[4] for cell in cells]
    np.testing.assert_allclose(TrainingCells(rows, 1.0).distances(cells), expected, rtol=1e-4)


def test_one_in_twenty_cells_that_did_not_train_lies_beyond_1() -> None:
    rng = np.random.default_rng(0)
    training, others = rng.normal(size=(2, 1000, 6)).astype(np.float32)
    distances = TrainingCells.fit(training, others, seed=0).distances(others)
    assert np.mean(distances > 1) == 0.05


def test_unlike_cells_are_far_away() -> None:
    rng = np.random.default_rng(0)
    training, others = rng.normal(size=(2, 300, 6)).astype(np.float32)
    cells = TrainingCells.fit(training, others, seed=0)
    assert (cells.distances(others + 10) > 2).all()


def test_a_large_training_set_is_sampled_alike_for_the_same_seed() -> None:
    training = np.random.default_rng(0).normal(size=(MOST_ROWS + 500, 3)).astype(np.float32)
    first, second = (TrainingCells.fit(training, training[:50], seed=1) for _ in range(2))
    assert len(first.rows) == MOST_ROWS
    np.testing.assert_array_equal(first.rows, second.rows)


def test_few_and_equal_training_cells_still_give_numbers() -> None:
    rows = np.zeros((3, 2), np.float32)
    cells = TrainingCells.fit(rows, rows, seed=0)
    assert cells.scale == 1
    np.testing.assert_array_equal(cells.distances(rows), 0)
