"""The command that scores a prediction, and the reports that it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.running import Chain, fail, succeed


@pytest.fixture(scope="module")
def folder(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("evaluate") / "report"
    given = ("--model", chain.model, "--block-um", 64)
    said = succeed("evaluate", chain.predicted, chain.measured, "-o", out, *given)
    assert "predictable gene" in said.stdout
    assert "of the ceiling" in said.stdout
    return out


def test_a_folder_holds_scores_table_and_page(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["genes.csv", "report.html", "report.json"]
    report = json.loads((folder / "report.json").read_text())
    assert report["simulated"] is True
    assert report["genes_predictable"] >= 0
    assert report["blocks"] >= 5
    assert report["controls"]["missing"] == {}
    assert report["controls"]["nearest"]["pcc_mean"] is not None
    assert "simulated" in (folder / "report.html").read_text()


def test_a_small_region_has_no_intervals_and_says_so(chain: Chain, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    result = succeed("evaluate", chain.predicted, chain.measured, "-o", out)
    assert "squares of 256 um" in result.stderr
    report = json.loads(out.read_text())
    assert report["pcc_mean_interval"] == [None, None]
    assert report["share_of_ceiling_estimated"] is not None


def test_without_a_model_the_control_is_said_to_be_missing(chain: Chain, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    result = succeed("evaluate", chain.predicted, chain.measured, "-o", out)
    assert "--model" in result.stderr
    report = json.loads(out.read_text())
    assert "nearest" in report["controls"]["missing"]
    assert report["genes_predictable"] is None
    # The cells that trained were measured too, so their mean is known.
    assert report["controls"]["mean"]["rmse_mean"] > 0


@pytest.mark.parametrize("name", ["report.html", "genes.csv"])
def test_the_ending_says_what_is_written(name: str, chain: Chain, tmp_path: Path) -> None:
    said = succeed("evaluate", chain.predicted, chain.measured, "-o", tmp_path / name)
    assert said.stdout.startswith(f"wrote {tmp_path / name}: mean PCC ")
    start = {"report.html": "<!DOCTYPE html>", "genes.csv": "gene,"}[name]
    assert (tmp_path / name).read_text().startswith(start)


def test_folders_of_other_things_are_left_alone(chain: Chain, folder: Path, tmp_path: Path) -> None:
    given = ("evaluate", chain.predicted, chain.measured, "-o")
    succeed(*given, folder)
    other = tmp_path / "demo"
    other.mkdir()
    (other / "report.json").write_text("{}")
    (other / "study.json").write_text("{}")
    assert "other things" in fail(*given, other)
    assert (other / "study.json").read_text() == "{}"
    assert "must end in .json" in fail(*given, tmp_path / "report.pdf")


def test_a_model_that_did_not_predict_is_refused(chain: Chain, tmp_path: Path) -> None:
    missing, other = tmp_path / "no model", tmp_path / "other"
    given = ("evaluate", chain.predicted, chain.measured, "-o", tmp_path / "report.json")
    assert "no model" in fail(*given, "--model", missing)
    shutil.copytree(chain.model, other)
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps({**card, "threshold": 0.123}))
    assert "give the model that predicted" in fail(*given, "--model", other)
    assert not (tmp_path / "report.json").exists()
