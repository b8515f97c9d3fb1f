"""``batch``: many slides by one command, as they are run overnight."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from napari_prts.cohort.lock import only_batch
from tests.cli.running import fail, invoke, succeed
from tests.cohort.conftest import Cohort
from tests.cohort.conftest import cohort as cohort
from tests.cohort.conftest import uncompiled as uncompiled
from tests.cohort.running import slide_processes, started, wait_until


def arguments(cohort: Cohort, output: Path, *slides: object) -> tuple[object, ...]:
    return ("batch", *slides, "--model", cohort.settings.model, "-o", output)


def table(cohort: Cohort, path: Path, *names: str, measured: str = "") -> Path:
    """A CSV of slides with their nuclei."""
    lines = [f"{cohort.slide(name)},{cohort.nuclei},{measured}" for name in names]
    path.write_text("\n".join(["slide,nuclei,measured", *lines]))
    return path


@pytest.fixture
def measured(cohort: Cohort, tmp_path: Path) -> Path:
    """Made-up counts of slide ``a``'s nuclei."""
    from napari_prts.h5ad import write_h5ad
    from napari_prts.nuclei import read_nuclei
    from napari_prts.slide import open_slide
    from tests.expression.sections import measure

    slide, nuclei = open_slide(cohort.slide("a")), read_nuclei(cohort.nuclei)
    rng = np.random.default_rng(1)
    activity = rng.normal(size=(len(nuclei), 2))
    return write_h5ad(measure(slide, nuclei, activity, rng, rng, True), tmp_path / "measured.h5ad")


def test_some_fail_and_the_status_says_so(
    cohort: Cohort, tmp_path: Path, measured: Path, uncompiled: None
) -> None:
    out, broken = tmp_path / "out", tmp_path / "broken.tif"
    broken.write_text("not a slide")
    cells = table(cohort, tmp_path / "cohort.csv", "a", measured=str(measured))
    result = invoke(*arguments(cohort, out, cells, broken), "--no-umap", "--jobs", 2)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"wrote {out}: 1 of 2 slides, ")
    assert "napari-prts: broken failed: " in result.stderr
    summary = pd.read_csv(out / "summary.csv", index_col="name")
    assert dict(summary["status"]) == {"a": "done", "broken": "failed"}
    assert summary.loc["a", "clusters"] >= 1
    assert -1 <= summary.loc["a", "pcc_mean"] <= 1
    assert "is no slide" in summary.loc["broken", "error"]
    report = out / "a" / "report"
    assert json.loads((report / "cells.json").read_text())["cells"] == summary.loc["a", "nuclei"]
    clusters = pd.read_csv(report / "clusters.csv")
    assert clusters["cells"].sum() == summary.loc["a", "nuclei"]
    names = {path.name for path in (report / "agreement").iterdir()}
    assert names == {"report.json", "genes.csv", "report.html"}


def test_killed_at_night_it_goes_on_in_the_morning(cohort: Cohort, tmp_path: Path) -> None:
    out, slides = tmp_path / "out", table(cohort, tmp_path / "cohort.csv", "a", "b")
    command = (*arguments(cohort, out, slides), "--no-clusters")
    with started(*command) as running:
        wait_until((out / "b" / "log.txt").exists)
        children = slide_processes(psutil.Process(running.pid))
        running.kill()
    # Nobody is left who would write beside the next run.
    assert not psutil.wait_procs(children, timeout=60)[1]
    assert not (out / "b" / "done.json").exists()
    before = (out / "a" / "predicted.h5ad").stat().st_mtime_ns
    said = succeed(*command)
    assert said.stdout.startswith(f"wrote {out}: 2 of 2 slides, ")
    assert "a: 64 nuclei" in said.stderr
    assert "done before (1 of 2)" in said.stderr
    assert (out / "a" / "predicted.h5ad").stat().st_mtime_ns == before
    kept = pd.read_csv(out / "summary.csv", index_col="name")["kept"].fillna("")
    assert kept["a"] == "segment predict report"
    assert "report" not in kept["b"]


def test_ctrl_c_stops_at_once(cohort: Cohort, tmp_path: Path) -> None:
    out, slides = tmp_path / "out", table(cohort, tmp_path / "cohort.csv", "a", "b")
    with started(*arguments(cohort, out, slides)) as running:
        wait_until((out / "a" / "steps.json").exists)
        children = slide_processes(psutil.Process(running.pid))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert running.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert children
    assert not psutil.wait_procs(children, timeout=60)[1]


def test_what_is_wrong_for_all_is_told_before_the_first(cohort: Cohort, tmp_path: Path) -> None:
    slide, out = cohort.slide("a"), tmp_path / "out"
    assert "/gone.tif does not exist" in fail(*arguments(cohort, out, "/gone.tif"))
    assert "no-model" in fail("batch", slide, "--model", "no-model", "-o", out)
    command = arguments(cohort, out, slide)
    assert "no-such-finder" in fail(*command, "--segmenter", "no-such-finder")
    assert "mpp is -1" in fail(*command, "--mpp", -1)
    both = fail(*command, "--jobs", 2, "--scheduler", "tcp://127.0.0.1:9")
    assert "either --jobs or --scheduler" in both
    assert not out.exists()
    (out / "thesis").mkdir(parents=True)
    assert "holds other things" in fail(*command)
    assert os.listdir(out) == ["thesis"]


def test_two_batches_do_not_share_a_folder(cohort: Cohort, tmp_path: Path) -> None:
    with only_batch(tmp_path / "out"):
        said = fail(*arguments(cohort, tmp_path / "out", cohort.slide("a")))
    assert f"Another batch (process {os.getpid()} on" in said


def test_a_scheduler_that_is_not_there(cohort: Cohort, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    command = arguments(cohort, tmp_path / "out", cohort.slide("a"))
    said = fail(*command, "--scheduler", "nonsense://somewhere")
    assert "No dask scheduler answers at nonsense://somewhere" in said
