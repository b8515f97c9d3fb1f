"""Groups of cells by their expression, as the paper makes them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.apart import Apart
from napari_prts.analysis.cluster_request import ClusterRequest
from napari_prts.analysis.clusters import Clusters, small_limit
from napari_prts.analysis.neighbourhood import (
    Neighbourhood,
    find_clusters,
    find_neighbours,
    lay_out,
)
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["ClusterRequest", "cluster", "with_clusters"]

Found = TypeVar("Found")
_STEPS = 6
_ALL = slice(None)


def cluster(
    table: AnnData, request: ClusterRequest | None = None, apart: Apart | None = None
) -> Job[AnnData]:
    """Group cells: normalise, variable genes, PCA, neighbours, Leiden, UMAP.

    To cut at several resolutions, or to wait for the UMAP alone, use the parts:
    :func:`~napari_prts.analysis.neighbourhood.find_neighbours`,
    :func:`~napari_prts.analysis.neighbourhood.find_clusters`,
    :func:`~napari_prts.analysis.neighbourhood.lay_out` and :func:`with_clusters`.

    Parameters
    ----------
    table : AnnData
        Counts, predicted or measured; not changed.
    request : ClusterRequest, optional
        The paper's values by default.
    apart : Apart, optional
        The process for the long steps; by default this one.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    AnnData
        As :func:`with_clusters` gives.

    Raises
    ------
    ExpressionError
        If there are fewer than 10 cells or 3 genes with counts, or the expression
        is negative or no number.
    """
    request = request or ClusterRequest()
    cells = yield from _as_steps(find_neighbours(table, request, apart), 0)
    found = yield from _as_steps(find_clusters(cells, None, apart), 4)
    places = None
    if request.umap:
        note = f"{len(found.sizes)} clusters; UMAP"
        places = yield from _as_steps(lay_out(cells, apart), 5, note)
    return with_clusters(table, cells, found, places)


def with_clusters(
    table: AnnData,
    cells: Neighbourhood,
    found: Clusters,
    places: NDArray[np.float32] | None = None,
    rows: slice = _ALL,
) -> AnnData:
    """Copy a table and write down its clusters.

    Parameters
    ----------
    table : AnnData
        The cells, in the order of the neighbourhood.
    cells : Neighbourhood
        What the clusters were cut from.
    found : Clusters
        Of :func:`~napari_prts.analysis.neighbourhood.find_clusters`.
    places : ndarray, shape (cells, 2), optional
        Of :func:`~napari_prts.analysis.neighbourhood.lay_out`.
    rows : slice
        Which cells of the neighbourhood are the table's; by default all.

    Returns
    -------
    AnnData
        A copy with ``obs["leiden"]`` (the largest cluster is ``"0"``), ``obs["leiden_small"]``
        (whether the cluster is one that the paper leaves out: see
        :func:`~napari_prts.analysis.clusters.small_limit`), ``obsm["X_pca"]``,
        ``obsm["X_umap"]`` if given, ``uns["leiden_colors"]`` and ``uns["leiden"]`` with the
        settings. ``X`` is as it was.
    """
    clustered = table.copy()
    clustered.obs["leiden"] = found.labels[rows]
    clustered.obs["leiden_small"] = found.small[rows]
    clustered.obsm["X_pca"] = cells.components[rows]
    if places is not None:
        clustered.obsm["X_umap"] = places[rows]
    settings = asdict(cells.request) | {"resolution": found.resolution}
    clustered.uns["leiden"] = {
        "params": settings,
        "genes_used": len(cells.genes),
        "small_below": small_limit(len(cells)),
    }
    clustered.uns["leiden_colors"] = found.colours
    return clustered


def _as_steps(job: Job[Found], before: int, note: str = "") -> Generator[Progress, None, Found]:
    """Tell a part's progress as steps of the whole; rounds become the note's."""
    try:
        while True:
            part = next(job)
            words = note or part.note
            if part.unit == "steps":
                done = min(before + part.done, _STEPS)
            else:
                done = before
                words += f", {part.done} of {part.total} rounds" if part.total else ""
            yield Progress(done, _STEPS, "steps", words)
    except StopIteration as stop:
        result: Found = stop.value
        return result
    finally:
        job.close()
