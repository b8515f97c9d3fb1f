"""Many slides on this computer: one that fails stops no other, and nothing is done twice."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import napari_prts
from napari_prts.cohort import LocalPlace, SlideEntry, run_batch
from napari_prts.cohort.outcome import StepProgress
from napari_prts.cohort.record import SlideRecord
from napari_prts.errors import PrtsError
from napari_prts.h5ad import read_h5ad
from tests.cohort.conftest import Cohort
from tests.cohort.running import do, once_begun, provenance, slide_processes


def test_a_slide_that_fails_stops_no_other(cohort: Cohort, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_text("not a slide")
    entries = (SlideEntry(str(broken), "broken"), SlideEntry("/no/such.svs", "gone"), "a")
    outcomes = do(cohort.request(tmp_path / "out", *entries), jobs=2)
    assert [outcomes[name].status for name in ("broken", "gone", "a")] == ["failed"] * 2 + ["done"]
    assert "is no slide that is known here" in outcomes["broken"].error
    assert "does not exist" in outcomes["gone"].error
    folder = tmp_path / "out" / "a"
    names = {path.name for path in folder.iterdir()}
    assert names == {"nuclei.geojson", "predicted.h5ad", "report", "done.json", "steps.json"} | {
        "log.txt",
        "study.json",
    }
    # It is opened like any study that was saved.
    study = napari_prts.open(folder)
    assert len(study.nuclei) == outcomes["a"].nuclei
    assert study.predicted is not None
    assert list(study.predicted.obs["id"]) == list(study.nuclei.ids)
    assert read_h5ad(folder / "predicted.h5ad").n_obs == outcomes["a"].nuclei
    assert "Traceback" in (tmp_path / "out" / "broken" / "log.txt").read_text()
    about = provenance(folder)
    assert about["settings"]["model_hash"] == cohort.settings.model_hash
    assert set(about["steps"]) == {"segment", "predict", "report"}

    # The same again: nothing is done, and files stay as they are.
    before = (folder / "predicted.h5ad").stat().st_mtime_ns
    assert do(cohort.request(tmp_path / "out", "a"))["a"].kept == ("segment", "predict", "report")
    assert (folder / "predicted.h5ad").stat().st_mtime_ns == before

    # Nuclei that were corrected in place are predicted again, and not written over.
    nuclei = folder / "nuclei.geojson"
    collection = json.loads(nuclei.read_text())
    collection["features"] = collection["features"][:40]
    nuclei.write_text(json.dumps(collection))
    outcome = do(cohort.request(tmp_path / "out", "a"))["a"]
    assert (outcome.kept, outcome.nuclei) == (("segment",), 40)

    # Other settings ask for other nuclei: the corrected ones are not thrown away for that.
    request = cohort.request(tmp_path / "out", replace(cohort.entry("a"), mpp=0.6))
    refused = do(request)["a"]
    assert refused.status == "failed"
    assert "nuclei.geojson was changed since the batch wrote it" in refused.error
    assert len(json.loads(nuclei.read_text())["features"]) == 40


def test_a_slide_whose_process_is_killed_is_tried_once_more(cohort: Cohort, tmp_path: Path) -> None:
    kill = once_begun("a", psutil.Process.kill)
    outcomes = do(cohort.request(tmp_path, "a"), kill)
    assert (outcomes["a"].status, outcomes["a"].attempts) == ("done", 2)


def test_a_slide_that_is_killed_twice_has_failed(cohort: Cohort, tmp_path: Path) -> None:
    kill = once_begun("a", psutil.Process.kill, times=2)
    outcome = do(cohort.request(tmp_path, "a"), kill)["a"]
    assert (outcome.status, outcome.attempts) == ("failed", 2)
    assert "SIGKILL" in outcome.error
    assert "--jobs" in outcome.error


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits are Linux's")
def test_a_full_disk_is_that_slides_failure(cohort: Cohort, tmp_path: Path) -> None:
    def fill(process: psutil.Process) -> None:
        process.rlimit(psutil.RLIMIT_FSIZE, (8_000, 8_000))

    outcome = do(cohort.request(tmp_path, "a"), once_begun("a", fill))["a"]
    assert outcome.status == "failed"
    assert "too large" in outcome.error
    assert not list((tmp_path / "a").glob(".*"))
    assert not (tmp_path / "a" / "done.json").exists()


def test_closing_ends_the_processes_and_frees_the_folder(cohort: Cohort, tmp_path: Path) -> None:
    request = cohort.request(tmp_path, "a", "b")
    with closing(run_batch(request, lambda: LocalPlace(2))) as job:
        while not isinstance(next(job).partial, StepProgress):
            pass
        assert slide_processes()
        with pytest.raises(PrtsError, match=r"Another batch \(process \d+ on .*\) is writing"):
            do(request)
    assert not slide_processes()
    # The lock is free: what is unknown now is only whether there is a model.
    with closing(run_batch(request, lambda: LocalPlace(1))) as job:
        assert next(job).total == 2


def test_another_slides_results_are_not_written_over(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    SlideRecord(str(cohort.slide("a")), fingerprint="that of a").write(tmp_path / "a")
    other = do(cohort.request(tmp_path, replace(cohort.entry("b"), name="a")))["a"]
    assert other.status == "failed"
    assert "holds the results of another slide" in other.error
    foreign = tmp_path / "b"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    refused = do(cohort.request(tmp_path, "b"))["b"]
    assert "holds other things than a slide's results (thesis.txt)" in refused.error
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]
