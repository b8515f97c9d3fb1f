"""Genes on which a score says more: those that vary, and those that vary over the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.metrics import gene_blocks
from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.quiet import quiet

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis.scored import ScoredCells

# The benchmark of eleven methods (Wang et al. 2025): the tenth that varies most.
VARIABLE_SHARE = 0.1
# The benchmark: 20 spatially variable genes an image.
SPATIAL_GENES = 20
FEWEST_VARIABLE = 10
# Neighbours of a cell on a hexagonal lattice of spots, as squidpy takes for Visium.
NEIGHBOURS = 6


def highly_variable(cells: ScoredCells) -> NDArray[np.bool_]:
    """Find the tenth of the genes whose measured expression varies most.

    scanpy's highly variable genes (flavour "seurat") of total-count normalised log1p counts;
    at least 10 genes.

    Returns
    -------
    ndarray of bool, shape (genes,)
    """
    import scanpy as sc

    table = log_normalised(_as_table(cells))
    wanted = max(FEWEST_VARIABLE, round(VARIABLE_SHARE * len(cells.genes)))
    if table.n_vars <= wanted:
        return cells.varies
    with quiet():
        table.uns["log1p"] = {"base": None}
        sc.pp.highly_variable_genes(table, n_top_genes=wanted)
    chosen = table.var_names[table.var["highly_variable"]].astype(int)
    return _marked(chosen, len(cells.genes))


def morans_i(cells: ScoredCells, places_um: NDArray[np.floating]) -> NDArray[np.float64]:
    """Tell how alike neighbouring cells are in each gene's measured expression.

    Moran's I of log1p counts over the graph of each cell's 6 nearest neighbours (each pair
    counts once or twice, as it is found from one side or both), by
    :func:`scanpy.metrics.morans_i`.

    Parameters
    ----------
    cells : ScoredCells
        Cells and genes.
    places_um : ndarray, shape (cells, 2)
        Where the cells lie.

    Returns
    -------
    ndarray of float64, shape (genes,)
        1 if neighbours are equal, near 0 if they are unrelated; NaN where a gene does not vary.
    """
    import scanpy as sc
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import kneighbors_graph

    found = np.full(len(cells.genes), np.nan)
    graph = csr_matrix(
        kneighbors_graph(places_um, min(NEIGHBOURS, len(cells) - 1)), dtype=np.float64
    )
    varying = np.flatnonzero(cells.varies)
    for block in gene_blocks(len(varying)):
        genes = varying[block]
        values = np.ascontiguousarray(cells.log_counts[:, genes].T, np.float64)
        with quiet():
            found[genes] = sc.metrics.morans_i(graph, values)
    return found


def spatially_variable(moran: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose the 20 genes with the highest Moran's I above 0."""
    known = np.nan_to_num(moran, nan=-1.0)
    best = np.argsort(-known, kind="stable")[:SPATIAL_GENES]
    return _marked(best[known[best] > 0], len(moran))


def _as_table(cells: ScoredCells) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    # Numbers for names: scanpy sorts and selects by them, and they are unique.
    var = pd.DataFrame(index=[str(number) for number in range(len(cells.genes))])
    obs = pd.DataFrame(index=[str(number) for number in range(len(cells))])
    return AnnData(cells.counts, obs=obs, var=var)


def _marked(chosen: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
    marked = np.zeros(count, np.bool_)
    marked[np.asarray(chosen, np.intp)] = True
    return marked
