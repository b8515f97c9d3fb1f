"""One table says of every gene how far its prediction can be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from napari_prts.analysis import EvaluateRequest, ceiling_from_counts, evaluate, evaluate_fully
from napari_prts.analysis.gene_trust import GeneTrust, trust_genes, trust_of_evaluation
from napari_prts.errors import ExpressionError
from napari_prts.jobs import run
from tests.analysis.tables import MadeUp, section


@pytest.fixture(scope="module")
def made() -> MadeUp:
    """12 genes, of which the first 8 are predicted."""
    return section(known=8)


@pytest.fixture(scope="module")
def trust(made: MadeUp) -> GeneTrust:
    return run(trust_genes(made.predicted, made.measured))


def test_the_scores_are_those_of_evaluate(made: MadeUp, trust: GeneTrust) -> None:
    wanted = evaluate(made.predicted, made.measured)
    genes = trust.genes
    assert tuple(genes.index) == wanted.genes
    np.testing.assert_allclose(genes["pcc"], wanted.pcc, atol=1e-6)
    np.testing.assert_allclose(genes["rmse"], wanted.rmse, rtol=1e-5)
    np.testing.assert_allclose(genes["mean_measured"], wanted.measured_mean, rtol=1e-5)
    np.testing.assert_allclose(genes["mean_predicted"], wanted.predicted_mean, rtol=1e-5)
    np.testing.assert_allclose(genes["sparsity"], 1 - wanted.measured_share)
    np.testing.assert_allclose(genes["ceiling"], ceiling_from_counts(made.measured.X), rtol=1e-5)
    assert (trust.cells, trust.held_out, trust.trained_on_some) == (900, False, False)


def test_known_genes_are_told_from_guessed_ones(trust: GeneTrust) -> None:
    genes = trust.genes
    assert (genes["pcc_low"][:8] > 0).all()
    assert (genes["share_of_ceiling"][:8] > 0.85).all()
    assert (genes["share_of_ceiling"][8:].abs() < 0.3).all()
    assert trust.interval_from == "squares of tissue"


def test_an_evaluation_gives_the_same_table(made: MadeUp, trust: GeneTrust) -> None:
    evaluation = run(evaluate_fully(made.predicted, made.measured, EvaluateRequest(clusters=False)))
    again = trust_of_evaluation(evaluation)
    assert (again.cells, again.interval_from) == (trust.cells, trust.interval_from)
    same = [name for name in trust.genes if not name.startswith("pcc_")]
    pd.testing.assert_frame_equal(
        again.genes[same], trust.genes[same], check_exact=False, rtol=1e-4, atol=1e-5
    )
    # The bootstrap's interval and the jackknife's are of about one width.
    widths = [(each.genes["pcc_high"] - each.genes["pcc_low"]) for each in (again, trust)]
    assert widths[0].mean() == pytest.approx(widths[1].mean(), rel=0.2)


def test_only_the_region_left_out_of_training_is_scored(made: MadeUp) -> None:
    predicted = made.predicted.copy()
    predicted.obs["split"] = np.where(np.arange(900) < 300, "test", "train")
    found = run(trust_genes(predicted, made.measured))
    assert (found.cells, found.held_out, found.trained_on_some) == (300, True, False)
    wanted = evaluate(predicted, made.measured)
    np.testing.assert_allclose(found.genes["pcc"], wanted.pcc, atol=1e-6)


def test_sparse_and_dense_tables_give_the_same(made: MadeUp, trust: GeneTrust) -> None:
    measured = made.measured.copy()
    measured.X = sparse.csr_matrix(measured.X)
    pd.testing.assert_frame_equal(run(trust_genes(made.predicted, measured)).genes, trust.genes)


def test_what_is_not_defined_is_left_empty(made: MadeUp, tmp_path: Path) -> None:
    measured, predicted = made.measured.copy(), made.predicted.copy()
    measured.X[:, 0] = 2
    predicted.X[:, 1] = 0.5
    found = run(trust_genes(predicted, measured))
    first, second = found.genes.iloc[0], found.genes.iloc[1]
    assert first[["pcc", "ceiling", "share_of_ceiling"]].isna().all()
    assert np.isnan(second["pcc"])
    # It varies and is predicted the same everywhere: nothing of what can be known.
    assert second["share_of_ceiling"] == 0
    text = found.to_csv(tmp_path / "genes.csv").read_text()
    assert text.splitlines()[0].startswith("gene,pcc,pcc_low,pcc_high,ceiling,share_of_ceiling")
    assert text.splitlines()[1].startswith("GENE0,,,,,,")


def test_fractions_have_no_ceiling(made: MadeUp) -> None:
    measured = made.measured.copy()
    measured.X = measured.X * 0.5
    found = run(trust_genes(made.predicted, measured)).genes
    assert found[["ceiling", "share_of_ceiling"]].isna().all(axis=None)
    assert found["pcc"].notna().all()


def test_progress_and_closing(made: MadeUp) -> None:
    job = trust_genes(made.predicted, made.measured)
    assert next(job).unit == "cells"
    job.close()


def test_too_few_cells_are_refused(made: MadeUp) -> None:
    with pytest.raises(ExpressionError, match="Only 9 cells"):
        run(trust_genes(made.predicted[:9], made.measured))
