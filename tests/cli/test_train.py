"""Training from the command line: several sections, the ablation, cancelling and going on."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_prts.expression import load_bundle
from napari_prts.files import cache_folder
from napari_prts.h5ad import read_h5ad, write_h5ad
from napari_prts.jobs import run
from napari_prts.nuclei import write_geojson
from napari_prts.slide import Slide, open_slide
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job
from tests.cli.running import fail, succeed, write_slide
from tests.conftest import outlined_by_threshold


@dataclass(frozen=True)
class Files:
    """One section on disk."""

    slide: Path
    nuclei: Path
    measured: Path

    def options(self) -> tuple[object, ...]:
        return "--slide", self.slide, "--nuclei", self.nuclei, "--measured", self.measured


def make_files(folder: Path, name: str, slide: Slide, columns: slice) -> Files:
    """Write half of a slide with its nuclei and simulated counts."""
    path = write_slide(folder / f"{name}.tif", np.asarray(slide.levels[0])[:, columns])
    half = open_slide(path)
    nuclei = outlined_by_threshold(half)
    run(simulate_job(half, nuclei, folder / name, genes=20, seed=0))
    measured = run(measure(half, nuclei, read_space_ranger(folder / name)))
    files = Files(path, folder / f"{name}.geojson", folder / f"{name}.h5ad")
    write_geojson(nuclei, files.nuclei)
    write_h5ad(measured, files.measured)
    return files


@pytest.fixture(scope="module")
def halves(demo_slide: Slide, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Files]:
    folder = tmp_path_factory.mktemp("halves")
    middle = demo_slide.shape[1] // 2
    return (
        make_files(folder, "left", demo_slide, slice(0, middle)),
        make_files(folder, "right", demo_slide, slice(middle, None)),
    )


def options(*sections: Files) -> list[object]:
    return [option for section in sections for option in section.options()]


def test_several_sections_train_one_model(halves: tuple[Files, Files], tmp_path: Path) -> None:
    model = tmp_path / "model"
    said = succeed(
        *("train", *options(*halves), "-o", model, "--epochs", 2),
        *("--test-section", "right.tif", "--standardise", "section", "--use", "local"),
    ).stdout
    assert said.startswith(f"wrote {model}: model of ")
    assert "simulated cells of 2 sections" in said
    bundle = load_bundle(model)
    assert [slide.name for slide in bundle.slides] == ["left.tif", "right.tif"]
    assert (bundle.use, bundle.standardise) == ("local", "section")
    left, right = (slide["cells"] for slide in bundle.card["training"]["slides"])
    assert set(left) == {"train", "validation", "gap"}
    assert set(right) == {"test"}

    predicted = tmp_path / "predicted.h5ad"
    succeed(
        *("predict", halves[1].slide, "--nuclei", halves[1].nuclei),
        *("--model", model, "-o", predicted),
    )
    table = read_h5ad(predicted)
    assert set(table.obs["split"]) == {"test"}
    assert table.obs["nearest_training"].max() < bundle.training_counts.shape[0]


def test_ablate_writes_a_table_beside_the_model(
    halves: tuple[Files, Files], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    result = succeed(*("train", *options(halves[0]), "-o", model, "--epochs", 2, "--ablate"))
    with (tmp_path / "model-ablation.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["encoder"], line["use"]) for line in lines] == [
        ("morphology", use) for use in ("both", "local", "global")
    ]
    rows = json.loads((tmp_path / "model-ablation.json").read_text())["rows"]
    assert [row["baseline"] for row in rows] == [True, False, False]
    assert all(f"morphology, {row['use']}: {row['test_pcc']:.3f}" in result.stdout for row in rows)
    # The model asked for is written, whichever scores best.
    assert load_bundle(model).use == "both"
    assert load_bundle(model).card["metrics"]["test_pcc"] == rows[0]["test_pcc"]


def test_what_does_not_make_sections_is_refused(
    halves: tuple[Files, Files], tmp_path: Path
) -> None:
    left, right = halves
    output = ("-o", tmp_path / "model")
    assert "2 slides, 1 file of nuclei" in fail(
        "train", *left.options(), "--slide", right.slide, *output
    )
    assert "given twice" in fail("train", *options(left, left), *output)
    named = ("--test-section", "middle.tif")
    assert "there are left.tif, right.tif" in fail("train", *options(*halves), *output, *named)
    assert "--ablate" in fail("train", *left.options(), *output, "--against", "hipt-vit256")
    assert not (tmp_path / "model").exists()


CANCELLED = """
import os, signal, sys
from contextlib import contextmanager
# A test run in the background inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_prts.cli import main, train_command

@contextmanager
def watched(title):
    def report(progress):
        if getattr(progress.partial, "epoch", 0) == 3:
            os.kill(os.getpid(), {number})
    yield report

train_command.progress_bar = watched
sys.argv = ["napari-prts", *sys.argv[1:]]
main()
"""


def test_cancelled_it_keeps_the_best_model_and_goes_on_when_given_again(
    halves: tuple[Files, Files], tmp_path: Path
) -> None:
    number = signal.SIGTERM
    model, whole = tmp_path / "model", tmp_path / "whole"
    command = ["train", *map(str, options(halves[0])), "--epochs", "5", "-o"]
    code = CANCELLED.format(number=int(number))
    cancelled = [sys.executable, "-c", code, *command, str(model)]
    done = subprocess.run(cancelled, capture_output=True, text=True)
    assert done.returncode == 128 + number, done.stderr
    assert f"the best model so far is in {model}" in done.stderr
    kept = load_bundle(model).card
    assert kept["training"]["cancelled"] is True
    assert kept["metrics"]["epochs_run"] == 3
    states = cache_folder() / "training"
    assert len(list(states.iterdir())) == 1

    succeed(*command, model)
    assert not list(states.iterdir())
    succeed(*command, whole)
    assert load_bundle(model).hash == load_bundle(whole).hash


def test_a_finished_model_is_not_replaced_by_a_cancelled_one(
    halves: tuple[Files, Files], tmp_path: Path
) -> None:
    from napari_prts.cli.train_command import _may_be_replaced

    model = tmp_path / "model"
    assert _may_be_replaced(model)
    succeed("train", *options(halves[0]), "-o", model, "--epochs", 1)
    assert not _may_be_replaced(model)
