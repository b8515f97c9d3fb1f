"""Predicted and measured cells grouped together, so that a cluster is the same on both sides.

Each nucleus comes in twice, as predicted and as measured, and each of the two gets a cluster of
its own: the share of nuclei in one and the same cluster on both sides, and where on the slide they
are, can then be read off. Putting both profiles of a nucleus side by side as features of one
cell would give a single cluster and hide where the sides disagree.

Predictions are smoother than counts, and some genes are predicted too high everywhere. So each
gene is centred at its mean on each side before the principal components. Scaling it to the
same spread too was tried on simulated sections and is worse: the noise of counts then weighs as
much as what is predicted, and every cluster has cells of one side alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.alignment import align
from napari_prts.analysis.apart import Apart
from napari_prts.analysis.cluster_request import ClusterRequest
from napari_prts.analysis.clustering import with_clusters
from napari_prts.analysis.clusters import Clusters
from napari_prts.analysis.comparable import require_cells, require_genes, variable_genes
from napari_prts.analysis.neighbourhood import Neighbourhood, neighbourhood_of
from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.paired import MEASURED, PREDICTED
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

_STEPS = 4
_SIDE = "side"


def find_neighbours_of_both(
    predicted: AnnData,
    measured: AnnData,
    request: ClusterRequest | None = None,
    apart: Apart | None = None,
) -> Job[Neighbourhood]:
    """Tell which cells of both sides are alike, on the genes that both have.

    Parameters
    ----------
    predicted, measured : AnnData
        Counts with ``obs["id"]``; not changed. All cells of both come in.
    request : ClusterRequest, optional
        The paper's values by default. Variable genes are those that vary on both sides.
    apart : Apart, optional
        The process for the long steps; by default this one.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    Neighbourhood
        Predicted cells first, then measured ones, as ``side`` says.

    Raises
    ------
    ExpressionError
        If the tables are of different slides or nuclei, share no cell or gene, or one has too
        few cells or genes with counts.
    """
    request = request or ClusterRequest()
    align(predicted, measured)
    for table in (predicted, measured):
        require_cells(table.n_obs)
    yield Progress(0, _STEPS, "steps", "normalising")
    tables = [log_normalised(table) for table in (predicted, measured)]
    yield Progress(1, _STEPS, "steps", "variable genes")
    cells = _together(*tables)
    require_genes(cells.n_vars)
    cells = variable_genes(cells, request.n_top, _SIDE)
    side = cells.obs[_SIDE].to_numpy().astype(str)
    genes = tuple(str(gene) for gene in cells.var_names)
    return (yield from neighbourhood_of(_centred(cells, side), genes, request, side, apart))


def with_clusters_of_both(
    predicted: AnnData,
    measured: AnnData,
    cells: Neighbourhood,
    found: Clusters,
    places: NDArray[np.float32] | None = None,
) -> tuple[AnnData, AnnData]:
    """Copy both tables and write down their clusters.

    Parameters
    ----------
    predicted, measured : AnnData
        As given to :func:`find_neighbours_of_both`.
    cells : Neighbourhood
        Of that function.
    found : Clusters
        Of both sides' cells.
    places : ndarray, shape (cells, 2), optional
        UMAP of both sides' cells.

    Returns
    -------
    tuple of AnnData
        Predicted and measured, each as :func:`~napari_prts.analysis.clustering.with_clusters`
        gives, with the same names and colours.
    """
    rows = slice(predicted.n_obs), slice(predicted.n_obs, None)
    first, second = (
        with_clusters(table, cells, found, places, part)
        for table, part in zip((predicted, measured), rows, strict=True)
    )
    return first, second


def _together(predicted: AnnData, measured: AnnData) -> AnnData:
    import anndata
    import pandas as pd

    genes = [gene for gene in predicted.var_names if gene in measured.var_names]
    both = anndata.concat([predicted[:, genes], measured[:, genes]], index_unique="-")
    names = [PREDICTED] * predicted.n_obs + [MEASURED] * measured.n_obs
    both.obs[_SIDE] = pd.Categorical(names, categories=[PREDICTED, MEASURED])
    return both


def _centred(cells: AnnData, side: NDArray[np.str_]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = cells.X.toarray()
    for name in (PREDICTED, MEASURED):
        rows = side == name
        values[rows] -= values[rows].mean(0, dtype=np.float64).astype(np.float32)
    return values
