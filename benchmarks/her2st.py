"""Predict real spots from their cells: train on some sections, score on others.

    python benchmarks/her2st.py FOLDER --train C2,C3,C4 --test C5,B4 --encoder morphology+texture

FOLDER holds, for each section, ``NAME.jpg``, ``NAME.counts.tsv.gz`` and ``NAME.spots.tsv``.
Cells are predicted, and a spot is the mean of its cells (those whose centroid lies within its
radius of 50 um; of a spot without any, the 5 nearest). Everything is chosen on the training
sections. Each line printed is one figure as JSON: ours, a baseline of the same run, their ratio.

The score is the mean over genes of the Pearson correlation, over a section's spots, of
predicted and measured log1p of counts per 10,000; ``top 100`` that of the 100 best genes.
Baselines: ridge regression on 50 colour and texture numbers of the patch of 155 um around a
spot, and the same with numbers standardised by section. ``of ceiling`` is the score's share of
what a perfect predictor of the tissue would reach, by thinning the test section's counts.

Without FOLDER the sections of ../shared/data/her2st are used; where they are absent, nothing is
done. Nuclei are found first, which takes minutes a section, unless --nuclei has them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _figures import SHARED_DATA, tell
from _patches import patch_numbers
from numpy.typing import NDArray

from napari_prts.correlation import pcc_per_gene
from napari_prts.errors import PrtsError
from napari_prts.expression.spot_training import SpotModel, SpotSection, train_on_spots
from napari_prts.expression.spots import (
    SpotCells,
    Spots,
    cells_of_spots,
    log_per,
    read_spots,
    variable_genes,
)
from napari_prts.features import ExtractRequest, Features, FeatureStore, extract
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, read_nuclei, write_nuclei
from napari_prts.segmentation import segment
from napari_prts.slide import Slide, open_slide

HER2ST, MPP = SHARED_DATA / "her2st", 0.69
# What the project asks for on both sections.
TARGET = 0.25
TOP = 100
PENALTIES = np.logspace(-1, 5, 13)
Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class Section:
    """One section, as far as it depends on no encoder."""

    name: str
    slide: Slide
    spots: Spots
    nuclei: Nuclei
    cells: SpotCells
    patches: Matrix

    @classmethod
    def of(cls, folder: Path, name: str, mpp: float, nuclei: Path | None) -> Section:
        spots = read_spots(folder / f"{name}.counts.tsv.gz", folder / f"{name}.spots.tsv")
        slide = open_slide(folder / f"{name}.jpg", mpp=mpp)
        found = _nuclei(slide, name, nuclei)
        cells = cells_of_spots(spots, found.centroids, mpp)
        tell(
            f"{name}: {len(spots)} spots, {len(found):,} nuclei, {np.median(cells.cells):.0f} in "
            f"a spot, {cells.empty.sum()} spots without"
        )
        return cls(name, slide, spots, found, cells, patch_numbers(slide, spots.centres))

    def features(self, encoder: str, store: FeatureStore | None) -> Features:
        tell(f"{self.name}: features by {encoder}")
        return run(extract(self.slide, self.nuclei, ExtractRequest(encoder), store))

    @property
    def centroids_um(self) -> Matrix:
        return self.nuclei.centroids * np.float32(self.slide.require_mpp())


def _nuclei(slide: Slide, name: str, folder: Path | None) -> Nuclei:
    """Nuclei from a folder, else found, and kept there if one is given."""
    for suffix in ("parquet", "geojson"):
        if folder is not None and (path := folder / f"{name}.{suffix}").exists():
            return read_nuclei(path)
    tell(f"{name}: finding nuclei")
    found = run(segment(slide))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_nuclei(found, folder / f"{name}.parquet")
    return found


def score(predicted: Matrix, measured: Matrix) -> tuple[float, float]:
    """Mean PCC over genes, and over the best 100; a gene where it is not defined counts 0."""
    pcc = np.sort(np.nan_to_num(pcc_per_gene(predicted, measured)))
    return float(pcc.mean()), float(pcc[-TOP:].mean())


def ceiling(spots: Spots, genes: tuple[str, ...], seed: int = 0) -> float:
    """Mean over genes of the best possible PCC.

    Counts are split at random into two halves that measure the same tissue independently. The
    correlation r of the halves tells the reliability of half the counts; that of all is
    2 r / (1 + r) (Spearman and Brown), and its root is the most that anything that does not
    know the noise can correlate with them.
    """
    rng = np.random.default_rng(seed)
    counts = spots.counts.toarray().round().astype(np.int64)
    half = rng.binomial(counts, 0.5)
    column = [spots.genes.index(gene) for gene in genes]
    logs = [log_per(part[:, column], part.sum(1)) for part in (half, counts - half)]
    r = np.clip(np.nan_to_num(pcc_per_gene(*logs)), 0, 1)
    return float(np.sqrt(2 * r / (1 + r)).mean())


def simple_ridge(
    train: list[tuple[Matrix, Matrix]], test: list[Matrix], per_section: bool
) -> list[Matrix]:
    """Ridge from patches to genes; its penalty is chosen by leaving out training sections."""
    from sklearn.linear_model import Ridge

    def scaled(parts: list[Matrix], by: list[Matrix]) -> list[Matrix]:
        if per_section:
            return [(part - part.mean(0)) / (part.std(0) + 1e-9) for part in parts]
        whole = np.concatenate(by)
        return [(part - whole.mean(0)) / (whole.std(0) + 1e-9) for part in parts]

    def fitted(some: list[tuple[Matrix, Matrix]], wanted: list[Matrix], penalty: float):
        numbers = [x for x, _ in some]
        model = Ridge(alpha=penalty)
        model.fit(np.concatenate(scaled(numbers, numbers)), np.concatenate([y for _, y in some]))
        return [model.predict(part) for part in scaled(wanted, numbers)]

    def left_out(penalty: float) -> float:
        scores = []
        for index, (x, y) in enumerate(train):
            others = train[:index] + train[index + 1 :]
            scores.append(score(fitted(others, [x], penalty)[0], y)[0])
        return float(np.mean(scores))

    return fitted(train, test, max(PENALTIES, key=left_out))


def learn(
    sections: list[Section],
    features: list[Features],
    genes: tuple[str, ...],
) -> SpotModel:
    measured = [
        SpotSection(
            known,
            section.centroids_um,
            section.cells,
            section.spots.log_expression(genes),
            np.asarray(section.spots.counts.sum(1)).ravel(),
        )
        for section, known in zip(sections, features, strict=True)
    ]
    model = run(train_on_spots(measured, genes))
    tell(f"{model.encoder}: mean PCC {model.score:.4f} on left-out training sections")
    for one in model.maps:
        kept = " ".join(f"{share:.2f}" for share in one.shrinkage)
        tell(f"  surroundings {one.surroundings_um} um, penalty {one.penalty:g}, kept {kept}")
    return model


def show(name: str, ours: float, baseline: float, target: float | None) -> None:
    line = {
        "name": name,
        "ours": round(ours, 4),
        "baseline": round(baseline, 4),
        "ratio": round(ours / baseline, 3) if baseline > 0 else None,
        "unit": "PCC" if "of ceiling" not in name else "share",
        "target": target,
    }
    print(json.dumps(line), flush=True)


def measure(given: argparse.Namespace) -> None:
    names = [*given.train, *given.test]
    sections = {
        name: Section.of(given.folder, name, given.mpp, given.nuclei)
        for name in dict.fromkeys(names)
    }
    train, test = ([sections[name] for name in part] for part in (given.train, given.test))
    genes = variable_genes(
        [section.spots for section in train],
        measured_in=[section.spots for section in sections.values()],
    )
    tell(f"{len(genes):,} genes")
    patches = [(section.patches, section.spots.log_expression(genes)) for section in train]
    simple = {
        how: simple_ridge(patches, [section.patches for section in test], how == "by section")
        for how in ("overall", "by section")
    }
    store = None if given.store is None else FeatureStore(given.store)
    for encoder in given.encoder:
        model = learn(train, [section.features(encoder, store) for section in train], genes)
        for index, section in enumerate(test):
            cells = model.predict(section.features(encoder, store), section.centroids_um)
            measured = section.spots.log_expression(genes)
            ours = score(section.cells.means(cells), measured)
            most = ceiling(section.spots, genes)
            for how, predicted in simple.items():
                base = score(predicted[index], measured)
                what = f"her2st {section.name} {encoder} against patches scaled {how}"
                show(f"{what}, mean", ours[0], base[0], TARGET)
                show(f"{what}, top {TOP}", ours[1], base[1], None)
                show(f"{what}, of ceiling {most:.3f}", ours[0] / most, base[0] / most, None)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = {"type": lambda text: text.split(","), "metavar": "NAME,..."}
    parser.add_argument("folder", type=Path, nargs="?", default=HER2ST)
    parser.add_argument("--train", default=["C2", "C3", "C4"], **names)
    parser.add_argument("--test", default=["C5", "B4"], **names)
    parser.add_argument("--mpp", type=float, default=MPP, help="um per pixel of the pictures")
    parser.add_argument(
        "--encoder", default=["morphology", "texture", "morphology+texture"], **names
    )
    parser.add_argument("--nuclei", type=Path, help="folder of NAME.parquet; found if absent")
    parser.add_argument("--store", type=Path, help="folder where features are kept")
    given = parser.parse_args()
    if not given.folder.is_dir():
        tell(f"skipped: {given.folder} is absent; give a folder of sections")
        return 0
    try:
        measure(given)
    except PrtsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
