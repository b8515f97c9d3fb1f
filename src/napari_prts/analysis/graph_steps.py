"""The steps of clustering that hold Python's lock: components, neighbours, Leiden, UMAP.

igraph, numba and the solver of PCA let no other thread run while they work, so that a window in
the same process would stand still for as long. They need little, the variable genes, the cells'
components or the graph, so they can be done in this process or, by
:mod:`~napari_prts.analysis.apart`, in one of their own; what they return is the same.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.analysis.quiet import quiet

# Told how many of how many steps are done.
Tell = Callable[[int, int], None]

# scanpy's choices, and umap-learn's: more rounds for few cells, which need them and are quick.
_MANY_CELLS, _ROUNDS_OF_MANY, _ROUNDS_OF_FEW = 10_000, 200, 500
_MIN_DISTANCE, _SPREAD = 0.5, 1.0
# Cells whose neighbours are compared with all others, not searched for. On two cores the
# search is quicker from 30,000 cells on, but numba needs 15 s or more to compile it in each
# process; a section of the paper's size, 60,000, takes 8 s without.
EXACT_UP_TO = 60_000
# Leiden's passes over the graph; scanpy advises two for igraph's.
_ITERATIONS = 2


def principal_components(
    values: NDArray[np.float32] | sparse.csr_matrix, count: int, seed: int
) -> NDArray[np.float32]:
    """Reduce expression to its principal components.

    Parameters
    ----------
    values : ndarray or csr_matrix, shape (cells, genes)
        Log-normalised.
    count : int
        Components, fewer than cells and than genes.
    seed : int
        Of the solver.

    Returns
    -------
    ndarray of float32, shape (cells, count)
    """
    import scanpy as sc

    with quiet():
        found = sc.pp.pca(values, n_comps=count, random_state=seed)
    return np.asarray(found, np.float32)


def neighbour_graph(
    components: NDArray[np.float32], neighbours: int, seed: int, exact_up_to: int = EXACT_UP_TO
) -> sparse.csr_matrix:
    """Weigh how near each cell's nearest neighbours are, as UMAP does.

    Parameters
    ----------
    components : ndarray, shape (cells, components)
        Principal components.
    neighbours : int
        Of each cell.
    seed : int
        Of the search among many cells.
    exact_up_to : int
        Up to so many cells the neighbours are exact; among more they are searched for, and one
        in thirty or so is missed.

    Returns
    -------
    csr_matrix of float32, shape (cells, cells)
        Symmetric, from 0 to 1: scanpy's connectivities.
    """
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(np.asarray(components))
    search = "sklearn" if len(components) <= exact_up_to else "pynndescent"
    with quiet():
        sc.pp.neighbors(
            cells, n_neighbors=neighbours, use_rep="X", transformer=search, random_state=seed
        )
    return sparse.csr_matrix(cells.obsp["connectivities"])


class LeidenGraph:
    """A graph that is built once and cut into clusters at any resolution.

    Building it takes as long as cutting it.

    Parameters
    ----------
    connectivities : csr_matrix, shape (cells, cells)
        Of :func:`neighbour_graph`.
    """

    def __init__(self, connectivities: sparse.csr_matrix) -> None:
        import igraph

        # Each pair of neighbours once; both triangles are alike.
        upper = sparse.triu(connectivities, k=1).tocoo()
        edges = np.column_stack((upper.row, upper.col)).astype(np.int64)
        self._graph = igraph.Graph(n=connectivities.shape[0], edges=edges.data)
        self._graph.es["weight"] = upper.data.astype(np.float64)

    def groups(self, resolution: float, seed: int) -> NDArray[np.int64]:
        """Cut the graph into clusters.

        Parameters
        ----------
        resolution : float
            Higher gives more clusters.
        seed : int
            The same seed gives the same clusters.

        Returns
        -------
        ndarray of int64, shape (cells,)
            Cluster of each cell, the largest is 0.
        """
        import igraph

        igraph.set_random_number_generator(random.Random(seed))
        try:
            found = self._graph.community_leiden(
                objective_function="modularity",
                weights="weight",
                resolution=resolution,
                n_iterations=_ITERATIONS,
            )
        finally:
            # igraph's own choice: others in this process may use it.
            igraph.set_random_number_generator(random)
        return _largest_first(np.asarray(found.membership, np.int64))


def layout(
    components: NDArray[np.float32],
    connectivities: sparse.csr_matrix,
    seed: int,
    tell: Tell | None = None,
) -> NDArray[np.float32]:
    """Lay cells out in two dimensions: UMAP of the same graph, with scanpy's settings.

    Parameters
    ----------
    components : ndarray, shape (cells, components)
        Principal components.
    connectivities : csr_matrix, shape (cells, cells)
        Of :func:`neighbour_graph`.
    seed : int
        The same seed gives the same places.
    tell : callable, optional
        Told of the rounds done, now and then.

    Returns
    -------
    ndarray of float32, shape (cells, 2)
    """
    with quiet():
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        a, b = find_ab_params(_SPREAD, _MIN_DISTANCE)
        many = len(components) > _MANY_CELLS
        places, _ = simplicial_set_embedding(
            data=np.asarray(components),
            graph=connectivities.tocoo(),
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=_ROUNDS_OF_MANY if many else _ROUNDS_OF_FEW,
            init="spectral",
            random_state=np.random.RandomState(seed),
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            tqdm_kwds=_told_by(tell),
        )
    return np.asarray(places, np.float32)


def _told_by(tell: Tell | None) -> dict[str, Any]:
    """Settings of umap's progress bar by which it writes its rounds to us, not to a terminal."""
    if tell is None:
        return {"disable": True}
    settings = {"bar_format": "{n_fmt}/{total_fmt} ", "mininterval": 0.2, "miniters": 1}
    return {"disable": False, "file": _Rounds(tell), **settings}


class _Rounds:
    """A file to which a progress bar is written."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def write(self, text: str) -> None:
        found = re.search(r"(\d+)/(\d+)", text)
        if found:
            self._tell(int(found[1]), int(found[2]))

    def flush(self) -> None:
        """Nothing is held back."""


def _largest_first(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    sizes = np.bincount(groups)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[groups]
