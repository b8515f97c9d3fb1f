"""Genes in which a region differs most from the rest of the slide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.ranking import method_for, ranked_against_rest
from napari_prts.analysis.tables import write_csv
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

    from napari_prts.analysis.region import Region

_FEWEST = 2
_INSIDE, _REST = "inside", "rest"


@dataclass(frozen=True, eq=False)
class DifferingGenes:
    """A region's genes against the rest's.

    Parameters
    ----------
    name : str
        The region's.
    cells, rest : int
        Cells in it, and all others.
    method : str
        scanpy's name of the test: ``"wilcoxon"`` or ``"t-test_overestim_var"``.
    genes : DataFrame
        A row a gene (index ``gene``): ``score``, ``log2_change``, ``p``, ``p_adjusted`` of
        :func:`~napari_prts.analysis.ranking.ranked_against_rest`, the one that differs most
        first, higher or lower.
    """

    name: str
    cells: int
    rest: int
    method: str
    genes: DataFrame

    def to_csv(self, path: Path | str) -> Path:
        """Write the table, whole or not at all.

        Raises
        ------
        ExpressionError
            If it cannot be written.
        """
        return write_csv(self.genes, path)


def differing_genes(
    table: AnnData, region: Region, method: str | None = None
) -> Job[DifferingGenes]:
    """Test which genes are higher or lower in a region than in all other cells.

    scanpy's ``rank_genes_groups`` on total-count normalised log1p expression.

    Parameters
    ----------
    table : AnnData
        Counts of one side, with ``obs["id"]``; not changed.
    region : Region
        Which nuclei.
    method : str, optional
        ``"wilcoxon"``, the paper's, or ``"t-test_overestim_var"``. By default the former, and
        the latter above 5e8 cells x genes, where ranks would take half a minute; the answer
        says which.

    Yields
    ------
    Progress
        In genes.

    Raises
    ------
    ExpressionError
        If the region or the rest has fewer than two cells, or values are no counts.
    """
    inside = np.isin(np.asarray(table.obs["id"], np.int64), region.ids)
    count, rest = int(inside.sum()), int((~inside).sum())
    if min(count, rest) < _FEWEST:
        raise ExpressionError(
            f"{region.name} has {count:,} of the cells and the rest {rest:,}: a comparison needs "
            f"{_FEWEST} on each side. Draw another region."
        )
    yield Progress(0, table.n_vars, "genes", "normalising")
    import pandas as pd

    cells = log_normalised(table)
    cells.obs["place"] = pd.Categorical(np.where(inside, _INSIDE, _REST))
    chosen = method or method_for(cells.n_obs, cells.n_vars)
    found = (yield from ranked_against_rest(cells, "place", [_INSIDE], chosen))[_INSIDE]
    order = np.argsort(-found["score"].abs().to_numpy(), kind="stable")
    return DifferingGenes(region.name, count, rest, chosen, found.iloc[order])
