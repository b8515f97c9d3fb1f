"""Take 200 cells measured by Xenium through the whole path: read, find nuclei, train, score.

    python benchmarks/xenium.py [FOLDER]

FOLDER holds one .h5ad (raw counts; ``obs["x_pixel"]`` is the row, ``obs["y_pixel"]`` the
column) and the .jpg it lies on, as DeepSpot's example data do. 200 cells are too few to
train well: the figures say what comes out, not what the method can do. Five models are
trained, each without a fifth of the cells, and each cell is predicted by the one that has
not seen it. The baseline is the gene's mean in the training cells for RMSE, and the
estimated ceiling for PCC.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _figures import SHARED_DATA, tell
from numpy.typing import NDArray

from napari_prts.analysis import ceiling_from_counts
from napari_prts.correlation import pcc_per_gene
from napari_prts.expression import Section, TrainRequest, predict, train_sections
from napari_prts.features import ExtractRequest, FeatureStore, extract
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, Source
from napari_prts.segmentation import SegmentRequest, segment
from napari_prts.slide import Slide, open_slide

# A cell is some 10 um and 20 px wide; the data do not say the scale.
MPP = 0.5
NEAR_UM, RADIUS_UM = 4.0, 3.0
FOLDS = 5
GENES = 100


def nuclei_of(slide: Slide, places: NDArray[np.float64]) -> Nuclei:
    """One nucleus a cell: the one found there, or else a small circle."""
    found = run(segment(slide, SegmentRequest()))
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=1) * RADIUS_UM / MPP
    outlines, used = [], set()
    for place in places:
        away = np.linalg.norm(found.centroids - place, axis=1) * MPP
        nearest = int(np.argmin(away)) if len(found) else -1
        if nearest >= 0 and away[nearest] < NEAR_UM and nearest not in used:
            used.add(nearest)
            outlines.append(found.polygon(nearest))
        else:
            outlines.append((circle + place).astype(np.float32))
    tell(f"{len(used)} of {len(places)} cells have a nucleus found there, the rest a circle")
    return Nuclei.from_polygons(outlines, source=Source.IMPORTED)


def cross_validated(slide: Slide, nuclei: Nuclei, measured: Any, encoder: str) -> NDArray[Any]:
    """Expression of each cell by a model that has not seen it, (cells, genes)."""
    features = run(extract(slide, nuclei, ExtractRequest(encoder=encoder), FeatureStore()))
    folds = np.random.default_rng(0).permutation(len(nuclei)) % FOLDS
    predicted = np.full(measured.shape, np.nan)
    for fold in range(FOLDS):
        kept = measured[folds != fold].copy()
        section = Section(features, kept, nuclei, slide)
        model = run(train_sections([section], TrainRequest(genes="all", epochs=60)))
        cells = run(predict(features, nuclei, slide, model))
        predicted[folds == fold] = cells.X[folds == fold]
    return predicted


def show(name: str, ours: float, baseline: float, unit: str) -> None:
    line = {"name": name, "ours": round(ours, 4), "baseline": round(baseline, 4)}
    line |= {"ratio": round(ours / baseline, 3), "unit": unit, "target": None}
    print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED_DATA / "xenium_ncbi858")
    folder = parser.parse_args().folder
    tables, images = sorted(folder.glob("*.h5ad")), sorted(folder.glob("*.jpg"))
    if not tables or not images:
        tell(f"skipped: {folder} holds no .h5ad and .jpg of Xenium cells")
        return 0
    import anndata

    table = anndata.read_h5ad(tables[0])
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NAPARI_PRTS_CACHE"] = temporary
        slide = open_slide(images[0], mpp=MPP)
        nuclei = nuclei_of(slide, table.obs[["x_pixel", "y_pixel"]].to_numpy(np.float64))
        counts = np.asarray(table.X, np.float32)
        common = np.argsort(-counts.mean(0), kind="stable")[:GENES]
        measured = anndata.AnnData(counts[:, common], var=table.var.iloc[common])
        measured.obs["id"] = nuclei.ids
        measured.obsm["spatial"] = nuclei.centroids[:, ::-1]
        logged = np.log1p(measured.X)
        ceiling = ceiling_from_counts(measured.X)
        constant = float(np.sqrt(logged.var(0)).mean())
        for encoder in ("morphology", "unet"):
            predicted = np.log1p(cross_validated(slide, nuclei, measured, encoder))
            found = float(np.nan_to_num(pcc_per_gene(predicted, logged)).mean())
            show(
                f"PCC of {GENES} genes, 200 cells, {encoder}",
                found,
                float(np.nanmean(ceiling)),
                "mean PCC",
            )
            rmse = float(np.sqrt(((predicted - logged) ** 2).mean(0)).mean())
            show(f"RMSE of {GENES} genes, 200 cells, {encoder}", rmse, constant, "log1p counts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
