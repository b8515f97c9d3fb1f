"""Whether predicted cells fall into the groups that measured cells fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.cluster_request import (
    MEASURED_RESOLUTION,
    PREDICTED_RESOLUTION,
    ClusterRequest,
)
from napari_prts.analysis.clustering import cluster
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from anndata import AnnData

    from napari_prts.analysis.scored import ScoredCells

# The silhouette compares all pairs of cells; the paper's 57,000 would take minutes.
_MOST_PAIRED = 5000


@dataclass(frozen=True)
class ClusterAgreement:
    """Clusters of predicted beside those of measured cells.

    Parameters
    ----------
    predicted, measured : int
        Number of clusters.
    adjusted_rand : float
        :func:`sklearn.metrics.adjusted_rand_score` of the two groupings of the same cells: 1 if
        they are the same, 0 as by chance. The paper reports 0.1424.
    silhouette : float or None
        :func:`sklearn.metrics.silhouette_score` of the predicted clusters among the predicted
        cells' principal components, at most 5,000 cells: 1 if clusters lie far apart, 0 if
        they run into each other. The paper reports 0.0952. None with a single cluster.
    measured_silhouette : float or None
        The same of the predicted clusters among the measured cells' principal components: what
        of them is seen in what was measured.
    """

    predicted: int
    measured: int
    adjusted_rand: float
    silhouette: float | None
    measured_silhouette: float | None


def compare_clusters(cells: ScoredCells, seed: int) -> Generator[Progress, None, ClusterAgreement]:
    """Group both sides with the paper's settings and compare.

    Raises
    ------
    ExpressionError
        If there are too few cells or genes to group.
    """
    first = yield from _grouped(cells.expression, PREDICTED_RESOLUTION, seed)
    second = yield from _grouped(cells.counts, MEASURED_RESOLUTION, seed)
    from sklearn.metrics import adjusted_rand_score

    mine, theirs = first.obs["leiden"].to_numpy(), second.obs["leiden"].to_numpy()
    return ClusterAgreement(
        len(set(mine)),
        len(set(theirs)),
        float(adjusted_rand_score(theirs, mine)),
        _silhouette(first.obsm["X_pca"], mine, seed),
        _silhouette(second.obsm["X_pca"], mine, seed),
    )


def _grouped(
    counts: NDArray[np.float32], resolution: float, seed: int
) -> Generator[Progress, None, AnnData]:
    from anndata import AnnData

    if not counts.any():
        raise ExpressionError("Nothing is predicted to be expressed, so no cells can be grouped.")
    request = ClusterRequest(resolution=resolution, seed=seed, umap=False)
    return (yield from cluster(AnnData(counts), request))


def _silhouette(
    places: NDArray[np.floating], groups: NDArray[np.object_], seed: int
) -> float | None:
    from sklearn.metrics import silhouette_score

    rows = np.arange(len(groups))
    if len(rows) > _MOST_PAIRED:
        rows = np.random.default_rng(seed).choice(rows, _MOST_PAIRED, replace=False)
    found = len(set(groups[rows]))
    if not 1 < found < len(rows):
        return None
    return float(silhouette_score(places[rows], groups[rows]))
