"""How much better nuclei are found after learning from corrected regions.

    python benchmarks/fine_tuning.py [--quick]

Real tiles with outlined nuclei (../shared/data/nuclei) are laid out as a slide: tiles of
laboratories and patients that the shipped model was not trained on, as they are or in
another stain. Half of the tiles are corrected regions, from which the model learns; on
the other half, of which tuning sees nothing, F1 at IoU 0.5 is taken. Each line printed is
one figure as JSON: ours is the tuned model, the baseline the shipped one, in the same run.
Where the folder is absent, nothing is done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import cv2
import numpy as np
from _figures import SHARED_DATA, tell
from numpy.typing import NDArray

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, read_labels
from napari_prts.segmentation import load_model, read_labelled_folder
from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.fine_tuning import FineTuneRequest, fine_tune
from napari_prts.segmentation.fine_tuning_deal import held_pictures
from napari_prts.segmentation.fine_tuning_regions import Corrected
from napari_prts.segmentation.fine_tuning_scoring import scores_at
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.model import StarDistModel
from napari_prts.slide import Slide

FOLDER = SHARED_DATA / "nuclei"
Region = tuple[float, float, float, float]
_GAP = 48


@dataclass(frozen=True, eq=False)
class Section:
    """Tiles laid out as one slide, half of them corrected."""

    name: str
    slide: Slide
    nuclei: Nuclei
    corrected: tuple[Region, ...]
    left_out: tuple[Region, ...]


# Optical density of haematoxylin, eosin and a residual (Ruifrok and Johnston), and what
# stands in their places in a section of another stain: brown nuclei on a blue ground.
_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_BROWN_ON_BLUE = np.array([[0.2, 0.5, 0.9], [0.8, 0.5, 0.1], [0.1, 0.1, 0.1]])
# um; thick sections and poor scans are about as blurred.
_OUT_OF_FOCUS_UM = 1.25


def brown_on_blue(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give H&E other colours."""
    density = -np.log((image.astype(np.float64) + 1) / 256)
    changed = density @ np.linalg.inv(_HED) @ _BROWN_ON_BLUE
    return np.clip(np.exp(-changed) * 256 - 1, 0, 255).astype(np.uint8)


def pale_and_blurred(image: NDArray[np.uint8], mpp: float) -> NDArray[np.uint8]:
    """Weaken haematoxylin, and take the picture out of focus."""
    weaker = np.concatenate([_HED[:1] * 0.46, _HED[1:]])
    density = -np.log((image.astype(np.float64) + 1) / 256)
    pale = np.exp(-density @ np.linalg.inv(_HED) @ weaker) * 256 - 1
    whole = np.clip(pale, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(whole, (0, 0), _OUT_OF_FOCUS_UM / mpp), np.uint8)


