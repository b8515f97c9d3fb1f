"""Which cells are alike: made once, then cut into clusters at any resolution and laid out.

The graph of neighbours costs most and does not depend on the resolution, so it is kept: another
resolution costs the cut alone.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.analysis.apart import Apart
from napari_prts.analysis.cluster_request import ClusterRequest, check_resolution
from napari_prts.analysis.clusters import Clusters
from napari_prts.analysis.comparable import require_cells, require_genes, variable_genes
from napari_prts.analysis.graph_steps import (
    LeidenGraph,
    layout,
    neighbour_graph,
    principal_components,
)
from napari_prts.analysis.normalising import log_normalised
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

_STEPS = 4


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Cells, and how near the nearest are.

    Parameters
    ----------
    components : ndarray of float32, shape (cells, components)
        Principal components.
    connectivities : csr_matrix of float32, shape (cells, cells)
        Weights of neighbours, symmetric.
    genes : tuple of str
        Highly variable genes that the components were made from.
    request : ClusterRequest
        How it was made.
    side : ndarray of str, shape (cells,), or None
        ``"predicted"`` or ``"measured"`` if cells of both are in, else None.
    key : str
        A name of its own, under which another process knows it.
    """

    components: NDArray[np.float32]
    connectivities: sparse.csr_matrix
    genes: tuple[str, ...]
    request: ClusterRequest
    side: NDArray[np.str_] | None = None
    key: str = field(default_factory=lambda: uuid4().hex)

    def __len__(self) -> int:
        return len(self.components)

    @cached_property
    def graph(self) -> LeidenGraph:
        """The graph in this process, built when first needed."""
        return LeidenGraph(self.connectivities)


def find_neighbours(
    table: AnnData, request: ClusterRequest | None = None, apart: Apart | None = None
) -> Job[Neighbourhood]:
    """Tell which cells are alike: normalise, variable genes, PCA, neighbours.

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

    Raises
    ------
    ExpressionError
        If there are fewer than 10 cells or 3 genes with counts, or the expression is negative
        or no number.
    """
    request = request or ClusterRequest()
    require_cells(table.n_obs)
    yield Progress(0, _STEPS, "steps", "normalising")
    cells = log_normalised(table)
    require_genes(cells.n_vars)
    yield Progress(1, _STEPS, "steps", "variable genes")
    cells = variable_genes(cells, request.n_top)
    genes = tuple(str(gene) for gene in cells.var_names)
    return (yield from neighbourhood_of(cells.X, genes, request, None, apart))


def neighbourhood_of(
    values: NDArray[np.float32] | sparse.csr_matrix,
    genes: tuple[str, ...],
    request: ClusterRequest,
    side: NDArray[np.str_] | None,
    apart: Apart | None,
) -> Job[Neighbourhood]:
    """Compare cells by log-normalised expression of the genes chosen, (cells, genes)."""
    cells, width = values.shape
    note, seed = "principal components", request.seed
    yield Progress(2, _STEPS, "steps", note)
    given: dict[str, Any] = {"values": values, "count": min(request.n_pcs, cells - 1, width - 1)}
    if apart is None:
        components = principal_components(**given, seed=seed)
    else:
        asked = apart.ask("components", given | {"seed": seed})
        components = yield from _followed(asked, note, at=(2, _STEPS))
    note = "neighbours"
    yield Progress(3, _STEPS, "steps", note)
    given = {"components": components, "neighbours": min(request.n_neighbours, cells - 1)}
    if apart is None:
        graph = neighbour_graph(**given, seed=seed)
    else:
        asked = apart.ask("neighbours", given | {"seed": seed})
        graph = yield from _followed(asked, note, at=(3, _STEPS))
    return Neighbourhood(components, graph, genes, request, side)


def find_clusters(
    cells: Neighbourhood, resolution: float | None = None, apart: Apart | None = None
) -> Job[Clusters]:
    """Cut the graph into Leiden clusters.

    60,000 cells take about a second, the first time twice as long.

    Parameters
    ----------
    cells : Neighbourhood
        Of :func:`find_neighbours`.
    resolution : float, optional
        Higher gives more clusters; by default that of its request.
    apart : Apart, optional
        The process to do it in; by default this one.

    Yields
    ------
    Progress
        Without a number of steps.

    Raises
    ------
    ExpressionError
        If the resolution is not above 0.
    """
    wanted = cells.request.resolution if resolution is None else resolution
    check_resolution(wanted)
    yield Progress(0, 0, "steps", "Leiden clusters")
    if apart is None:
        return Clusters(cells.graph.groups(wanted, cells.request.seed), wanted)
    found = None
    if apart.knows(cells.key):
        found = yield from _followed(_leiden(cells, wanted, apart, None), "Leiden clusters")
    if found is None:
        asked = _leiden(cells, wanted, apart, cells.connectivities)
        found = yield from _followed(asked, "Leiden clusters")
    return Clusters(found, wanted)


def lay_out(cells: Neighbourhood, apart: Apart | None = None) -> Job[NDArray[np.float32]]:
    """Lay the cells out in two dimensions: UMAP on the same graph.

    Parameters
    ----------
    cells : Neighbourhood
        Of :func:`find_neighbours`.
    apart : Apart, optional
        The process to do it in; there it tells how far it is and is cancelled at once. By
        default this one, in a single step.

    Yields
    ------
    Progress
        In rounds.

    Returns
    -------
    ndarray of float32, shape (cells, 2)
    """
    yield Progress(0, 0, "rounds", "UMAP")
    seed = cells.request.seed
    if apart is None:
        return layout(cells.components, cells.connectivities, seed)
    given = {
        "components": cells.components,
        "connectivities": cells.connectivities,
        "seed": seed,
    }
    places: NDArray[np.float32] = yield from _followed(apart.ask("umap", given), "UMAP", "rounds")
    return places


def _leiden(
    cells: Neighbourhood, resolution: float, apart: Apart, graph: sparse.csr_matrix | None
) -> Generator[tuple[int, int], None, Any]:
    given = {
        "key": cells.key,
        "connectivities": graph,
        "resolution": resolution,
        "seed": cells.request.seed,
    }
    return apart.ask("leiden", given, key=cells.key, long=False)


def _followed(
    asked: Generator[tuple[int, int], None, Any],
    note: str,
    unit: str = "steps",
    at: tuple[int, int] | None = None,
) -> Generator[Progress, None, Any]:
    """Tell what another process tells, or that a step of several is still being done."""
    try:
        while True:
            rounds = next(asked)
            yield Progress(*(at or rounds), unit, note)
    except StopIteration as stop:
        return stop.value
    finally:
        asked.close()
