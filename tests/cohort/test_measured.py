"""A Space Ranger folder in the list: its bins are summed into the batch's own nuclei."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from napari_prts.h5ad import read_h5ad
from napari_prts.jobs import run
from tests.cohort.conftest import Cohort
from tests.cohort.running import do


def test_bins_are_summed_into_the_nuclei(cohort: Cohort, tmp_path: Path) -> None:
    from napari_prts.nuclei import read_nuclei
    from napari_prts.slide import open_slide
    from napari_prts.visium_hd import simulate_job

    slide, nuclei = open_slide(cohort.slide("a")), read_nuclei(cohort.nuclei)
    run(simulate_job(slide, nuclei, tmp_path / "hd", genes=12, seed=0))
    entry = replace(cohort.entry("a"), measured=str(tmp_path / "hd"))
    outcome = do(cohort.request(tmp_path / "out", entry))["a"]
    measured = read_h5ad(tmp_path / "out" / "a" / "measured.h5ad")
    assert set(measured.obs["id"]) <= set(nuclei.ids)

    # The model of these tests knows made-up genes: there is nothing to compare. What the steps
    # before had found is told all the same.
    assert outcome.status == "failed"
    assert "None of the 24 predicted genes" in outcome.error
    assert set(outcome.seconds) == {"segment", "measure", "predict"}
    assert (outcome.nuclei, outcome.genes) == (len(nuclei), 24)
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["status"], row["nuclei"]) == ("failed", str(len(nuclei)))
