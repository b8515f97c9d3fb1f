"""What asking costs: a region, a gene's name, which genes to trust, another resolution.

    python benchmarks/regions.py [--quick] [--cells 60000]

On made-up tables of the size of the paper's mouse brain: 60,000 cells on both sides, 1,820
genes, about 12 % of the counts above zero, 18 cell types; the prediction is the true rate with
noise. A region is a third of the slide, 20,000 cells. Each line printed is one figure as JSON.

The baselines, in the same run: for a region means by pandas and ``np.corrcoef`` gene by gene;
for names ``difflib`` of the standard library; for genes to trust ``evaluate`` and
``ceiling_from_counts``, of which ``evaluate_fully`` needs more; for another resolution scanpy's
``leiden``, which builds its graph anew each time; for the test against the rest scanpy on all
genes at once.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np
import pandas as pd
from _figures import seconds_of, show_cost, tell
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.analysis import ceiling_from_counts, evaluate
from napari_prts.analysis.apart import Apart
from napari_prts.analysis.gene_search import GeneSearch
from napari_prts.analysis.gene_trust import trust_genes
from napari_prts.analysis.neighbourhood import Neighbourhood, find_clusters, find_neighbours
from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.paired import pair
from napari_prts.analysis.quiet import quiet
from napari_prts.analysis.region import Region
from napari_prts.analysis.region_genes import differing_genes
from napari_prts.analysis.regions import ask_region
from napari_prts.jobs import Job, run

GENES, TYPES = 1820, 18
NAMES = 20_000
_MEAN_LOG_RATE, _SPREAD = -3.0, 1.2
_BLOCK = 4096
# As a person types them: whole, begun, with errors, in the middle, a single letter.
TYPED = ("GENE1234", "gene12", "gnee1234", "ene99", "g", "gene 77", "qzx")


def made_up(cells: int, seed: int = 0) -> tuple[AnnData, AnnData]:
    """Predicted (dense) and measured (sparse) cells on a square of tissue."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(TYPES, cells, p=rng.dirichlet(np.full(TYPES, 2.0)))
    programmes = rng.normal(size=(TYPES, GENES)) * 0.9
    slopes = rng.normal(size=(6, GENES)) * 0.25
    level = _MEAN_LOG_RATE + _SPREAD * rng.normal(size=GENES)
    predicted, counts = np.empty((cells, GENES), np.float32), []
    for start in range(0, cells, _BLOCK):
        rows = slice(start, min(start + _BLOCK, cells))
        size = rows.stop - rows.start
        logs = programmes[kind[rows]] + rng.normal(size=(size, 6)) @ slopes + level
        rates = np.minimum(np.exp(logs) * rng.lognormal(0, 0.5, (size, 1)), 200)
        counts.append(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)))
        guess = rates * rng.lognormal(0, 0.3, rates.shape)
        predicted[rows] = np.where(guess < 0.15, 0, guess)
    # 1,400 cells a square millimetre, as in the paper's sections.
    places = rng.uniform(0, np.sqrt(cells / 1400) * 2000, (cells, 2))
    measured = sparse.csr_matrix(sparse.vstack(counts))
    return _table(predicted, places), _table(measured, places)


def _table(values: Any, places: NDArray[np.float64]) -> AnnData:
    ids = np.arange(values.shape[0])
    obs = pd.DataFrame({"id": ids}, index=ids.astype(str))
    var = pd.DataFrame(index=[f"GENE{number}" for number in range(GENES)])
    table = AnnData(values, obs=obs, var=var, obsm={"spatial": places.copy()})
    table.uns["prts"] = {"mpp": 0.5}
    return table


def by_loop(predicted: AnnData, measured: AnnData, rows: NDArray[np.intp]) -> pd.DataFrame:
    """Means by pandas, correlations gene by gene."""
    mine = pd.DataFrame(predicted.X[rows], columns=predicted.var_names)
    theirs = pd.DataFrame(measured.X[rows].toarray(), columns=measured.var_names)
    region = np.zeros(len(rows), int)
    means = [side.groupby(region).mean().iloc[0] for side in (mine, theirs)]
    with np.errstate(all="ignore"):
        pcc = [np.corrcoef(np.log1p(mine[g]), np.log1p(theirs[g]))[0, 1] for g in mine.columns]
    return pd.DataFrame({"predicted": means[0], "measured": means[1], "pcc": pcc})


def warm_up() -> None:
    """Load and compile what each of them loads and compiles when first used."""
    predicted, measured = made_up(300, seed=1)
    run(trust_genes(predicted, measured))
    evaluate(predicted, measured)
    run(differing_genes(measured, Region(np.arange(100))))


