"""Measure what shared tiles and lower precision cost in accuracy, on simulated sections.

    python benchmarks/shared_tiles.py [--slides FOLDER] [--nuclei FOLDER] [--most N] [--seeds N]

A ViT-S/16 at 256 px with random weights; C2 to C4 of her2st train, C5 is predicted, the middle
of each. The first figure is the share of the ceiling that a model reaches when trained and used
with shared tiles, against a tile for each nucleus; the second the mean PCC with features in the
machine's best precision against float32, with a model trained on the former.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _figures import SHARED_DATA, tell
from _her2st_slide import VIT
from simulated_sections import SECTIONS, Simulated, her2st_sections

from napari_prts.analysis import EvaluateRequest, evaluate_fully
from napari_prts.expression import ModelBundle, Section, TrainRequest, predict, train_sections
from napari_prts.features import EncoderShelf, ExtractRequest, FeatureStore, extract
from napari_prts.jobs import run

MOST, SEEDS = 1500, 3


@dataclass(frozen=True)
class Score:
    """Mean PCC of the genes whose true rate varies, and that of the true rates."""

    pcc: float
    best: float

    @property
    def share(self) -> float:
        """Of the ceiling."""
        return self.pcc / self.best


class Looks:
    """Sections as the encoder sees them, each way once."""

    def __init__(self, store: FeatureStore) -> None:
        self._store, self._shelf = store, EncoderShelf()

    def of(self, section: Simulated, request: ExtractRequest) -> Section:
        tell(f"{section.slide.name}: {request.tiles} tiles, {request.precision} precision")
        job = extract(section.slide, section.nuclei, request, self._store, shelf=self._shelf)
        return Section(run(job), section.measured, section.nuclei, section.slide)


def scored(model: ModelBundle, section: Section) -> Score:
    """Score a model on a section."""
    predicted = run(predict(section.features, section.nuclei, section.slide, model))
    request = EvaluateRequest(clusters=False, draws=100)
    known = run(evaluate_fully(predicted, section.measured, request, model)).agreement.ceiling
    assert known is not None
    return Score(float(known.predicted), float(known.best))


def trained(sections: list[Section], seed: int) -> ModelBundle:
    """Train on sections, each standardised by its own."""
    return run(train_sections(sections, TrainRequest(standardise="section", seed=seed)))


def show(name: str, ours: float, baseline: float, unit: str, target: str) -> None:
    """Print a figure with the difference that is allowed."""
    line = {
        "name": name,
        "ours": round(ours, 5),
        "baseline": round(baseline, 5),
        "ratio": round(ours / baseline, 4),
        "unit": unit,
        "target": target,
    }
    print(json.dumps(line), flush=True)


def compare(sections: list[Simulated], seeds: int, looks: Looks) -> None:
    """Train and score both ways."""
    means = {}
    for tiles in ("exact", "grid"):
        request = ExtractRequest(VIT, tiles=tiles)
        seen = [looks.of(section, request) for section in sections]
        models = [trained(seen[:-1], seed) for seed in range(seeds)]
        scores = [scored(model, seen[-1]) for model in models]
        means[tiles] = float(np.mean([score.share for score in scores]))
        if tiles == "exact":
            single = looks.of(sections[-1], ExtractRequest(VIT, precision="float32"))
            others = [scored(model, single).pcc for model in models]
            pccs = [score.pcc for score in scores]
            precision = seen[-1].features.settings["precision"]
            name = f"mean PCC with features in {precision} (baseline: float32)"
            show(name, np.mean(pccs), np.mean(others), "PCC", "within 0.001")
    name = f"share of the ceiling, shared tiles, mean of {seeds} seeds (baseline: a tile each)"
    show(name, means["grid"], means["exact"], "share", "within 0.01")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--slides", type=Path, default=SHARED_DATA / "her2st")
    parser.add_argument("--nuclei", type=Path, help="folder with C2.parquet and so on")
    parser.add_argument("--most", type=int, default=MOST, help="nuclei of a section")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    if not all((given.slides / f"{name}.jpg").is_file() for name in SECTIONS):
        tell(f"skipped: {given.slides} holds no C2.jpg to C5.jpg; give --slides")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sections = her2st_sections(given.slides, given.nuclei, folder, given.most)
        compare(sections, given.seeds, Looks(FeatureStore(folder / "store")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
