"""Small tables of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike


def table(
    expression: ArrayLike, ids: Sequence[int] | None = None, genes: Sequence[str] | None = None
) -> AnnData:
    """Cells x genes with ids in ``obs``; cells are numbered and genes A, B, ... by default."""
    expression = np.asarray(expression, np.float32)
    count, width = expression.shape
    numbers = np.arange(count) if ids is None else np.asarray(ids)
    names = [chr(ord("A") + i) for i in range(width)] if genes is None else list(genes)
    return AnnData(
        expression,
        obs=pd.DataFrame({"id": numbers}, index=numbers.astype(str)),
        var=pd.DataFrame(index=names),
    )


def two_types(cells: int = 120, genes: int = 30, seed: int = 0) -> AnnData:
    """Counts of two cell types: the first half of the genes marks one, the second the other."""
    rng = np.random.default_rng(seed)
    kind = np.arange(cells) % 2
    rates = np.full((cells, genes), 1.0)
    rates[kind == 0, : genes // 2] = 6
    rates[kind == 1, genes // 2 :] = 6
    made = table(rng.poisson(rates), genes=[f"GENE{i}" for i in range(genes)])
    made.obs["kind"] = kind.astype(str)
    return made


@dataclass(frozen=True)
class Reference:
    """What of a model the controls need."""

    genes: tuple[str, ...]
    training_counts: np.ndarray | None
    hash: str = "made-up"


@dataclass(frozen=True)
class MadeUp:
    """A made-up section: what the cells' rates are, what was counted, what is predicted."""

    rates: np.ndarray
    predicted: AnnData
    measured: AnnData
    model: Reference


def section(
    cells: int = 900, genes: int = 12, seed: int = 0, known: int | None = None, mpp: float = 0.5
) -> MadeUp:
    """Cells on 1.8 x 1.8 mm whose rates follow hidden activity, counted with Poisson noise.

    The prediction is the true rate of the first ``known`` genes (all by default), times some
    noise, and noise alone for the others. A "nearest training cell" has the activity of the
    cell with an error.
    """
    rng = np.random.default_rng(seed)
    known = genes if known is None else known
    activity = rng.normal(size=(cells, 3))
    slopes = rng.normal(size=(3, genes))
    base = rng.uniform(0.3, 4, genes)

    def rates_of(activity: np.ndarray) -> np.ndarray:
        return base * np.exp(0.5 * activity @ slopes)

    rates = rates_of(activity)
    strangers = rates_of(rng.normal(size=(cells, 3)))
    guess = np.where(np.arange(genes) < known, rates, strangers)
    guess = guess * rng.lognormal(0, 0.2, rates.shape)
    names = [f"GENE{number}" for number in range(genes)]
    predicted, measured = table(guess, genes=names), table(rng.poisson(rates), genes=names)
    places = rng.uniform(0, 1800 / mpp, (cells, 2))
    for made in (predicted, measured):
        made.obsm["spatial"] = places.copy()
    predicted.layers["p_expressed"] = (1 - np.exp(-guess)).astype(np.float32)
    predicted.uns["prts"] = {"mpp": mpp, "slide": "made-up.svs", "trained_on": "measured"}
    alike = rates_of(activity + rng.normal(size=activity.shape))
    predicted.obs["nearest_training"] = np.arange(cells)
    return MadeUp(rates, predicted, measured, Reference(tuple(names), rng.poisson(alike)))
