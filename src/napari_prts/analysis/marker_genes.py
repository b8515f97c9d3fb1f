"""Genes that tell a cluster from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.ranking import WILCOXON, ranked_against_rest
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress, run

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

# The paper: Wilcoxon, |log2 fold change| of 0.25 or more, 25 genes per cluster.
LEAST_LOG2_CHANGE = 0.25
MOST_GENES = 25


@dataclass(frozen=True)
class Marker:
    """A gene that differs in a cluster.

    Parameters
    ----------
    gene : str
        Name.
    score : float
        z-score of the Wilcoxon rank-sum test; positive if the gene is higher here.
    log2_change : float
        log2 of the ratio of mean expression in the cluster to that in the others.
    p_adjusted : float
        Benjamini-Hochberg.
    """

    gene: str
    score: float
    log2_change: float
    p_adjusted: float


@dataclass(frozen=True)
class MarkerRequest:
    """Which genes to take for markers; the defaults are the paper's.

    Parameters
    ----------
    groups : str
        Column of ``obs`` with the clusters.
    most : int
        Genes of each cluster.
    least_log2_change : float
        Smallest log2 fold change, above 0: markers are higher in their cluster.
    method : str
        ``"wilcoxon"``, or the quicker ``"t-test_overestim_var"``.

    Raises
    ------
    ExpressionError
        If a value is impossible.
    """

    groups: str = "leiden"
    most: int = MOST_GENES
    least_log2_change: float = LEAST_LOG2_CHANGE
    method: str = WILCOXON

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ExpressionError(f"most is {self.most}; it must be 1 or more.")
        if not self.least_log2_change > 0:
            raise ExpressionError(
                f"least_log2_change is {self.least_log2_change:g}; it must be above 0."
            )


def find_markers(
    table: AnnData, request: MarkerRequest | None = None
) -> Job[dict[str, tuple[Marker, ...]]]:
    """Find the genes that are highest in each cluster.

    Parameters
    ----------
    table : AnnData
        Counts, with the clusters in ``obs``; not changed.
    request : MarkerRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        In genes.

    Returns
    -------
    dict
        Markers of each cluster, the strongest first. A cluster of a single cell
        has none: it cannot be tested.

    Raises
    ------
    ExpressionError
        If there are no clusters, or fewer than two that can be compared.
    """
    request = request or MarkerRequest()
    groups = request.groups
    if groups not in table.obs:
        raise ExpressionError(f"The cells have no {groups!r} in obs: group them first.")
    labels = table.obs[groups].astype("category")
    sizes = labels.astype(str).value_counts()
    names = [str(name) for name in labels.cat.categories]
    tested = [name for name in names if sizes.get(name, 0) > 1]
    if len(tested) < 2:
        raise ExpressionError(
            f"The cells form {len(tested)} cluster of two or more cells; markers need two: raise "
            "the resolution."
        )
    yield Progress(0, table.n_vars, "genes", "normalising")
    cells = log_normalised(table)
    cells.obs[groups] = labels.astype(str).astype("category")
    ranked = yield from ranked_against_rest(cells, groups, tested, request.method)
    nothing: dict[str, tuple[Marker, ...]] = dict.fromkeys(names, ())
    return nothing | {name: _highest(each, request) for name, each in ranked.items()}


def markers(
    table: AnnData, groups: str = "leiden", most: int = MOST_GENES
) -> dict[str, tuple[Marker, ...]]:
    """Find markers without watching; see :func:`find_markers`.

    Parameters
    ----------
    table : AnnData
        Counts, with the clusters in ``obs``; not changed.
    groups : str
        Column of ``obs``.
    most : int
        Genes per cluster.

    Returns
    -------
    dict
        Markers of each cluster, the strongest first.

    Raises
    ------
    ExpressionError
        If there are no clusters, or fewer than two that can be compared.
    """
    return run(find_markers(table, MarkerRequest(groups, most)))


def marker_table(found: Mapping[str, tuple[Marker, ...]]) -> DataFrame:
    """Put markers into one table.

    Parameters
    ----------
    found : mapping
        Of :func:`find_markers`.

    Returns
    -------
    DataFrame
        A row for each marker: ``cluster`` (the index), ``rank`` from 1, ``gene``, ``score``,
        ``log2_change``, ``p_adjusted``. :func:`~napari_prts.analysis.tables.write_csv` writes it.
    """
    import pandas as pd

    rows = [
        (name, rank, marker.gene, marker.score, marker.log2_change, marker.p_adjusted)
        for name, markers in found.items()
        for rank, marker in enumerate(markers, 1)
    ]
    columns = ["cluster", "rank", "gene", "score", "log2_change", "p_adjusted"]
    return pd.DataFrame(rows, columns=columns).set_index("cluster")


def _highest(ranked: DataFrame, request: MarkerRequest) -> tuple[Marker, ...]:
    # A gene in no other cell has an endless change, and one that is the same nowhere has none.
    chosen = ranked[ranked["log2_change"] >= request.least_log2_change].head(request.most)
    return tuple(
        Marker(str(gene), float(row.score), float(row.log2_change), float(row.p_adjusted))
        for gene, row in zip(chosen.index, chosen.itertuples(index=False), strict=True)
    )
