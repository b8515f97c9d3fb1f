"""Clusters as the window and the tables want them: numbered, coloured, the small ones marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import Categorical, Series

# The paper leaves out clusters of fewer than 1,200 cells, on sections of about 60,000.
SMALL_CLUSTER = 1200
PAPER_SECTION = 60_000


def small_limit(cells: int) -> int:
    """Tell below how many cells a cluster is small.

    The paper's 1,200 on its sections of 60,000 cells are 2 % of the cells; on a smaller slide
    the share is kept, on a larger one the number.
    """
    return min(SMALL_CLUSTER, round(cells * SMALL_CLUSTER / PAPER_SECTION))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which cluster each cell is in.

    Parameters
    ----------
    codes : ndarray of int64, shape (cells,)
        Cluster of each cell; 0 is the largest.
    resolution : float
        At which they were found.
    """

    codes: NDArray[np.int64]
    resolution: float

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Cells in each cluster, the largest first, (clusters,)."""
        return np.bincount(self.codes).astype(np.int64)

    @property
    def names(self) -> list[str]:
        """``"0"``, ``"1"``, ... as scanpy names them."""
        return [str(number) for number in range(len(self.sizes))]

    @property
    def labels(self) -> Categorical:
        """Name of each cell's cluster, (cells,)."""
        import pandas as pd

        return pd.Categorical.from_codes(self.codes, categories=self.names)

    @property
    def small(self) -> NDArray[np.bool_]:
        """Cells in clusters that the paper would leave out, (cells,); they are greyed."""
        found: NDArray[np.bool_] = (self.sizes < small_limit(len(self.codes)))[self.codes]
        return found

    @property
    def colours(self) -> list[str]:
        """One colour a cluster."""
        return cluster_colours(len(self.sizes))


def cluster_colours(count: int) -> list[str]:
    """Give colours by scanpy's own palettes, so that its plots and ours look alike.

    Parameters
    ----------
    count : int
        How many; after 102 they come again.

    Returns
    -------
    list of str
        ``"#1f77b4"``, ...
    """
    from scanpy.plotting import palettes

    for palette in (palettes.default_20, palettes.default_28):
        if count <= len(palette):
            return list(palette[:count])
    longest = palettes.default_102
    return [longest[index % len(longest)] for index in range(count)]


def renamed(labels: Series | Categorical, names: Mapping[str, str]) -> Categorical:
    """Give clusters the names that a person typed.

    Parameters
    ----------
    labels : Categorical
        Cluster of each cell.
    names : mapping
        New name of each cluster; those not in it, or with an empty name, keep theirs. Clusters
        of one name become one.

    Returns
    -------
    Categorical
        In the order of the clusters.
    """
    import pandas as pd

    old = pd.Categorical(labels)
    new = [names.get(str(name), "").strip() or str(name) for name in old.categories]
    order = list(dict.fromkeys(new))
    codes = np.array([order.index(name) for name in new] + [-1])[old.codes]
    return pd.Categorical.from_codes(codes, categories=order)
