"""Names for clusters from lists of marker genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.broad_types import FEWEST_MARKERS, MARKERS
from napari_prts.analysis.normalising import log_normalised
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

_STEPS = 2


@dataclass(frozen=True, eq=False)
class ClusterNames:
    """What clusters might be.

    Parameters
    ----------
    names : dict of str
        A name for each cluster that has more of some list than the average cell, for
        :func:`~napari_prts.analysis.clusters.renamed`; a second cluster of one type is
        ``"neuron 2"``, so that both stay apart.
    scores : DataFrame
        A row for each cluster, a column for each list: by how many standard deviations its
        genes are higher than in all cells, mean over genes and cells of the cluster.
    markers : dict of tuple of str
        Genes of each list that were found.
    """

    names: dict[str, str]
    scores: DataFrame
    markers: dict[str, tuple[str, ...]]


def name_clusters(
    table: AnnData,
    lists: Mapping[str, tuple[str, ...]] = MARKERS,
    groups: str = "leiden",
) -> Job[ClusterNames]:
    """Name each cluster by the list of genes that it has most of.

    Parameters
    ----------
    table : AnnData
        Counts, with the clusters in ``obs``; not changed.
    lists : mapping
        Genes of each type, any capitals; by default the broad types that the paper compares.
        Types with fewer than two genes in the table are left out.
    groups : str
        Column of ``obs``.

    Yields
    ------
    Progress
        In steps.

    Raises
    ------
    ExpressionError
        If there are no clusters, or no list has two genes in the table.
    """
    if groups not in table.obs:
        raise ExpressionError(f"The cells have no {groups!r} in obs: group them first.")
    yield Progress(0, _STEPS, "steps", "normalising")
    cells = log_normalised(table)
    yield Progress(1, _STEPS, "steps", "comparing with lists of genes")
    here = {str(gene).upper(): column for column, gene in enumerate(cells.var_names)}
    found = {
        name: tuple(gene for gene in genes if gene.upper() in here) for name, genes in lists.items()
    }
    found = {name: genes for name, genes in found.items() if len(genes) >= FEWEST_MARKERS}
    if not found:
        raise ExpressionError(
            f"None of the {len(lists)} lists ({', '.join(lists)}) has {FEWEST_MARKERS} genes among "
            f"the {cells.n_vars:,} that the cells have: give other lists, or type the names."
        )
    columns = {name: [here[gene.upper()] for gene in genes] for name, genes in found.items()}
    scores = _scores(cells, table.obs[groups].astype("category"), columns)
    return ClusterNames(_named(scores), scores, found)


def _scores(cells: AnnData, labels: object, columns: Mapping[str, list[int]]) -> DataFrame:
    import pandas as pd

    clusters = pd.Categorical(labels)
    table = {}
    for name, genes in columns.items():
        values: NDArray[np.float32] = cells.X[:, genes].toarray()
        spread = values.std(0)
        standard = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
        table[name] = pd.Series(standard.mean(1)).groupby(clusters, observed=False).mean()
    return pd.DataFrame(table).rename_axis("cluster").rename(index=str)


def _named(scores: DataFrame) -> dict[str, str]:
    names: dict[str, str] = {}
    seen: dict[str, int] = {}
    for cluster, row in scores.fillna(-1).iterrows():
        kind = str(row.idxmax())
        if row[kind] <= 0:
            continue
        seen[kind] = seen.get(kind, 0) + 1
        names[str(cluster)] = kind if seen[kind] == 1 else f"{kind} {seen[kind]}"
    return names
