"""How cells are to be grouped."""

from __future__ import annotations

from dataclasses import dataclass

from napari_prts.errors import ExpressionError

# The paper: Leiden 0.6 for predicted cells, 1.8 for measured ones to get as many clusters.
PREDICTED_RESOLUTION = 0.6
MEASURED_RESOLUTION = 1.8


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

    resolution: float = PREDICTED_RESOLUTION
    n_top: int = 800
    n_pcs: int = 50
    n_neighbours: int = 15
    seed: int = 0
    umap: bool = True

    def __post_init__(self) -> None:
        check_resolution(self.resolution)
        for name in ("n_top", "n_pcs", "n_neighbours"):
            if getattr(self, name) < 2:
                raise ExpressionError(f"{name} is {getattr(self, name)}; it must be 2 or more.")


def check_resolution(resolution: float) -> None:
    """Refuse what is no resolution.

    Raises
    ------
    ExpressionError
        If it is not above 0.
    """
    if not resolution > 0:
        raise ExpressionError(f"The resolution is {resolution:g}; it must be above 0.")