def time_region(predicted: AnnData, measured: AnnData, rounds: int) -> None:
    """A third of the slide, of tables that were put side by side before."""
    rows = np.sort(np.random.default_rng(1).permutation(predicted.n_obs)[: predicted.n_obs // 3])
    region, both = Region.of_rows(predicted, rows), pair(predicted, measured)
    run(ask_region(both, region))
    ours = _times(lambda: run(ask_region(both, region)), rounds)
    baseline = _times(lambda: by_loop(predicted, measured, rows), rounds)
    name = f"region_statistics of {len(rows):,} cells x {GENES:,} genes"
    _show(name, ours, baseline, "ours < 0.5")


def time_names(rounds: int) -> None:
    """The slowest of several things typed."""
    names = [f"GENE{number}" for number in range(NAMES)]
    search = GeneSearch.of(names)
    search.find("warm")
    ours = max(median(_times(lambda t=t: search.find(t), rounds)) for t in TYPED)
    baseline = max(seconds_of(lambda t=t: get_close_matches(t.upper(), names)) for t in TYPED)
    show_cost(f"gene_search among {NAMES:,} names", ours * 1e3, baseline * 1e3, "ms", "ours < 5")


def time_trust(predicted: AnnData, measured: AnnData, rounds: int) -> None:
    """All genes, all cells."""

    def theirs() -> None:
        evaluate(predicted, measured)
        ceiling_from_counts(measured.X)

    ours = _times(lambda: run(trust_genes(predicted, measured)), rounds)
    name = f"gene_trust of {predicted.n_obs:,} cells x {GENES:,} genes"
    _show(name, ours, _times(theirs, rounds), None)


def time_differing(measured: AnnData, rounds: int) -> None:
    """Wilcoxon of a region against the rest, and how long a cancel waits at most."""
    import scanpy as sc

    region = Region(np.arange(measured.n_obs // 3))
    ours, waits = [], []
    for _ in range(rounds):
        seconds, wait = _watched(differing_genes(measured, region))
        ours.append(seconds)
        waits.append(wait)

    def at_once() -> None:
        cells = log_normalised(measured)
        inside = np.arange(cells.n_obs) < len(region.ids)
        cells.obs["place"] = pd.Categorical(np.where(inside, "in", "out"))
        cells.uns["log1p"] = {"base": None}
        with quiet():
            sc.tl.rank_genes_groups(cells, "place", groups=["in"], method="wilcoxon")

    baseline = _times(at_once, rounds)
    size = f"{measured.n_obs:,} cells x {GENES:,} genes"
    _show(f"region_test (Wilcoxon) of {size}", ours, baseline, None)
    _show(f"region_test, longest wait of a cancel, {size}", waits, baseline, None)


def time_resolution(cells: Neighbourhood, rounds: int) -> None:
    """Steps of the slider on a kept graph, and how long other threads stand still."""
    import scanpy as sc

    kept = AnnData(cells.components)
    kept.obsp["connectivities"] = cells.connectivities
    steps = [0.6, 0.8, 1.2][:rounds]

    def scanpys(resolution: float) -> None:
        with quiet():
            sc.tl.leiden(
                kept,
                resolution,
                adjacency=kept.obsp["connectivities"],
                flavor="igraph",
                n_iterations=2,
                directed=False,
            )

    apart = Apart()
    try:
        first = seconds_of(lambda: run(find_clusters(cells, 0.5, apart)))
        with _standstill() as beside:
            ours = [seconds_of(lambda r=r: run(find_clusters(cells, r, apart))) for r in steps]
    finally:
        apart.close()
    run(find_clusters(cells, 0.5))
    with _standstill() as here:
        run(find_clusters(cells, 0.6))
    baseline = [seconds_of(lambda r=r: scanpys(r)) for r in steps]
    size = f"{len(cells):,} cells"
    _show(f"resolution_step of {size}", ours, baseline, "ours < 2")
    _show(f"resolution_step, the first, of {size}", [first], baseline, None)
    name = f"resolution_step of {size}, standstill of other threads, beside or here"
    show_cost(name, max(beside) * 1e3, max(here) * 1e3, "ms", "ours < 100")


@contextmanager
def _standstill() -> Iterator[list[float]]:
    """Collect how late a thread wakes that sleeps 5 ms at a time, as a window's would."""
    late, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            started = perf_counter()
            sleep(0.005)
            late.append(perf_counter() - started - 0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield late
    finally:
        ended.set()
        thread.join()


def _watched(job: Job[Any]) -> tuple[float, float]:
    """Seconds that a job takes, and the longest between two of its yields."""
    started = last = perf_counter()
    longest = 0.0

    def look(_: object) -> None:
        nonlocal last, longest
        now = perf_counter()
        longest, last = max(longest, now - last), now

    run(job, look)
    return perf_counter() - started, longest


def _times(work: Callable[[], object], rounds: int) -> list[float]:
    return [seconds_of(work) for _ in range(rounds)]


def _show(name: str, ours: list[float], baseline: list[float], target: str | None) -> None:
    show_cost(name, median(ours), median(baseline), "s", target)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="6,000 cells, one round")
    parser.add_argument("--cells", type=int, default=60_000)
    given = parser.parse_args()
    cells, rounds = (6000, 1) if given.quick else (given.cells, 3)
    tell(f"making up {cells:,} cells")
    predicted, measured = made_up(cells)
    warm_up()
    time_names(rounds)
    time_region(predicted, measured, rounds)
    time_trust(predicted, measured, rounds)
    time_differing(measured, rounds)
    tell("finding neighbours")
    time_resolution(run(find_neighbours(predicted)), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