def laid_out(name: str, tiles: Sequence[LabelledTile], mpp: float, seed: int) -> Section:
    """Lay tiles out on white glass; a seed decides which half is corrected."""
    side = max(max(tile.labels.shape) for tile in tiles) + _GAP
    across = int(np.ceil(np.sqrt(len(tiles))))
    down = -(-len(tiles) // across)
    image = np.full((down * side + _GAP, across * side + _GAP, 3), 244, np.uint8)
    labels = np.zeros(image.shape[:2], np.int32)
    regions: list[Region] = []
    for number, tile in enumerate(tiles):
        row, column = (_GAP + at * side for at in divmod(number, across))
        height, width = tile.labels.shape
        place = (slice(row, row + height), slice(column, column + width))
        image[place] = tile.image
        labels[place] = np.where(tile.labels, tile.labels + labels.max(), 0)
        regions.append((float(row), float(column), float(height), float(width)))
    order = np.random.default_rng(seed).permutation(len(regions))
    half = len(regions) // 2
    return Section(
        name,
        Slide.from_array(image, mpp=mpp, name=name),
        read_labels(labels),
        tuple(regions[i] for i in sorted(order[:half])),
        tuple(regions[i] for i in sorted(order[half:])),
    )


def f1_left_out(model: StarDistModel, section: Section) -> float:
    """F1 at IoU 0.5 on the tiles that tuning has not seen."""
    corrected = Corrected.of(section.slide, section.nuclei, section.left_out)
    patches = run(corrected.patches(section.slide, model.mpp))  # type: ignore[arg-type]
    limits = measure_limits(section.slide, model.mpp, model.percentiles)
    held = held_pictures(corrected, patches, corrected.shape, limits)
    looking = scores_at(model.network, held, [model.prob_threshold], model.nms_threshold)
    scores = run(looking)  # type: ignore[arg-type]
    return float(scores[model.prob_threshold].f1[0.5])


def sections(seed: int) -> list[Section]:
    tnbc = [t for t in read_labelled_folder(FOLDER / "tnbc") if t.group in ("tnbc/05", "tnbc/09")]
    brown = [replace(tile, image=brown_on_blue(tile.image)) for tile in tnbc]
    blurred = [replace(tile, image=pale_and_blurred(tile.image, 0.25)) for tile in tnbc]
    purple = [
        t for t in read_labelled_folder(FOLDER / "dsb2018_he") if t.group == "dsb2018_he/fold0"
    ]
    return [
        laid_out("another laboratory's slides", purple, 0.33, seed),
        laid_out("pale and out of focus", blurred, 0.25, seed),
        laid_out("another stain", brown, 0.25, seed),
        laid_out("a kind the model knows", tnbc, 0.25, seed),
    ]


def tuned(section: Section, request: FineTuneRequest) -> StarDistModel:
    """Tune, and say on the way what came of it and how long it took."""
    started = perf_counter()
    result = run(fine_tune(section.slide, section.nuclei, request))
    tell(f"{result.words} ({(perf_counter() - started) / 60:.1f} min)")
    return result.model


def show(name: str, ours: float, baseline: float, target: str | None) -> None:
    """Print one figure of which more is better."""
    line = {
        "name": name,
        "ours": round(ours, 4),
        "baseline": round(baseline, 4),
        "ratio": round(ours / max(baseline, 1e-9), 3),
        "unit": "share",
        "target": target,
    }
    print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one section, few steps")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=FineTuneRequest.steps)
    parser.add_argument("--batch", type=int, default=FineTuneRequest.batch)
    parser.add_argument("--frozen", nargs="+", default=["encoder", "none"])
    parser.add_argument("--learning-rate", type=float, default=FineTuneRequest.learning_rate)
    parser.add_argument("--pull", type=float, default=FineTuneRequest.pull)
    parser.add_argument("--sections", type=int, nargs="+", default=[0, 1, 2, 3])
    given = parser.parse_args()
    if not FOLDER.is_dir():
        tell(f"skipped: {FOLDER} is absent")
        return 0
    seeds = range(1 if given.quick else given.seeds)
    chosen = [1] if given.quick else given.sections
    base = load_model()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_PRTS_DATA"] = folder
        for seed in seeds:
            made = sections(seed)
            for section in (made[number] for number in chosen):
                for frozen in given.frozen:
                    request = FineTuneRequest(
                        name=f"{section.name} {frozen} {seed}".replace("'", ""),
                        regions=section.corrected,
                        frozen=frozen,
                        minutes=None if given.quick else given.minutes,
                        steps=16 if given.quick else given.steps,
                        batch=given.batch,
                        learning_rate=given.learning_rate,
                        pull=given.pull,
                        seed=seed,
                    )
                    model = tuned(section, request)
                    how = f"{section.name}, frozen {frozen}, seed {seed}"
                    after = f1_left_out(model, section)
                    new = section is not made[-1]
                    name = f"F1 on tiles left out, {how}"
                    show(name, after, f1_left_out(base, section), "ratio > 1" if new else None)
                    if new and not given.quick:
                        kept = f1_left_out(model, made[-1])
                        name = f"F1 on the kind known before, after {how}"
                        show(name, kept, f1_left_out(base, made[-1]), None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
