"""Measure putting the 2 um bins of a Visium HD section into nuclei.

    python benchmarks/visium_hd.py [--quick]

Against the spatial join of 10x's guide "Nuclei Segmentation and Custom Binning of Visium
HD Gene Expression Data", by GeoPandas, on the same bins and nuclei in the same run. The
guide makes its points one by one in Python; here they are made all at once, which is
many times quicker. Each line printed is one figure as JSON. All are costs (seconds,
megabytes), so the ratio is the baseline's over ours: above 1 we are better.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

import numpy as np
from _figures import PeakMemory, in_fresh_process, seconds_of, show_cost, tell
from _nuclei import MPP, outlines
from numpy.typing import NDArray

PITCH_PX = 2.0 / MPP
ROUNDS = 3
GROW_UM = 2.0


@dataclass(frozen=True)
class Size:
    """How many bins, about, and nuclei."""

    bins: int = 11_000_000
    nuclei: int = 60_000


QUICK = Size(bins=1_000_000, nuclei=6_000)


@dataclass(frozen=True)
class Outcome:
    """What one side did: how long it took, what memory it needed, and what came out."""

    seconds: float
    megabytes: float
    bins: int
    inside: int
    several: int
    digest: str


def section(size: Size) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Bins of a turned grid, (row, column), and outlines anywhere on it, (nuclei, 32, 2)."""
    from napari_prts.visium_hd.grid import BinGrid

    side = round(float(np.sqrt(size.bins)) * PITCH_PX)
    _, positions = BinGrid((side, side), MPP).bins_over_slide()
    # The machine's matrix is not in the order of the grid.
    rng = np.random.default_rng(0)
    shapes = outlines(size.nuclei)
    centres = rng.uniform(40, side - 40, (size.nuclei, 1, 2))
    placed = shapes - shapes.mean(1, keepdims=True) + centres
    return rng.permutation(positions), placed.astype(np.float32)


def ours(size: Size, grow_um: float = 0.0) -> Outcome:
    from napari_prts.nuclei import Nuclei
    from napari_prts.visium_hd import assign_bins

    def work(positions: NDArray[np.float64], shapes: NDArray[np.float32]) -> NDArray[np.int64]:
        return assign_bins(Nuclei.from_polygons(shapes), positions, grow_um / MPP)

    work(*section(Size(10_000, 60)))
    return outcome(size, work)


def theirs(size: Size) -> Outcome:
    import geopandas
    import shapely

    def work(positions: NDArray[np.float64], shapes: NDArray[np.float32]) -> NDArray[np.int64]:
        polygons = shapely.polygons(shapes[..., ::-1].astype(np.float64))
        nuclei = geopandas.GeoDataFrame(geometry=polygons)
        bins = geopandas.GeoDataFrame(
            geometry=geopandas.points_from_xy(positions[:, 1], positions[:, 0])
        )
        joined = geopandas.sjoin(bins, nuclei, how="left", predicate="within")
        several = joined.index.duplicated(keep=False)
        joined.loc[several, "index_right"] = -2
        joined = joined[~joined.index.duplicated()]
        return joined["index_right"].fillna(-1).to_numpy(np.int64)

    work(*section(Size(10_000, 60)))
    return outcome(size, work)


def outcome(
    size: Size,
    work: Callable[[NDArray[np.float64], NDArray[np.float32]], NDArray[np.int64]],
) -> Outcome:
    import psutil
    import xxhash

    positions, shapes = section(size)
    assigned = np.empty(0, np.int64)
    seconds = 0.0

    def timed() -> None:
        nonlocal assigned, seconds

        def assign() -> None:
            nonlocal assigned
            assigned = work(positions, shapes)

        seconds = seconds_of(assign)

    before = psutil.Process().memory_info().rss / 1e6
    megabytes = before + PeakMemory().during(timed)
    return Outcome(
        seconds,
        megabytes,
        len(positions),
        int((assigned >= 0).sum()),
        int((assigned == -2).sum()),
        xxhash.xxh3_64_hexdigest(np.ascontiguousarray(assigned)),
    )


def differing_from_shapely(size: Size) -> int:
    """Bins that shapely alone, testing every pair that could be, puts elsewhere."""
    import shapely

    from napari_prts.nuclei import Nuclei
    from napari_prts.visium_hd import assign_bins

    positions, shapes = section(size)
    nuclei = Nuclei.from_polygons(shapes)
    tree = shapely.STRtree(nuclei.shapely())
    bins, owners = tree.query(shapely.points(positions[:, ::-1]), predicate="within")
    times = np.bincount(bins, minlength=len(positions))
    expected = np.full(len(positions), -1, np.int64)
    expected[bins] = owners
    expected[times > 1] = -2
    return int((assign_bins(nuclei, positions) != expected).sum())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer bins: a rough answer")
    size = QUICK if parser.parse_args().quick else Size()
    tell("comparing with shapely")
    differing = in_fresh_process(differing_from_shapely, QUICK)
    show_cost("bins_otherwise_than_shapely: 1 million bins", differing, 0, "bins", "ours = 0", 1.0)
    if find_spec("geopandas") is None:
        tell("GeoPandas is not installed, so there is nothing to compare with: uv pip install it.")
        return 0 if not differing else 1
    compare(size)
    return 0 if not differing else 1


def compare(size: Size) -> None:
    mine, other = [], []
    for number in range(ROUNDS):
        tell(f"round {number + 1} of {ROUNDS}: {size.bins:,} bins, {size.nuclei:,} nuclei")
        mine.append(in_fresh_process(ours, size))
        other.append(in_fresh_process(theirs, size))
    if len({each.digest for each in mine + other}) > 1:
        raise SystemExit("The two sides put bins into different nuclei.")
    at = f"{round(mine[0].bins / 1e6)} million bins, {size.nuclei:_} nuclei"
    full = size == Size()
    seconds = [(a.seconds, b.seconds) for a, b in zip(mine, other, strict=True)]
    ratio = median(b / a for a, b in seconds)
    own, baseline = (median(side) for side in zip(*seconds, strict=True))
    tell(f"{mine[0].inside:,} bins in one nucleus, {mine[0].several:,} in several")
    target = "ours < 6, ratio >= 5" if full else "ratio >= 5"
    show_cost(f"bins_into_nuclei: {at}", own, baseline, "s", target, ratio)
    show_cost(
        f"memory: {at}",
        max(each.megabytes for each in mine),
        min(each.megabytes for each in other),
        "MB",
        "ours < 3000" if full else None,
    )
    grown = in_fresh_process(ours, size, GROW_UM)
    name = f"bins_into_nuclei_grown_by_{GROW_UM:g}_um: {at}"
    show_cost(name, grown.seconds, baseline, "s", None)


if __name__ == "__main__":
    sys.exit(main())
