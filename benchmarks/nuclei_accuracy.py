"""Score a nucleus model on a folder of outlined tiles.

    python benchmarks/nuclei_accuracy.py FOLDER --mpp 0.25 --groups tnbc/05 tnbc/09

FOLDER holds ``NAME.png`` and ``NAME_labels.png``. Each line printed is one figure
as JSON: ours, a baseline of the same run, and their ratio. The baseline finds
nuclei without learning: Otsu's threshold of the haematoxylin stain (Ruifrok and
Johnston), touching nuclei split by a watershed of the distance to the border.

``--worst PICTURE.jpg`` draws the four tiles of lowest F1 with both outlines.

Without arguments the tiles of ../shared/data/nuclei/tnbc are scored whose patients
the model that ships has not seen; where that folder is absent, nothing is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from operator import itemgetter
from pathlib import Path

import numpy as np
from _figures import SHARED_DATA, tell
from numpy.typing import NDArray

from napari_prts.errors import PrtsError
from napari_prts.jobs import run
from napari_prts.segmentation import (
    LabelledTile,
    SegmentRequest,
    StarDistModel,
    load_model,
    read_labelled_folder,
    score,
    segment,
)
from napari_prts.segmentation.scoring import IOU_THRESHOLDS, NucleiScore, score_labels
from napari_prts.slide import Slide

# F1 at IoU 0.5 on patients left out of training: what the project asks of its weights.
TARGETS = {("f1", 0.5): 0.83}
# Diameters in um below which an object is dust and above which a watershed may split.
SMALLEST_UM, SPLIT_UM = 3.0, 6.0
# What is scored without arguments: patients left out of the training of the shipped weights.
TNBC, TNBC_MPP, TNBC_UNSEEN = SHARED_DATA / "nuclei" / "tnbc", 0.25, ["tnbc/05", "tnbc/09"]


def threshold_and_watershed(image: NDArray[np.uint8], mpp: float) -> NDArray[np.int32]:
    """Label nuclei by their stain alone."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.color import rgb2hed
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_objects
    from skimage.segmentation import watershed

    stain = gaussian_filter(rgb2hed(image)[..., 0], 0.5 / mpp)
    area = int(np.pi / 4 * (SMALLEST_UM / mpp) ** 2)
    nuclei = remove_small_objects(stain > threshold_otsu(stain), max_size=area)
    depth = gaussian_filter(distance_transform_edt(nuclei), 0.5 / mpp)
    peaks = peak_local_max(depth, min_distance=round(SPLIT_UM / 2 / mpp), labels=nuclei * 1)
    seeds = np.zeros(nuclei.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: NDArray[np.int32] = watershed(-depth, seeds, mask=nuclei).astype(np.int32)
    return labels


def figures(ours: NucleiScore, baseline: NucleiScore) -> list[dict[str, object]]:
    """One dict a figure."""
    lines: list[dict[str, object]] = []
    for what, iou in [(what, iou) for what in ("f1", "ap") for iou in IOU_THRESHOLDS]:
        our, base = getattr(ours, what)[iou], getattr(baseline, what)[iou]
        lines.append(
            {
                "name": f"nuclei {what} at IoU {iou:g}",
                "ours": round(our, 4),
                "baseline": round(base, 4),
                "ratio": round(our / base, 3) if base else None,
                "unit": "share",
                "target": TARGETS.get((what, iou)),
            }
        )
    return lines


def draw_worst(
    path: Path, model: StarDistModel, tiles: list[LabelledTile], mpp: float, count: int = 4
) -> None:
    """Draw the tiles of lowest F1 at IoU 0.5: outlined by hand green, found black."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    scored = sorted(
        ((score(model, [tile], mpp).f1[0.5], tile) for tile in tiles), key=itemgetter(0)
    )
    figure, axes = pyplot.subplots(1, count, figsize=(3.2 * count, 3.6), layout="constrained")
    for axis, (f1, tile) in zip(axes, scored, strict=False):
        axis.imshow(tile.image)
        slide = Slide.from_array(tile.image, mpp=mpp)
        found = run(segment(slide, SegmentRequest(model=model, tissue_only=False)))
        for number in np.unique(tile.labels[tile.labels > 0]):
            axis.contour(tile.labels == number, [0.5], colors="lime", linewidths=0.9)
        for outline in found.polygons():
            closed = np.concatenate([outline, outline[:1]])
            axis.plot(closed[:, 1], closed[:, 0], color="black", linewidth=0.8)
        axis.set(title=f"{tile.name}: F1 {f1:.2f}", xticks=[], yticks=[])
    figure.suptitle("Green: outlined by hand. Black: found.")
    figure.savefig(path, dpi=90)
    tell(f"drew {path}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--mpp", type=float, help="um per pixel of the tiles")
    parser.add_argument("--model", default="he-open")
    parser.add_argument("--groups", nargs="*", help="only these groups, such as tnbc/05")
    parser.add_argument("--worst", type=Path, metavar="PICTURE.jpg")
    given = parser.parse_args()
    if given.folder is None:
        if not TNBC.is_dir():
            tell(f"skipped: {TNBC} is absent; give a folder of outlined tiles")
            return 0
        given.folder, given.mpp = TNBC, given.mpp or TNBC_MPP
        given.groups = given.groups or TNBC_UNSEEN
    if given.mpp is None:
        parser.error("give --mpp, the um per pixel of the tiles")
    try:
        tiles = read_labelled_folder(given.folder)
        if given.groups:
            wanted = {group for part in given.groups for group in part.split(",")}
            tiles = [tile for tile in tiles if tile.group in wanted]
        model = load_model(given.model)
        ours = score(model, tiles, given.mpp)
        baseline = score_labels(
            (tile.labels, threshold_and_watershed(tile.image, given.mpp)) for tile in tiles
        )
    except PrtsError as error:
        print(error, file=sys.stderr)
        return 2
    for line in figures(ours, baseline):
        print(json.dumps(line))
    if given.worst is not None:
        draw_worst(given.worst, model, tiles, given.mpp)
    return 0


if __name__ == "__main__":
    sys.exit(main())
