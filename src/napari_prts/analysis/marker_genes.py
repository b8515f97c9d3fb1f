"""Genes that tell a cluster from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.quiet import quiet
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

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


def markers(
    table: AnnData, groups: str = "leiden", most: int = MOST_GENES
) -> dict[str, tuple[Marker, ...]]:
    """Find the genes that are highest in each cluster.

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
        Markers of each cluster, the strongest first. A cluster of a single cell
        has none: it cannot be tested.

    Raises
    ------
    ExpressionError
        If there are no clusters, or fewer than two that can be compared.
    """
    if groups not in table.obs:
        raise ExpressionError(f"The cells have no {groups!r} in obs: group them first.")
    import scanpy as sc

    cells = log_normalised(table)
    cells.obs[groups] = table.obs[groups].astype(str).astype("category")
    sizes = cells.obs[groups].value_counts()
    tested = [str(name) for name in table.obs[groups].astype("category").cat.categories]
    found: dict[str, tuple[Marker, ...]] = dict.fromkeys(tested, ())
    tested = [name for name in tested if sizes.get(name, 0) > 1]
    if len(tested) < 2:
        raise ExpressionError(
            f"The cells form {len(tested)} cluster of two or more cells; markers need two: raise "
            "the resolution."
        )
    with quiet():
        # log1p without a stated base is the natural one.
        cells.uns["log1p"] = {"base": None}
        sc.tl.rank_genes_groups(cells, groups, groups=tested, method="wilcoxon")
    result = cells.uns["rank_genes_groups"]
    found.update({name: _of_group(result, name, most) for name in tested})
    return found


def _of_group(result: dict[str, Any], group: str, most: int) -> tuple[Marker, ...]:
    columns = zip(
        result["names"][group],
        result["scores"][group],
        result["logfoldchanges"][group],
        result["pvals_adj"][group],
        strict=True,
    )
    genes = (Marker(str(g), float(s), float(c), float(p)) for g, s, c, p in columns)
    return tuple(marker for marker in genes if marker.log2_change >= LEAST_LOG2_CHANGE)[:most]
