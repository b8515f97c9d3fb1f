"""All scores together, and the report that people read."""

from __future__ import annotations

import csv
import json
import re
from base64 import b64decode
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from napari_prts.analysis import EvaluateRequest, Evaluation, evaluate, evaluate_fully, write_report
from napari_prts.analysis.report_words import ranked_genes, sentences
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress, run
from tests.analysis.tables import MadeUp, section, table

REQUEST = EvaluateRequest(draws=200)


@pytest.fixture(scope="module")
def made() -> MadeUp:
    made = section(cells=900, genes=30, known=20)
    names = list(made.predicted.var_names)
    names[:4] = ["COL1A1", "DCN", "EPCAM", "KRT8"]
    for each in (made.predicted, made.measured):
        each.var_names = names
    made.measured.uns["visium_hd"] = {"simulated": True}
    made.measured.layers["true_rate"] = made.rates
    model = type(made.model)(tuple(names), made.model.training_counts)
    return MadeUp(made.rates, made.predicted, made.measured, model)


@pytest.fixture(scope="module")
def evaluation(made: MadeUp) -> Evaluation:
    return run(evaluate_fully(made.predicted, made.measured, REQUEST, made.model))


def told(evaluation: Evaluation, folder: Path) -> dict:
    path = write_report(evaluation, folder / "report.json")
    return json.loads(path.read_text(), parse_constant=pytest.fail)


def test_nothing_is_missing_where_all_is_given(evaluation: Evaluation) -> None:
    assert evaluation.missing == {}
    assert set(evaluation.metrics) == {
        "auc", "nrmse", "mutual_information", "js_divergence", "ssim",
    }  # fmt: skip
    assert set(evaluation.gene_sets) == {"all", "highly_variable", "spatially_variable"}


def test_the_report_keeps_all_that_the_short_one_says(
    made: MadeUp, evaluation: Evaluation, tmp_path: Path
) -> None:
    short = evaluate(made.predicted, made.measured).as_dict()
    full = told(evaluation, tmp_path)
    for name, value in short.items():
        if name != "per_gene":
            assert full[name] == pytest.approx(value)
    for gene, scores in short["per_gene"].items():
        found = full["per_gene"][gene]
        assert {name: found[name] for name in scores} == pytest.approx(scores)


def test_the_report_says_how_sure_it_is(evaluation: Evaluation, tmp_path: Path) -> None:
    full = told(evaluation, tmp_path)
    low, high = full["pcc_mean_interval"]
    assert low < full["pcc_mean"] < high
    # Estimated from counts, against what the true rates of all genes say.
    best = np.mean([scores["ceiling"] for scores in full["per_gene"].values()])
    assert full["ceiling_mean_estimated"] == pytest.approx(best, abs=0.03)
    assert 0 < full["share_of_ceiling_estimated"] < 1
    assert 15 <= full["genes_predictable"] <= 20
    assert full["controls"]["nearest"]["pcc_mean"] < full["pcc_mean"]
    assert full["controls"]["mean"]["pcc"] == 0
    assert full["controls"]["mean"]["from"] == "training cells kept in the model"
    assert full["means"]["all"]["genes"] == 30
    assert full["means"]["all"]["pcc"] == pytest.approx(full["pcc_mean"])
    assert full["types"]["types"] == ["epithelial", "stromal"]


def test_parts_that_cannot_be_told_are_named_and_stop_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, (40, 3))
    found = run(evaluate_fully(table(counts + rng.random((40, 3))), table(counts / 2), REQUEST))
    assert set(found.missing) == {
        "control_mean", "control_nearest", "ssim", "spatially_variable", "ceiling", "intervals",
        "types", "calibration",
    }  # fmt: skip
    full = told(found, tmp_path)
    assert full["missing"] == found.missing
    assert full["genes_predictable"] is None
    assert full["clusters"] is not None
    assert "cannot be told" in " ".join(sentences(found))
    assert "What could not be told" in write_report(found, tmp_path / "page.html").read_text()


def test_few_cells_of_one_place_have_no_intervals(made: MadeUp) -> None:
    few = made.predicted[:9].copy()
    few.obsm["spatial"] = np.ones((9, 2))
    measured = made.measured[:9].copy()
    measured.obsm["spatial"] = np.ones((9, 2))
    found = run(evaluate_fully(few, measured, REQUEST, made.model))
    assert "1 squares of 256 um" in found.missing["intervals"]
    assert "too few to group" in found.missing["clusters"]
    assert found.ceiling is not None


