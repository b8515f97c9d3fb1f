"""Which genes are worth predicting, as the paper selects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData

N_COMPONENTS = 50
N_NEIGHBOURS = 15
MAX_P = 0.01
MIN_LOG2_CHANGE = 1.0
_FEWEST_CELLS = 20
_SECTION = "section"


@dataclass(frozen=True, eq=False)
class Selection:
    """Genes that differ between clusters.

    Parameters
    ----------
    selected : (genes,) bool
    clusters : int
        Clusters found.
    highly_variable : int
        Genes that the clusters were made from.
    reason : str
        Why no gene could be selected; empty if some were.
    """

    selected: NDArray[np.bool_]
    clusters: int = 0
    highly_variable: int = 0
    reason: str = ""


def select_genes(
    measured: AnnData,
    n_top: int,
    resolution: float,
    seed: int,
    sections: NDArray[Any] | None = None,
) -> Selection:
    """Find the genes that differ between clusters of cells.

    Total-count normalised, log1p, highly variable genes, 50 principal
    components, neighbours, Leiden; then Wilcoxon of each cluster against the
    rest, adjusted P < 0.01 and a log2 fold change of 1 or more either way.
    Components and neighbours are fewer where the data are small.

    Of several sections, those genes are taken that vary within most of them (scanpy's
    ``batch_key``), and each section's mean is taken off the components, so that
    clusters are kinds of cells and not sections.

    Parameters
    ----------
    measured : AnnData
        Raw counts; not changed.
    n_top : int
        Highly variable genes.
    resolution : float
        Of the Leiden clusters.
    seed : int
    sections : (cells,), optional
        The section of each cell.
    """
    none = np.zeros(measured.n_vars, bool)
    if measured.n_obs < _FEWEST_CELLS:
        return Selection(none, reason=f"{measured.n_obs} cells are too few for clusters")
    cells = _normalised(measured, n_top, sections)
    if cells.n_vars < 3:
        return Selection(none, 0, cells.n_vars, f"{cells.n_vars} genes are too few for clusters")
    clusters = _cluster(cells, resolution, seed)
    sizes = cells.obs["leiden"].value_counts()
    # Wilcoxon needs two cells in a cluster.
    tested = sizes.index[sizes > 1].tolist()
    if len(tested) < 2:
        return Selection(none, clusters, cells.n_vars, "the cells form a single cluster")
    differing = _differing_genes(cells, tested)
    if not differing:
        reason = f"no gene differs between the {clusters} clusters"
        return Selection(none, clusters, cells.n_vars, reason)
    selected = np.isin(measured.var_names, list(differing))
    return Selection(selected, clusters, cells.n_vars)


def _normalised(measured: AnnData, n_top: int, sections: NDArray[Any] | None) -> AnnData:
    """Highly variable genes on a logarithmic scale, in a new table."""
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    detected = np.flatnonzero(np.asarray(measured.X.sum(0)).ravel() > 0)
    cells = AnnData(measured.X[:, detected].astype(np.float32), var=measured.var.iloc[detected, :0])
    several = sections is not None and len(np.unique(sections)) > 1
    if several:
        cells.obs[_SECTION] = pd.Categorical(sections)
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    if cells.n_vars > n_top:
        batch = _SECTION if several else None
        sc.pp.highly_variable_genes(cells, n_top_genes=n_top, batch_key=batch)
        cells = cells[:, cells.var["highly_variable"]].copy()
    return cells


def _cluster(cells: AnnData, resolution: float, seed: int) -> int:
    """Add ``obs["leiden"]``; returns the number of clusters."""
    import scanpy as sc

    components = min(N_COMPONENTS, cells.n_obs - 1, cells.n_vars - 1)
    sc.pp.pca(cells, n_comps=components, random_state=seed)
    use = None
    if _SECTION in cells.obs:
        use = "X_pca"
        for rows in cells.obs.groupby(_SECTION, observed=True).indices.values():
            cells.obsm[use][rows] -= cells.obsm[use][rows].mean(0)
    neighbours = min(N_NEIGHBOURS, cells.n_obs - 1)
    sc.pp.neighbors(cells, n_neighbors=neighbours, use_rep=use, random_state=seed)
    sc.tl.leiden(
        cells,
        resolution=resolution,
        flavor="igraph",
        n_iterations=2,
        directed=False,
        random_state=seed,
    )
    return int(cells.obs["leiden"].nunique())


def _differing_genes(cells: AnnData, groups: list[str]) -> set[str]:
    import scanpy as sc

    sc.tl.rank_genes_groups(cells, "leiden", groups=groups, method="wilcoxon")
    result: dict[str, Any] = cells.uns["rank_genes_groups"]
    differing: set[str] = set()
    for group in groups:
        passed = (result["pvals_adj"][group] < MAX_P) & (
            np.abs(result["logfoldchanges"][group]) >= MIN_LOG2_CHANGE
        )
        differing.update(result["names"][group][passed])
    return differing
