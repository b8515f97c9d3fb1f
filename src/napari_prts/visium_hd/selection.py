"""Which genes are worth predicting, as the paper selects them."""

from __future__ import annotations

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


def select_genes(
    measured: AnnData, n_top: int, resolution: float, seed: int
) -> tuple[NDArray[np.bool_], int, str]:
    """Find the genes that differ between clusters of cells.

    Total-count normalised, log1p, highly variable genes, 50 principal
    components, neighbours, Leiden; then Wilcoxon of each cluster against the
    rest, adjusted P < 0.01 and a log2 fold change of 1 or more either way.
    Components and neighbours are fewer where the data are small.

    Parameters
    ----------
    measured : AnnData
        Raw counts; not changed.
    n_top : int
        Highly variable genes.
    resolution : float
        Of the Leiden clusters.
    seed : int

    Returns
    -------
    selected : (genes,) bool
    clusters : int
        Clusters found.
    reason : str
        Why no gene could be selected; empty if some were.
    """
    none = np.zeros(measured.n_vars, bool)
    if measured.n_obs < _FEWEST_CELLS:
        return none, 0, f"{measured.n_obs} cells are too few for clusters"
    cells = _normalised(measured, n_top)
    if cells.n_vars < 3:
        return none, 0, f"{cells.n_vars} genes are too few for clusters"
    clusters = _cluster(cells, resolution, seed)
    sizes = cells.obs["leiden"].value_counts()
    # Wilcoxon needs two cells in a cluster.
    tested = sizes.index[sizes > 1].tolist()
    if len(tested) < 2:
        return none, clusters, "the cells form a single cluster"
    differing = _differing_genes(cells, tested)
    if not differing:
        return none, clusters, f"no gene differs between the {clusters} clusters"
    return np.isin(measured.var_names, list(differing)), clusters, ""


def _normalised(measured: AnnData, n_top: int) -> AnnData:
    """Highly variable genes on a logarithmic scale, in a new table."""
    import scanpy as sc
    from anndata import AnnData

    detected = np.flatnonzero(np.asarray(measured.X.sum(0)).ravel() > 0)
    cells = AnnData(measured.X[:, detected].astype(np.float32), var=measured.var.iloc[detected, :0])
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    if cells.n_vars > n_top:
        sc.pp.highly_variable_genes(cells, n_top_genes=n_top)
        cells = cells[:, cells.var["highly_variable"]].copy()
    return cells


def _cluster(cells: AnnData, resolution: float, seed: int) -> int:
    """Add ``obs["leiden"]``; returns the number of clusters."""
    import scanpy as sc

    components = min(N_COMPONENTS, cells.n_obs - 1, cells.n_vars - 1)
    sc.pp.pca(cells, n_comps=components, random_state=seed)
    sc.pp.neighbors(cells, n_neighbors=min(N_NEIGHBOURS, cells.n_obs - 1), random_state=seed)
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
