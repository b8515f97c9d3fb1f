"""How a prediction is scored, and what cannot be scored."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from napari_prts.analysis import evaluate, write_report
from napari_prts.errors import ExpressionError
from tests.analysis.tables import table


def test_scores_by_hand() -> None:
    # log1p of e^k - 1 is k, so the logarithms are small whole numbers.
    predicted = table(np.expm1([[1, 0], [2, 0], [3, 1]]))
    measured = table(np.expm1([[0, 2], [0, 0], [3, 1]]))
    found = evaluate(predicted, measured)
    assert found.cells == 3
    assert found.genes == ("A", "B")
    # Gene B: deviations (-1/3, -1/3, 2/3) and (1, -1, 0): 0.
    np.testing.assert_allclose(found.pcc, [3 / math.sqrt(12), 0], atol=1e-6)
    np.testing.assert_allclose(found.rmse, [math.sqrt(5 / 3), math.sqrt(4 / 3)], rtol=1e-6)
    np.testing.assert_allclose(found.accuracy, [1 / 3, 2 / 3])
    assert found.pcc_mean == pytest.approx(3 / math.sqrt(12) / 2, abs=1e-6)
    assert found.rmse_mean == pytest.approx((math.sqrt(5 / 3) + math.sqrt(4 / 3)) / 2)
    assert found.accuracy_mean == pytest.approx(0.5)


def test_cells_are_matched_by_id_and_genes_by_name() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, size=(6, 3))
    measured = table(counts, ids=[10, 11, 12, 13, 14, 15], genes=["X", "Y", "Z"])
    rows, columns = [4, 0, 2, 5], [2, 0]
    predicted = table(
        np.hstack([counts[rows][:, columns], np.ones((4, 1))]),
        ids=[14, 10, 12, 15],
        genes=["Z", "X", "NEW"],
    )
    found = evaluate(predicted, measured)
    assert found.genes == ("Z", "X")
    assert found.cells == 4
    np.testing.assert_allclose(found.pcc, 1)
    np.testing.assert_allclose(found.rmse, 0)


def test_only_the_region_left_out_is_scored_if_there_is_one() -> None:
    predicted = table([[1], [2], [3], [9], [9], [1]])
    measured = table([[1], [2], [3], [1], [2], [3]])
    predicted.obs["split"] = ["test", "test", "test", "train", "gap", "validation"]
    found = evaluate(predicted, measured)
    assert (found.cells, found.cells_scored, found.trained_on_some) == (3, "held-out region", False)
    assert found.pcc_mean == pytest.approx(1)

    predicted.obs["split"] = ["train"] * 3 + ["validation"] * 3
    found = evaluate(predicted, measured)
    assert (found.cells, found.cells_scored, found.trained_on_some) == (6, "all", True)

    predicted.obs["split"] = "new"
    found = evaluate(predicted, measured)
    assert (found.cells_scored, found.trained_on_some) == ("all", False)


def test_is_expressed_is_told_by_the_probability_where_there_is_one() -> None:
    predicted = table([[1], [1], [1], [1]])
    measured = table([[1], [0], [2], [0]])
    assert evaluate(predicted, measured).as_dict()["accuracy"] == 0.5
    predicted.layers["p_expressed"] = np.array([[0.9], [0.1], [0.5], [0.6]], np.float32)
    told = evaluate(predicted, measured).as_dict()
    assert told["accuracy"] == 0.75
    assert told["accuracy_of"] == "p_expressed >= 0.5"


def test_genes_without_variation_are_counted_and_reported_as_null() -> None:
    predicted = table([[1, 5, 1], [2, 5, 2], [3, 5, 3]])
    measured = table([[1, 1, 4], [2, 2, 4], [3, 3, 4]])
    told = evaluate(predicted, measured).as_dict()
    assert told["per_gene"]["B"]["pcc"] is None
    assert told["per_gene"]["C"]["pcc"] is None
    assert told["genes_predicted_constant"] == 1
    assert told["genes_measured_constant"] == 1
    # B is the prediction's fault and counts 0; C cannot be told by anyone and does not count.
    assert told["pcc_mean"] == pytest.approx(0.5)


def simulated() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rates = np.column_stack([np.linspace(1, 9, 400), rng.uniform(1, 9, 400), np.full(400, 3.0)])
    return rates, rng.poisson(rates).astype(np.float32)


def test_the_true_rates_set_the_ceiling() -> None:
    rates, counts = simulated()
    measured = table(counts)
    measured.layers["true_rate"] = rates
    measured.uns["visium_hd"] = {"simulated": True}
    perfect = evaluate(table(rates), measured)
    told = perfect.as_dict()
    assert told["simulated"] is True
    assert told["genes_varying"] == 2
    assert told["share_of_ceiling"] == pytest.approx(1)
    wanted = np.corrcoef(np.log1p(rates[:, 0]), np.log1p(counts[:, 0]))[0, 1]
    assert told["per_gene"]["A"]["ceiling"] == pytest.approx(wanted, abs=1e-6)
    assert told["per_gene"]["C"]["varies"] is False

    # A prediction that knows the first gene alone, and says the same of all cells otherwise.
    half = np.column_stack([rates[:, 0], np.ones((400, 2))])
    told = evaluate(table(half), measured).as_dict()
    ceiling = [told["per_gene"][gene]["ceiling"] for gene in "AB"]
    assert told["pcc_mean_varying"] == pytest.approx(ceiling[0] / 2)
    assert told["ceiling_mean_varying"] == pytest.approx(sum(ceiling) / 2)
    assert told["share_of_ceiling"] == pytest.approx(ceiling[0] / sum(ceiling))


def test_cells_without_true_rate_do_not_enter_the_ceiling() -> None:
    rates, counts = simulated()
    measured = table(counts)
    layer = rates.copy()
    layer[:100] = np.nan
    measured.layers["true_rate"] = layer
    measured.var["varies"] = [True, False, False]
    prediction = rates.copy()
    prediction[:100] = 0
    told = evaluate(table(prediction), measured).as_dict()
    assert told["cells"] == 400
    assert told["cells_with_true_rate"] == 300
    assert told["genes_varying"] == 1
    assert told["share_of_ceiling"] == pytest.approx(1)
    layer[:] = np.nan
    assert evaluate(table(prediction), measured).ceiling is None


def test_measured_cells_have_no_ceiling() -> None:
    told = evaluate(table([[1], [2], [3]]), table([[1], [2], [3]])).as_dict()
    assert told["simulated"] is False
    assert "share_of_ceiling" not in told
    assert set(told) >= {
        "cells", "genes", "pcc_mean", "rmse_mean", "accuracy", "per_gene", "cells_scored",
    }  # fmt: skip


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    predicted = table([[1, 5], [2, 5], [3, 5]])
    measured = table([[1, 0], [2, 0], [3, 0]])
    path = write_report(evaluate(predicted, measured), tmp_path / "new" / "report.json")
    told = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert told["per_gene"]["B"]["pcc"] is None
    assert told["cells"] == 3
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    found = evaluate(table([[1], [2], [3]]), table([[1], [2], [3]]))
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ExpressionError, match="No space left"):
        write_report(found, tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


def test_tables_that_do_not_belong_together_are_refused() -> None:
    first = table([[1], [2], [3]])
    with pytest.raises(ExpressionError, match="None of the 3 predicted cells"):
        evaluate(first, table([[1], [2], [3]], ids=[7, 8, 9]))
    with pytest.raises(ExpressionError, match="other genes"):
        evaluate(first, table([[1], [2], [3]], genes=["Z"]))
    first.uns["prts"] = {"slide_fingerprint": "one", "mpp": 0.5}
    second = table([[1], [2], [3]])
    second.uns["visium_hd"] = {"slide_fingerprint": "two"}
    with pytest.raises(ExpressionError, match="same slide"):
        evaluate(first, second)
    second.uns["visium_hd"] = {"slide_fingerprint": "one"}
    first.obsm["spatial"] = np.zeros((3, 2))
    second.obsm["spatial"] = np.full((3, 2), 100.0)
    with pytest.raises(ExpressionError, match=r"71 um apart"):
        evaluate(first, second)


def test_what_cannot_be_scored_is_refused() -> None:
    good = table([[1], [2], [3]])
    with pytest.raises(ExpressionError, match="Only 2 cells"):
        evaluate(good, table([[1], [2]]))
    with pytest.raises(ExpressionError, match="No gene varies"):
        evaluate(good, table([[4], [4], [4]]))
    with pytest.raises(ExpressionError, match="negative"):
        evaluate(table([[-1], [2], [3]]), good)
    with pytest.raises(ExpressionError, match="no numbers"):
        evaluate(good, table([[np.nan], [2], [3]]))
    held_out = good.copy()
    held_out.obs["split"] = ["test", "train", "train"]
    with pytest.raises(ExpressionError, match="left out"):
        evaluate(held_out, good[1:].copy())
    nameless = good.copy()
    del nameless.obs["id"]
    with pytest.raises(ExpressionError, match="predicted cells have no column 'id'"):
        evaluate(nameless, good)


def test_sparse_and_dense_tables_score_the_same() -> None:
    from scipy import sparse

    rng = np.random.default_rng(0)
    counts = rng.poisson(1, size=(50, 4))
    predicted, measured = table(counts + rng.random((50, 4))), table(counts)
    dense = evaluate(predicted, measured)
    measured.X = sparse.csr_matrix(measured.X)
    np.testing.assert_allclose(evaluate(predicted, measured).pcc, dense.pcc)
