"""Small tables of cells."""

from __future__ import annotations

from collections.abc import Sequence

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
