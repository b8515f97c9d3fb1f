"""Measure how near predictions come to the best possible on simulated Visium HD sections.

    python benchmarks/simulated_sections.py [--slides FOLDER] [--nuclei FOLDER] [--quick]

The sections of ``her2st`` (C2 to C5) are simulated with the same genes, one model is
trained on three of them and predicts the fourth; and the embedded slide, whose own left-out
region is predicted. Each encoder that needs no download is scored. The baseline is the PCC
of the true rates, which are known here, with the counts: the ratio is the share of the
ceiling. A second kind of figure is the ceiling as estimated from the counts alone against
that of the true rates, over genes with a mean count above 0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _figures import SHARED_DATA, tell

from napari_prts.analysis import EvaluateRequest, evaluate_fully
from napari_prts.expression import (
    ModelBundle,
    Section,
    TrainRequest,
    predict,
    train_sections,
)
from napari_prts.features import ExtractRequest, Features, FeatureStore, extract
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.formats.reading import read_nuclei_reported
from napari_prts.sample_data import demo_slide_path
from napari_prts.segmentation import SegmentRequest, segment
from napari_prts.slide import Slide, open_slide
from napari_prts.visium_hd import measure, read_space_ranger, simulate_visium_hd

HER2ST_MPP = 0.69
SECTIONS, TESTED = ("C2", "C3", "C4", "C5"), "C5"
ENCODERS = ("morphology", "unet", "morphology+unet")
GENES, LEAST_MEAN = 300, 0.1
# Nuclei of a section that are simulated and learned from: a third of the tissue says the same.
MOST_NUCLEI = 12_000


@dataclass(frozen=True, eq=False)
class Simulated:
    """A slide with its nuclei and what was measured on its simulated section."""

    slide: Slide
    nuclei: Nuclei
    measured: Any

    def with_features(self, encoder: str, store: FeatureStore) -> Section:
        """The section as one encoder sees it."""
        features: Features = run(
            extract(self.slide, self.nuclei, ExtractRequest(encoder=encoder), store)
        )
        return Section(features, self.measured, self.nuclei, self.slide)


def simulated(slide: Slide, nuclei: Nuclei, folder: Path) -> Simulated:
    """Simulate a section and measure it as a real one."""
    tell(f"simulating {slide.name}: {len(nuclei):,} nuclei")
    section = read_space_ranger(simulate_visium_hd(slide, nuclei, folder, genes=GENES, seed=0))
    measured = run(measure(slide, nuclei, section))
    tell(f"{measured.n_obs:,} cells, {int(measured.var['selected'].sum())} genes selected")
    return Simulated(slide, nuclei, measured)


def her2st_sections(slides: Path, nuclei: Path | None, folder: Path, most: int) -> list[Simulated]:
    """The four sections, each cut to the part around its middle."""
    found = []
    for name in SECTIONS:
        slide = open_slide(slides / f"{name}.jpg", mpp=HER2ST_MPP)
        kept = nuclei / f"{name}.parquet" if nuclei is not None else None
        if kept is not None and kept.is_file():
            outlined = read_nuclei_reported(kept, slide.shape).nuclei
        else:
            tell(f"finding the nuclei of {name}")
            outlined = run(segment(slide, SegmentRequest()))
        found.append(simulated(slide, _middle(outlined, most), folder / name))
    return found


def _middle(nuclei: Nuclei, most: int) -> Nuclei:
    away = np.abs(nuclei.centroids - np.median(nuclei.centroids, axis=0)).max(axis=1)
    return nuclei.take(np.sort(np.argsort(away, kind="stable")[:most]))


def show(name: str, ours: float, baseline: float, unit: str, target: str | None) -> None:
    line = {
        "name": name,
        "ours": round(ours, 4),
        "baseline": round(baseline, 4),
        "ratio": round(ours / baseline, 3),
        "unit": unit,
        "target": target,
    }
    print(json.dumps(line), flush=True)


def score(name: str, model: ModelBundle, section: Section, ceilings: bool) -> None:
    """Predict a section's cells and print the figures."""
    predicted = run(predict(section.features, section.nuclei, section.slide, model))
    request = EvaluateRequest(clusters=False, draws=200)
    scores = run(evaluate_fully(predicted, section.measured, request, model))
    known = scores.agreement.ceiling
    assert known is not None
    show(f"PCC, {name}", known.predicted, known.best, "mean PCC of varying genes", None)
    estimated = scores.ceiling
    if not ceilings or estimated is None:
        return
    common = scores.agreement.measured_mean > LEAST_MEAN
    common &= np.isfinite(known.pcc) & np.isfinite(estimated)
    differences = np.abs(estimated - known.pcc)[common]
    where = name.split(",")[0]
    show(
        f"ceiling estimated, {where}, mean of {int(common.sum())} genes",
        float(estimated[common].mean()),
        float(known.pcc[common].mean()),
        "PCC",
        "within 0.05",
    )
    show(
        f"ceiling estimated, {where}, largest difference (baseline: the mean one)",
        float(differences.max()),
        float(differences.mean()),
        "PCC",
        "ours < 0.05",
    )


def score_encoders(
    name: str, train: Sequence[Simulated], test: Simulated, store: FeatureStore, standardise: str
) -> None:
    """Train with each encoder and score it."""
    for number, encoder in enumerate(ENCODERS):
        sections = [part.with_features(encoder, store) for part in train]
        tested = test.with_features(encoder, store)
        model = run(train_sections(sections, TrainRequest(standardise=standardise)))
        score(f"{name}, {encoder}", model, tested, ceilings=number == 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--slides", type=Path, default=SHARED_DATA / "her2st")
    parser.add_argument("--nuclei", type=Path, help="folder with C2.parquet and so on")
    parser.add_argument("--most", type=int, default=MOST_NUCLEI, help="nuclei of a section")
    parser.add_argument("--quick", action="store_true", help="the embedded slide only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["NAPARI_PRTS_CACHE"] = str(folder / "cache")
        store = FeatureStore()
        slide = open_slide(demo_slide_path())
        whole = simulated(slide, run(segment(slide, SegmentRequest())), folder / "demo")
        score_encoders("embedded slide, region left out", [whole], whole, store, "all")
        if given.quick:
            return 0
        if not all((given.slides / f"{name}.jpg").is_file() for name in SECTIONS):
            tell(f"skipped: {given.slides} holds no C2.jpg to C5.jpg; give --slides")
            return 0
        sections = her2st_sections(given.slides, given.nuclei, folder, given.most)
        test = sections[SECTIONS.index(TESTED)]
        train = [each for each in sections if each is not test]
        for standardise in ("all", "section"):
            name = f"{TESTED} from three sections, standardised per {standardise}"
            score_encoders(name, train, test, store, standardise)
    return 0


if __name__ == "__main__":
    sys.exit(main())
