"""Measure the finding of nuclei against StarDist under Keras, on the same cores.

    python benchmarks/segmentation.py [--quick] [--keras PYTHON] [--data FOLDER]

Keras runs in an environment of its own, whose Python is --keras or the environment
variable NAPARI_PRTS_KERAS; both sides have the same pixels, weights, thresholds and
limits of the stain. Each line printed is one figure as JSON. The sides take turns, so
that other work on the machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import cv2
import numpy as np
from _figures import SHARED_DATA, seconds_of, show_cost, tell
from _slides import section
from numpy.typing import NDArray

MAKE_KERAS = "uv venv /tmp/tf && VIRTUAL_ENV=/tmp/tf uv pip install tensorflow-cpu stardist"
# Part of C2 that is four fifths tissue: (row, column) of its corner.
CORNER = (3776, 3424)
SIDES = (512, 1024, 1216, 2048)
LEAST_IOU = 0.9
# Beyond an image's border StarDist mirrors it and we take glass, which the network sees from here:
# nuclei nearer to it are not compared.
BORDER = 128
# Where both sides mirror, but StarDist drops points at the border.
TILE_BORDER = 16
TNBC_MPP = 0.25

Polygons = NDArray[np.float32]


@dataclass(frozen=True)
class Counts:
    """How often things are done, and on how many pixels."""

    passes: int = 7
    slides: int = 3
    side: int = 4096
    tiles: int = 5


QUICK = Counts(passes=3, slides=1, side=2048, tiles=2)


class Keras:
    """A process with StarDist under Keras that answers requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, what: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": what, **request}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("Keras ended; its last words are above")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def keras_process(python: str, model: Any, folder: Path) -> Iterator[Keras]:
    """Start Keras with the weights of a model of ours; it ends with the block."""
    from napari_prts.segmentation.keras_weights import module_names

    state, weights = model.network.state_dict(), {}
    for name, module in module_names(model.config).items():
        weights[f"{name}/kernel"] = state[f"{module}.weight"].numpy().transpose(2, 3, 1, 0)
        weights[f"{name}/bias"] = state[f"{module}.bias"].numpy()
    np.savez(folder / "weights.npz", **weights)
    config = {
        "n_rays": model.config.n_rays,
        "grid": model.config.grid,
        "n_channel_in": model.config.n_channel_in,
        "unet_n_depth": model.config.depth,
        "unet_n_filter_base": model.config.filters,
        "net_conv_after_unet": model.config.features,
    }
    thresholds = {"prob": model.prob_threshold, "nms": model.nms_threshold}
    script = Path(__file__).with_name("_keras_stardist.py")
    with subprocess.Popen(
        [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        keras = Keras(process)
        keras.ask("load", config=config, thresholds=thresholds, weights=str(folder / "weights.npz"))
        yield keras


def measure_passes(model: Any, keras: Keras, counts: Counts) -> None:
    """One forward pass with each runtime, noise of several sizes."""
    from napari_prts.segmentation.runner import Runner

    runners = {name: Runner(model, name) for name in ("torch-bf16", "ncnn", "torch-cpu")}
    for side in SIDES:
        image = np.random.default_rng(0).random((side, side, 3), np.float32)
        calls = {name: partial(look, runner, image) for name, runner in runners.items()}
        calls["keras"] = partial(keras_pass, keras, side)
        # The first pass of each compiles or allocates.
        for call in calls.values():
            call()
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(counts.passes):
            for name, call in calls.items():
                taken[name].append(call())
        for name in runners:
            pairs = zip(taken[name], taken["keras"], strict=True)
            ratio = median(theirs / mine for mine, theirs in pairs)
            show_cost(
                f"forward_pass_{side} {name}",
                median(taken[name]),
                median(taken["keras"]),
                f"s a pass of {side} x {side}",
                None,
                ratio,
            )


def look(runner: Any, image: NDArray[np.float32]) -> float:
    """Seconds of a pass; nothing is likelier than certain, so the network is all there is."""
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    # In a thread of its own, as on a slide: OpenMP's threads spin less there.
    with ThreadPoolExecutor(1) as thread:
        work = partial(runner.candidates, image, 1.0, whole)
        return thread.submit(seconds_of, work).result()


def keras_pass(keras: Keras, side: int) -> float:
    """Seconds of a pass there."""
    return float(keras.ask("forward", side=side)["seconds"])


def measure_slide(image: Path, model: Any, keras: Keras, folder: Path, counts: Counts) -> None:
    """All nuclei of many megapixels of tissue, from pixels to polygons without overlaps."""
    from napari_prts.jobs import run
    from napari_prts.segmentation import SegmentRequest, segment
    from napari_prts.segmentation.ground import measure_limits
    from napari_prts.slide import Slide

    row, column = CORNER
    pixels = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    pixels = np.ascontiguousarray(pixels[row : row + counts.side, column : column + counts.side])
    request = SegmentRequest(model=model, tissue_only=False, device="cpu")
    # The model's own scale, so that neither side resamples.
    limits = measure_limits(Slide.from_array(pixels, mpp=model.mpp), model.mpp, model.percentiles)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for number in range(counts.slides):
        os.environ["NAPARI_PRTS_CACHE"] = str(folder / f"cache{number}")
        slide = Slide.from_array(pixels, mpp=model.mpp)
        started, worked = perf_counter(), process_time()
        nuclei = run(segment(slide, request))
        ours.append((perf_counter() - started, process_time() - worked))
        answer = keras_nuclei(keras, pixels, limits, folder)
        theirs.append((answer["seconds"], answer["cpu"]))
    megapixels = round(counts.side**2 / 1e6)
    name = f"segment_{megapixels}_megapixels"
    # On a machine that does other work too, the seconds of its cores say more than the clock's.
    units = {name: "s", f"{name}, cores": "s of all cores"}
    for which, (name, unit) in enumerate(units.items()):
        mine, base = ([pair[which] for pair in taken] for taken in (ours, theirs))
        ratio = median(b / m for m, b in zip(mine, base, strict=True))
        target = None if which else "ratio >= 2.5"
        show_cost(name, median(mine), median(base), unit, target, ratio)
    wanted = np.load(folder / "polygons.npy")
    polygons = np.array([nucleus.exterior.coords[:-1] for nucleus in nuclei.shapely()], np.float32)
    # Shapely has (x, y).
    polygons = polygons[..., ::-1]
    share = f1(inside(polygons, counts.side), inside(wanted, counts.side))
    show_share("nuclei_of_tissue_as_keras", share)


def keras_nuclei(
    keras: Keras, pixels: NDArray[np.uint8], limits: Any, folder: Path
) -> dict[str, Any]:
    """StarDist's own way through a large image; its polygons are left in the folder."""
    np.save(folder / "pixels.npy", pixels)
    side = max(pixels.shape[:2])
    parts, around = max(1, side // 1024), min(128, side // 8)
    return keras.ask(
        "whole",
        image=str(folder / "pixels.npy"),
        low=limits.low,
        high=limits.high,
        # One block is its quickest: every further one is looked at with an overlap.
        block=side,
        overlap=around,
        context=around,
        n_tiles=[parts, parts, 1],
        polygons=str(folder / "polygons.npy"),
    )


def measure_tiles(data: Path, model: Any, keras: Keras, folder: Path, counts: Counts) -> None:
    """Agreement on small images of several patients."""
    from napari_prts.segmentation.normalisation import Normalisation
    from napari_prts.segmentation.runner import Runner

    runner = Runner(model, "cpu")
    shares = []
    for path in sorted((data / "nuclei" / "tnbc").glob("*_1.png"))[: counts.tiles]:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        small = TNBC_MPP / model.mpp
        image = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        # StarDist's blocks must be multiples of the grid, and no larger than the image.
        image = image[: image.shape[0] // 16 * 16, : image.shape[1] // 16 * 16]
        limits = Normalisation.from_pixels(image, *model.percentiles)
        inner = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        found = runner.candidates(limits.apply(image), model.prob_threshold, inner)
        polygons = found.suppressed(model.nms_threshold).polygons()
        keras_nuclei(keras, image, limits, folder)
        wanted = np.load(folder / "polygons.npy")
        parts = (inside(part, image.shape[0], TILE_BORDER) for part in (polygons, wanted))
        shares.append(f1(*parts))
    show_share("nuclei_of_tnbc_as_keras, the worst tile", min(shares))


def show_share(name: str, share: float) -> None:
    """Print an F1 of which one is the whole."""
    show_cost(name, share, 1.0, f"F1 at IoU {LEAST_IOU:g}", "ours >= 0.99", ratio=share)


def inside(polygons: Polygons, side: int, border: int = BORDER) -> Polygons:
    """Those wholly away from the border."""
    low, high = polygons.min(axis=(1, 2)), polygons.max(axis=(1, 2))
    return polygons[(low > border) & (high < side - border)]


def f1(found: Polygons, wanted: Polygons) -> float:
    """Share of pairs; at so high an IoU none has two partners."""
    import shapely

    ours, theirs = (shapely.make_valid(shapely.polygons(part)) for part in (found, wanted))
    one, other = shapely.STRtree(theirs).query(ours, predicate="intersects")
    shared = shapely.area(shapely.intersection(ours[one], theirs[other]))
    iou = shared / (shapely.area(ours[one]) + shapely.area(theirs[other]) - shared)
    return float(2 * (iou >= LEAST_IOU).sum() / (len(ours) + len(theirs)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a rough answer")
    parser.add_argument("--keras", default=os.environ.get("NAPARI_PRTS_KERAS"))
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder of shared data")
    given = parser.parse_args()
    image = section(given.data, "C2")
    if not image.exists():
        tell(f"skipped: {given.data} has no her2st sections; name their folder by --data")
        return 0
    if not given.keras:
        tell(f"skipped: no Keras; run '{MAKE_KERAS}' and give --keras /tmp/tf/bin/python")
        return 0
    from napari_prts.segmentation import load_model

    counts, model = QUICK if given.quick else Counts(), load_model()
    with (
        tempfile.TemporaryDirectory() as folder,
        keras_process(given.keras, model, Path(folder)) as keras,
    ):
        measure_passes(model, keras, counts)
        measure_slide(image, model, keras, Path(folder), counts)
        measure_tiles(given.data, model, keras, Path(folder), counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
