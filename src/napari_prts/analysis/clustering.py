"""Groups of cells by their expression, as the paper makes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.quiet import quiet
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import Categorical

FEWEST_CELLS = 10
FEWEST_GENES = 3
_STEPS = 6


@dataclass(frozen=True)
class ClusterRequest:
    """How to group cells; the defaults are the paper's for predicted expression.

    Parameters
    ----------
    resolution : float
        Of the Leiden clusters; higher gives more.
    n_top : int
        Highly variable genes used; all if there are no more than so many.
    n_pcs : int
        Principal components, fewer on small data.
    n_neighbours : int
        Neighbours of each cell in the graph, fewer on small data.
    seed : int
        The same seed and data give the same clusters.
    umap : bool
        Whether to lay the cells out in two dimensions too.

    Raises
    ------
    ExpressionError
        If a value is impossible.
    """

    resolution: float = 0.6
    n_top: int = 800
    n_pcs: int = 50
    n_neighbours: int = 15
    seed: int = 0
    umap: bool = True

    def __post_init__(self) -> None:
        if not self.resolution > 0:
            raise ExpressionError(f"The resolution is {self.resolution:g}; it must be above 0.")
        for name in ("n_top", "n_pcs", "n_neighbours"):
            if getattr(self, name) < 2:
                raise ExpressionError(f"{name} is {getattr(self, name)}; it must be 2 or more.")


def cluster(table: AnnData, request: ClusterRequest | None = None) -> Job[AnnData]:
    """Group cells: normalise, variable genes, PCA, neighbours, Leiden, UMAP.

    Parameters
    ----------
    table : AnnData
        Counts, predicted or measured; not changed.
    request : ClusterRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    AnnData
        A copy with ``obs["leiden"]`` (the largest cluster is ``"0"``),
        ``obsm["X_pca"]``, ``obsm["X_umap"]`` if asked for, ``uns["leiden_colors"]`` and
        ``uns["leiden"]`` with the settings. ``X`` is as it was.

    Raises
    ------
    ExpressionError
        If there are fewer than 10 cells or 3 genes with counts, or the expression
        is negative or no number.
    """
    request = request or ClusterRequest()
    if table.n_obs < FEWEST_CELLS:
        raise ExpressionError(
            f"{table.n_obs} cells are too few to group: {FEWEST_CELLS} are needed."
        )
    yield Progress(0, _STEPS, "steps", "normalising")
    cells = log_normalised(table)
    if cells.n_vars < FEWEST_GENES:
        raise ExpressionError(
            f"{cells.n_vars} genes with counts are too few to group cells by: {FEWEST_GENES} are "
            "needed."
        )
    import scanpy as sc

    seed = request.seed
    yield Progress(1, _STEPS, "steps", "variable genes")
    with quiet():
        cells = _variable(cells, request.n_top)
        components = min(request.n_pcs, cells.n_obs - 1, cells.n_vars - 1)
        sc.pp.pca(cells, n_comps=components, random_state=seed)
    yield Progress(2, _STEPS, "steps", "neighbours")
    with quiet():
        neighbours = min(request.n_neighbours, cells.n_obs - 1)
        sc.pp.neighbors(cells, n_neighbors=neighbours, random_state=seed)
    yield Progress(3, _STEPS, "steps", "Leiden clusters")
    with quiet():
        sc.tl.leiden(
            cells,
            resolution=request.resolution,
            flavor="igraph",
            n_iterations=2,
            directed=False,
            random_state=seed,
        )
    groups = cells.obs["leiden"].cat.categories
    if request.umap:
        yield Progress(4, _STEPS, "steps", f"{len(groups)} clusters; UMAP")
        with quiet():
            sc.tl.umap(cells, random_state=seed)
    yield Progress(5, _STEPS, "steps", f"{len(groups)} clusters")
    return _copied_back(table, cells, request)


def _variable(cells: AnnData, n_top: int) -> AnnData:
    import scanpy as sc

    if cells.n_vars <= n_top:
        return cells
    sc.pp.highly_variable_genes(cells, n_top_genes=n_top)
    return cells[:, cells.var["highly_variable"]].copy()


def _copied_back(table: AnnData, cells: AnnData, request: ClusterRequest) -> AnnData:
    clustered = table.copy()
    clustered.obs["leiden"] = _numbered_by_size(cells.obs["leiden"].to_numpy().astype(int))
    clustered.obsm["X_pca"] = cells.obsm["X_pca"]
    if request.umap:
        clustered.obsm["X_umap"] = cells.obsm["X_umap"]
    clustered.uns["leiden"] = {"params": asdict(request), "genes_used": int(cells.n_vars)}
    clustered.uns["leiden_colors"] = _colours(len(cells.obs["leiden"].cat.categories))
    return clustered


def _numbered_by_size(groups: NDArray[np.integer]) -> Categorical:
    """Name clusters ``"0"``, ``"1"``, ... from the largest to the smallest."""
    import pandas as pd

    sizes = np.bincount(groups)
    rank = np.empty(len(sizes), int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    names = [str(number) for number in range(len(sizes))]
    return pd.Categorical.from_codes(rank[groups], categories=names)


def _colours(count: int) -> list[str]:
    """Colours by scanpy's own palettes, so that its plots and ours look alike."""
    from scanpy.plotting import palettes

    for palette in (palettes.default_20, palettes.default_28):
        if count <= len(palette):
            return list(palette[:count])
    longest = palettes.default_102
    return [longest[index % len(longest)] for index in range(count)]
