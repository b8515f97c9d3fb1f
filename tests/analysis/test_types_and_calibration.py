"""Broad types by markers, and whether probabilities hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.analysis.broad_types import compare_types
from napari_prts.analysis.calibration import Calibration
from napari_prts.analysis.cluster_agreement import compare_clusters
from napari_prts.analysis.scored import ScoredCells, scored_cells
from napari_prts.errors import ExpressionError
from napari_prts.jobs import run
from tests.analysis.tables import table, two_types

MARKERS = {"stromal": ("COL1A1", "DCN"), "epithelial": ("EPCAM", "KRT8"), "neuron": ("SNAP25",)}
# Mouse and human symbols alike.
GENES = ["Col1a1", "Dcn", "EPCAM", "KRT8", "OTHER"]


def side_by_side(predicted: np.ndarray, measured: np.ndarray) -> ScoredCells:
    return scored_cells(table(predicted, genes=GENES), table(measured, genes=GENES))


def test_types_by_hand() -> None:
    stroma, epithelium, nothing = [4, 4, 0, 0, 2], [0, 0, 4, 4, 2], [0, 0, 0, 0, 2]
    measured = np.array([stroma, stroma, stroma, epithelium, epithelium, nothing])
    predicted = np.array([stroma, stroma, epithelium, epithelium, epithelium, stroma])
    found = compare_types(side_by_side(predicted, measured), MARKERS)
    # One marker of neurons is not there: the type is left out.
    assert found.types == ("stromal", "epithelial")
    np.testing.assert_array_equal(found.matrix, [[2, 1], [0, 2]])
    assert found.left_out == 1
    assert found.agreement == pytest.approx(4 / 5)
    # Measured 3 and 2, predicted 2 and 3: 3/5 * 2/5 + 2/5 * 3/5.
    assert found.by_chance == pytest.approx(12 / 25)


def test_types_need_markers() -> None:
    cells = side_by_side(np.eye(5) + 1, np.eye(5))
    with pytest.raises(ExpressionError, match="of 1 of the 2 broad types"):
        compare_types(cells, {"stromal": MARKERS["stromal"], "neuron": MARKERS["neuron"]})
    unseen = side_by_side(np.eye(5) * [0, 0, 0, 0, 1], np.eye(5))
    with pytest.raises(ExpressionError, match="No cell has markers"):
        compare_types(unseen, MARKERS)


def test_calibration_by_hand() -> None:
    probability = np.array([[0.05, 0.95], [0.05, 0.85], [0.05, 1.0], [0.05, 0.9]])
    expressed = np.array([[0, 1], [0, 1], [1, 1], [0, 0]], bool)
    found = Calibration.of(probability, expressed)
    assert found.cases.tolist() == [4, 0, 0, 0, 0, 0, 0, 0, 1, 3]
    np.testing.assert_allclose(found.predicted[[0, 8, 9]], [0.05, 0.85, 2.85 / 3])
    np.testing.assert_allclose(found.measured[[0, 8, 9]], [1 / 4, 1, 2 / 3])
    assert np.isnan(found.predicted[1])
    wanted = (4 * abs(0.05 - 0.25) + abs(0.85 - 1) + 3 * abs(0.95 - 2 / 3)) / 8
    assert found.expected_error == pytest.approx(wanted)


def test_honest_probabilities_are_off_by_little() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((3000, 20)).astype(np.float32)
    expressed = rng.random((3000, 20)) < probability
    assert Calibration.of(probability, expressed).expected_error < 0.01


def test_clusters_of_the_same_types_agree() -> None:
    rng = np.random.default_rng(1)
    measured = two_types(cells=200)
    names = list(measured.var_names)
    good = table(measured.X + rng.random(measured.shape), genes=names)
    found = run(compare_clusters(scored_cells(good, measured), seed=0))
    # At the paper's resolution for measured cells the two types fall into more clusters.
    assert found.measured > found.predicted == 2
    assert found.adjusted_rand > 0.15
    assert found.silhouette is not None
    assert found.silhouette > 0
    wrong = table(rng.permutation(np.asarray(good.X)), genes=names)
    assert run(compare_clusters(scored_cells(wrong, measured), seed=0)).adjusted_rand < 0.05
