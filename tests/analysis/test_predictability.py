"""Which genes a prediction knows, against two controls that learn nothing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.analysis.controls import Controls, make_controls
from napari_prts.analysis.predictability import Predictability, measure_predictability
from napari_prts.analysis.resampling import plan_resampling
from napari_prts.analysis.scored import ScoredCells, scored_cells
from napari_prts.correlation import pcc_per_gene
from napari_prts.errors import ExpressionError
from tests.analysis.tables import MadeUp, Reference, section


def prepared(made: MadeUp) -> tuple[ScoredCells, Controls]:
    cells = scored_cells(made.predicted, made.measured)
    return cells, make_controls(cells, made.predicted, made.measured, made.model)


def judged(made: MadeUp, draws: int = 300) -> Predictability:
    cells, controls = prepared(made)
    assert cells.places_um is not None
    plan = plan_resampling(cells.places_um, draws, seed=0)
    return measure_predictability(cells, controls, plan, raw_counts=True)


def test_the_values_are_the_plain_scores() -> None:
    made = section(genes=150)
    cells, _ = prepared(made)
    found = judged(made)
    counts = np.log1p(made.measured.X)
    np.testing.assert_allclose(
        found.pcc.value, pcc_per_gene(cells.log_expression, counts), atol=1e-6
    )
    assert found.nearest_pcc is not None
    copied = pcc_per_gene(np.log1p(np.asarray(made.model.training_counts, float)), counts)
    np.testing.assert_allclose(found.nearest_pcc.value, copied, atol=1e-6)
    assert found.mean_rmse is not None
    constant = np.log1p(np.asarray(made.model.training_counts).mean(0))
    rmse = np.sqrt(((counts - constant) ** 2).mean(0))
    np.testing.assert_allclose(found.mean_rmse.value, rmse, rtol=1e-6)
    assert found.means["pcc"].value == pytest.approx(found.pcc.value.mean())


def test_the_ceiling_is_that_of_the_counts_and_a_perfect_prediction_reaches_it() -> None:
    made = section(cells=3000, genes=40)
    made.predicted.X = made.rates.astype(np.float32)
    found = judged(made)
    assert found.ceiling is not None
    from napari_prts.analysis import ceiling_from_counts

    np.testing.assert_allclose(found.ceiling.value, ceiling_from_counts(made.measured.X), atol=2e-3)
    share = found.means["share"]
    assert share.value == pytest.approx(1, abs=0.02)
    assert share.low < 1 < share.high + 0.02


def test_intervals_hold_the_value_and_narrow_with_more_cells() -> None:
    few, many = (judged(section(cells=cells, genes=20)) for cells in (300, 3000))
    for found in (few, many):
        assert (found.pcc.low <= found.pcc.value).all()
        assert (found.pcc.value <= found.pcc.high).all()
    assert (many.pcc.high - many.pcc.low).mean() < 0.6 * (few.pcc.high - few.pcc.low).mean()


def test_genes_that_are_known_are_predictable_and_others_are_not() -> None:
    found = judged(section(cells=2000, genes=60, known=30)).predictable
    assert found is not None
    assert found[:30].mean() > 0.9
    assert not found[30:].any()


def test_copying_the_nearest_training_cell_must_be_beaten() -> None:
    made = section(cells=2000, genes=20)
    # The control knows the very counts: nobody beats that.
    counts = np.asarray(made.measured.X)
    made = MadeUp(made.rates, made.predicted, made.measured, Reference(made.model.genes, counts))
    found = judged(made)
    assert found.predictable is not None
    assert not found.predictable.any()
    assert found.pcc.above(0).any()


def test_the_right_pattern_at_the_wrong_level_is_predictable_but_no_nearer_in_amount() -> None:
    made = section(cells=2000, genes=20)
    right = judged(made)
    made.predicted.X = np.asarray(made.predicted.X) * 30
    wrong = judged(made)
    assert right.nearer_in_amount is not None
    assert wrong.nearer_in_amount is not None
    assert right.nearer_in_amount.mean() > 0.9
    assert not wrong.nearer_in_amount.any()
    assert wrong.predictable is not None
    assert wrong.predictable.mean() > 0.5


def test_a_gene_predicted_the_same_everywhere_knows_nothing() -> None:
    made = section(genes=4)
    made.predicted.X[:, 1] = 2
    found = judged(made)
    assert np.isnan(found.pcc.value[1])
    assert found.predictable is not None
    assert not found.predictable[1]
    assert found.means["pcc"].value == pytest.approx(np.nan_to_num(found.pcc.value).mean())


# Controls


def test_controls_without_a_model_are_said_to_be_missing() -> None:
    made = section(genes=4)
    cells = scored_cells(made.predicted, made.measured)
    found = make_controls(cells, made.predicted, made.measured, None)
    assert found.nearest is None
    assert found.mean is None
    assert "--model" in found.missing["nearest"]
    assert "no training cells" in found.missing["mean"]


def test_the_mean_control_can_come_from_the_training_region() -> None:
    made = section(genes=4)
    made.predicted.obs["split"] = np.where(np.arange(900) < 400, "test", "train")
    cells = scored_cells(made.predicted, made.measured)
    found = make_controls(cells, made.predicted, made.measured, None)
    np.testing.assert_allclose(found.mean, made.measured.X[400:].mean(0), rtol=1e-5)
    assert set(found.missing) == {"nearest"}


def test_the_mean_control_never_sees_cells_that_are_scored() -> None:
    made = section(genes=4)
    made.predicted.obs["split"] = "train"
    cells = scored_cells(made.predicted, made.measured)
    assert make_controls(cells, made.predicted, made.measured, None).mean is None


def test_older_models_and_predictions_lack_the_nearest_cell() -> None:
    made = section(genes=4)
    cells = scored_cells(made.predicted, made.measured)
    old = Reference(made.model.genes, None)
    found = make_controls(cells, made.predicted, made.measured, old)
    assert "train it again" in found.missing["nearest"]
    del made.predicted.obs["nearest_training"]
    found = make_controls(cells, made.predicted, made.measured, made.model)
    assert "predict them again" in found.missing["nearest"]
    assert found.mean is not None


def test_another_model_is_refused() -> None:
    made = section(genes=4)
    cells = scored_cells(made.predicted, made.measured)
    others = Reference(("ELSE",), np.ones((900, 1)))
    with pytest.raises(ExpressionError, match="does not know gene GENE0"):
        make_controls(cells, made.predicted, made.measured, others)
    made.predicted.uns["prts"]["model_hash"] = "another"
    with pytest.raises(ExpressionError, match="by model another, the model given is made-up"):
        make_controls(cells, made.predicted, made.measured, made.model)
    made.predicted.uns["prts"]["model_hash"] = "made-up"
    small = Reference(made.model.genes, np.ones((5, 4)))
    with pytest.raises(ExpressionError, match="training cell 899, but the model given keeps 5"):
        make_controls(cells, made.predicted, made.measured, small)