def test_the_same_seed_scores_the_same(made: MadeUp, evaluation: Evaluation) -> None:
    again = run(evaluate_fully(made.predicted, made.measured, REQUEST, made.model))
    np.testing.assert_array_equal(again.predictability.pcc.low, evaluation.predictability.pcc.low)
    assert again.clusters == evaluation.clusters


def test_it_tells_its_progress_and_can_be_closed(made: MadeUp) -> None:
    job = evaluate_fully(made.predicted, made.measured, REQUEST)
    seen: list[Progress] = [next(job), next(job)]
    job.close()
    assert [(step.done, step.unit) for step in seen] == [(0, "steps"), (1, "steps")]


def test_the_table_of_genes(evaluation: Evaluation, tmp_path: Path) -> None:
    text = write_report(evaluation, tmp_path / "genes.csv").read_text()
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["gene"] for row in rows] == list(evaluation.agreement.genes)
    assert float(rows[0]["pcc"]) == pytest.approx(evaluation.agreement.pcc[0], abs=1e-5)
    assert {row["predictable"] for row in rows} == {"True", "False"}


def test_the_page_needs_no_other_file_and_says_what_is_simulated(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    html = write_report(evaluation, tmp_path / "report.html").read_text()
    sources = re.findall(r'src="([^"]*)"', html)
    assert len(sources) == 6
    for source in sources:
        png = b64decode(source.removeprefix("data:image/png;base64,"))
        assert png.startswith(b"\x89PNG")
    assert "http" not in html
    assert "The counts on this page are <b>simulated</b>" in html
    alternatives = re.findall(r'alt="([^"]*)"', html)
    assert all("predicted against measured (simulated)" in text for text in alternatives)
    assert html.count("<tr>") > len(evaluation.agreement.genes)


def test_names_of_genes_are_text_not_html(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(2, (20, 2))
    both = [table(counts, genes=["<b>A", "B&C"]) for _ in range(2)]
    html = write_report(run(evaluate_fully(*both, REQUEST)), tmp_path / "a.html").read_text()
    assert "<b>A" not in html
    assert "&lt;b&gt;A" in html


def test_the_sentences_name_genes_to_trust_and_to_doubt(evaluation: Evaluation) -> None:
    said = " ".join(sentences(evaluation))
    best, worst = ranked_genes(evaluation)
    genes = evaluation.agreement.genes
    trust, doubt = said.split("Do not read anything into")
    assert genes[best[0]] in trust
    assert genes[worst[0]] in doubt
    assert set(worst[:3]) <= set(range(20, 30))
    assert "simulated" in said


def test_cells_unlike_those_that_trained_are_told(made: MadeUp) -> None:
    quick = EvaluateRequest(draws=100, clusters=False)
    other = made.predicted.copy()
    other.obs["unlike_training"] = np.arange(len(other)) % 2 == 0
    found = run(evaluate_fully(other, made.measured, quick))
    assert found.unlike == 0.5
    assert "50% of the cells look unlike" in sentences(found)[-1]
    assert "a guess" in sentences(found)[-1]
    assert run(evaluate_fully(made.predicted, made.measured, quick)).unlike is None


def test_a_folder_holds_all_three(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = write_report(evaluation, tmp_path / "report")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["genes.csv", "report.html", "report.json"]
    write_report(evaluation, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_other_endings_and_impossible_requests_are_refused(
    made: MadeUp, evaluation: Evaluation, tmp_path: Path
) -> None:
    with pytest.raises(ExpressionError, match=r"\.json, \.csv, \.html"):
        write_report(evaluation, tmp_path / "report.pdf")
    with pytest.raises(ExpressionError, match=r"end in \.json"):
        write_report(evaluate(made.predicted, made.measured), tmp_path / "report.html")
    with pytest.raises(ExpressionError, match="100 or more"):
        EvaluateRequest(draws=10)
    with pytest.raises(ExpressionError, match="above 0"):
        EvaluateRequest(block_um=0)


def test_probabilities_outside_0_to_1_are_refused() -> None:
    bad = table([[1], [2], [3]])
    bad.layers["p_expressed"] = np.array([[0.5], [1.5], [0.5]])
    with pytest.raises(ExpressionError, match="outside 0 to 1"):
        evaluate(bad, table([[1], [2], [3]]))
