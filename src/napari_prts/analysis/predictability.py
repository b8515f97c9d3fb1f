"""Which genes are predicted better than without learning, and how near to the best possible."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.metrics import gene_blocks
from napari_prts.analysis.reliability import ceiling_of, halves_product
from napari_prts.analysis.resampling import Drawn, Resampling

if TYPE_CHECKING:
    from napari_prts.analysis.controls import Controls
    from napari_prts.analysis.scored import ScoredCells

# Below it a share of the ceiling is a small number divided by one that is mostly noise.
LEAST_CEILING = 0.1


@dataclass(frozen=True, eq=False)
class Predictability:
    """Scores, each with its interval over blocks of tissue.

    Parameters
    ----------
    blocks, draws : int
        Blocks of tissue, and how often they were drawn; without draws there are no intervals.
    pcc : Drawn, (genes,)
        PCC of log1p predicted with log1p measured.
    ceiling : Drawn, (genes,), or None
        Estimated from the counts (:mod:`~napari_prts.analysis.reliability`); None if they are
        not raw counts.
    share : Drawn, (genes,), or None
        PCC over ceiling; NaN where the ceiling is below 0.1.
    nearest_pcc, over_nearest : Drawn, (genes,), or None
        PCC of the control "nearest training cell", and by how much the prediction's is higher.
    mean_rmse, under_mean : Drawn, (genes,), or None
        RMSE of the control "mean training cell", and by how much the prediction's is lower. The
        PCC of this control is 0: it says the same of all cells.
    means : dict of Drawn
        Over genes whose measured count varies: ``"pcc"``, ``"ceiling"``, ``"share"`` (the mean
        PCC over the mean ceiling) and ``"nearest_pcc"``, those that are known.
    """

    blocks: int
    draws: int
    pcc: Drawn
    ceiling: Drawn | None
    share: Drawn | None
    nearest_pcc: Drawn | None
    over_nearest: Drawn | None
    mean_rmse: Drawn | None
    under_mean: Drawn | None
    means: dict[str, Drawn]

    @property
    def predictable(self) -> NDArray[np.bool_] | None:
        """Genes whose pattern is predicted better than by both controls, (genes,).

        PCC lies above 0, which is that of the training mean, and above that of the nearest
        training cell, each beyond its interval. None if that control is missing or there are
        no intervals.
        """
        if not self.draws or self.over_nearest is None:
            return None
        return self.pcc.above(0) & self.over_nearest.above(0)

    @property
    def nearer_in_amount(self) -> NDArray[np.bool_] | None:
        """Genes whose RMSE lies below that of the training mean beyond its interval, (genes,).

        A gene can be predictable without: where it is high is right then, how high is not.
        None if the control is missing or there are no intervals.
        """
        if not self.draws or self.under_mean is None:
            return None
        return self.under_mean.above(0)


def measure_predictability(
    cells: ScoredCells, controls: Controls, resampling: Resampling, raw_counts: bool
) -> Predictability:
    """Score each gene and its controls over draws of tissue blocks.

    Parameters
    ----------
    cells : ScoredCells
        Predicted and measured.
    controls : Controls
        What to beat.
    resampling : Resampling
        Blocks and draws.
    raw_counts : bool
        Whether the measured values are whole numbers, so that a ceiling can be told.
    """
    collected = _Collected(len(resampling.draws))
    sizes = resampling.totals(np.ones((len(cells), 1)))
    for block in gene_blocks(len(cells.genes)):
        scores = _draw(cells, controls, resampling, sizes, block, raw_counts)
        collected.add(scores, cells.varies[block])
    return collected.result(resampling)


def _draw(
    cells: ScoredCells,
    controls: Controls,
    resampling: Resampling,
    sizes: NDArray[np.float64],
    block: slice,
    raw_counts: bool,
) -> dict[str, NDArray[np.float64]]:
    """Scores of a block of genes in each draw, (draws + 1, genes) each."""

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return resampling.totals(values) / sizes

    measured = cells.log_counts[:, block].astype(np.float64)
    predicted = cells.log_expression[:, block].astype(np.float64)
    centre = measured.mean(0)
    deviation = measured - centre
    shift = mean(deviation)
    variance = mean(deviation**2) - shift**2

    def pcc_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
        values = values - values.mean(0)
        moved = mean(values)
        spread = (mean(values**2) - moved**2) * variance
        together = mean(values * deviation) - moved * shift
        found = np.full(spread.shape, np.nan)
        # What rounding leaves of a variance of zero is no variance.
        np.divide(together, np.sqrt(np.maximum(spread, 0)), out=found, where=spread > 1e-20)
        return found

    scores = {"pcc": pcc_of(predicted)}
    if raw_counts:
        squares = mean(halves_product(cells.counts[:, block]).astype(np.float64))
        unbiased = variance * sizes / np.maximum(sizes - 1, 1)
        signal = squares - (centre + shift) ** 2 + unbiased / sizes
        scores["ceiling"] = ceiling_of(signal, unbiased)
    if controls.nearest is not None:
        scores["nearest_pcc"] = pcc_of(np.log1p(controls.nearest[:, block]).astype(np.float64))
    if controls.mean is not None:
        constant = np.log1p(controls.mean[block])
        scores["mean_rmse"] = np.sqrt(mean((constant - measured) ** 2))
        scores["rmse"] = np.sqrt(mean((predicted - measured) ** 2))
    return scores


@dataclass
class _Collected:
    """Intervals gene block after gene block; the draws themselves are not kept."""

    rows: int
    parts: dict[str, list[Drawn]] = field(default_factory=dict)
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    genes: int = 0

    def add(self, scores: dict[str, NDArray[np.float64]], varies: NDArray[np.bool_]) -> None:
        """Take in the scores of a block of genes."""
        # A prediction that is the same in all cells of a draw knows nothing there.
        known = {name: np.nan_to_num(values) for name, values in scores.items()}
        made = dict(scores)
        if "ceiling" in scores:
            far = scores["ceiling"] >= LEAST_CEILING
            share = np.full(far.shape, np.nan)
            np.divide(known["pcc"], scores["ceiling"], out=share, where=far)
            # A gene has a share if its ceiling, as estimated from all cells, is high enough.
            share[:, ~far[0]] = np.nan
            made["share"] = share
        if "nearest_pcc" in scores:
            made["over_nearest"] = known["pcc"] - known["nearest_pcc"]
        if "mean_rmse" in scores:
            made["under_mean"] = scores["mean_rmse"] - made.pop("rmse")
        for name, values in made.items():
            self.parts.setdefault(name, []).append(Drawn.of(values))
        for name in ("pcc", "ceiling", "nearest_pcc"):
            if name in known:
                total = known[name][:, varies].sum(1)
                self.sums[name] = self.sums.get(name, np.zeros(self.rows)) + total
        self.genes += int(varies.sum())

    def result(self, resampling: Resampling) -> Predictability:
        """Put the blocks of genes together."""
        found = {name: Drawn.joined(parts) for name, parts in self.parts.items()}
        means = {name: Drawn.of(total / self.genes) for name, total in self.sums.items()}
        if "ceiling" in self.sums and self.sums["ceiling"][0] > 0:
            pcc, ceiling = self.sums["pcc"], self.sums["ceiling"]
            share = np.divide(pcc, ceiling, out=np.full(self.rows, np.nan), where=ceiling > 0)
            means["share"] = Drawn.of(share)
        return Predictability(
            resampling.block_count,
            self.rows - 1,
            found["pcc"],
            found.get("ceiling"),
            found.get("share"),
            found.get("nearest_pcc"),
            found.get("over_nearest"),
            found.get("mean_rmse"),
            found.get("under_mean"),
            means,
        )
