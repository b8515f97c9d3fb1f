"""The slide that predictions are timed on: a section of her2st, or else the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _figures import SHARED_DATA, tell
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

HER2ST_MPP = 0.69
VIT = "random-vit:vit_small_patch16_224,img_size=256"


def slide_with_nuclei(path: Path | None, kept: Path | None) -> tuple[Slide, Nuclei]:
    """Open a slide and read its nuclei, or find them.

    Parameters
    ----------
    path : path or None
        A JPEG of her2st; by default C2 where it is, else the embedded slide.
    kept : path or None
        A file with its nuclei.
    """
    from napari_prts.jobs import run
    from napari_prts.nuclei.formats.reading import read_nuclei_reported
    from napari_prts.sample_data import demo_slide_path
    from napari_prts.segmentation import SegmentRequest, segment
    from napari_prts.slide import open_slide

    section = SHARED_DATA / "her2st" / "C2.jpg"
    if path is None and not section.is_file():
        tell("her2st is not here: the embedded slide in its place")
        slide = open_slide(demo_slide_path())
    else:
        slide = open_slide(path or section, mpp=HER2ST_MPP)
    if kept is not None:
        return slide, read_nuclei_reported(kept, slide.shape).nuclei
    tell(f"finding the nuclei of {slide.name}")
    return slide, run(segment(slide, SegmentRequest()))


def mosaic(slide: Slide, nuclei: Nuclei, cells: int) -> tuple[Slide, Nuclei]:
    """Lay a slide beside itself as often as it takes for so many nuclei."""
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

    pixels = np.asarray(slide.levels[0])
    times = -(-cells // len(nuclei))
    aside = [np.array((0, number * pixels.shape[1])) for number in range(times)]
    outlines = [ring + offset for offset in aside for ring in nuclei.polygons()]
    larger = Slide.from_array(np.tile(pixels, (1, times, 1)), slide.mpp, f"{times} x {slide.name}")
    return larger, Nuclei.from_polygons(outlines[:cells])


def around_middle(nuclei: Nuclei, most: int) -> NDArray[np.intp]:
    """Positions of the nuclei nearest to the middle of them all, in a square."""
    away = np.abs(nuclei.centroids - np.median(nuclei.centroids, axis=0)).max(axis=1)
    chosen: NDArray[np.intp] = np.sort(np.argsort(away, kind="stable")[:most])
    return chosen


def gain(name: str, ours: float, baseline: float, unit: str, target: str | None) -> dict[str, Any]:
    """One figure of which more is better; the ratio is ours over the baseline's."""
    return {
        "name": name,
        "ours": float(f"{ours:.4g}"),
        "baseline": float(f"{baseline:.4g}"),
        "ratio": round(ours / baseline, 3),
        "unit": unit,
        "target": target,
    }
