"""Clusters of one side beside those of the other: which belong together, and how many cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.clusters import cluster_colours
from napari_prts.analysis.paired import pair
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import Categorical, DataFrame, Series


@dataclass(frozen=True, eq=False)
class ClusterMatch:
    """Which clusters of two groupings of the same cells are one.

    Parameters
    ----------
    pairs : tuple of (str, str)
        Names of matched clusters, first and second grouping, those with the most cells first.
    first, second : dict of int
        Number of each cluster's colour, by its name; matched clusters have the same, others one
        of their own.
    confusion : DataFrame
        Cells in each pair of clusters; rows are the first grouping's.
    """

    pairs: tuple[tuple[str, str], ...]
    first: dict[str, int]
    second: dict[str, int]
    confusion: DataFrame

    @property
    def colours(self) -> list[str]:
        """A colour for each number in ``first`` and ``second``."""
        return cluster_colours(1 + max([*self.first.values(), *self.second.values()]))

    @property
    def agreement(self) -> float:
        """Share of the cells that are in matched clusters on both sides."""
        together = sum(int(self.confusion.loc[a, b]) for a, b in self.pairs)
        return float(together / self.confusion.to_numpy().sum())


def match_clusters(first: Series | Categorical, second: Series | Categorical) -> ClusterMatch:
    """Match clusters one to one by the cells that they share.

    The matching with the largest sum of overlaps (Hungarian method), where the overlap of two
    clusters is the number of cells in both over the number in either: a large cluster does
    not draw a small one to itself. A pair that shares no more cells than two groupings dealt at
    random would is no match.

    Parameters
    ----------
    first, second : Categorical or Series, shape (cells,)
        Cluster of the same cells, in the same order: see :func:`shared_labels`.

    Raises
    ------
    ExpressionError
        If they are not of the same cells, or no cell is in a cluster on both sides.
    """
    from scipy.optimize import linear_sum_assignment

    table = confusion(first, second)
    counts = table.to_numpy().astype(np.float64)
    rows, columns = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    either = rows + columns - counts
    overlap = np.divide(counts, either, out=np.zeros_like(counts), where=either > 0)
    chosen = np.column_stack(linear_sum_assignment(overlap, maximize=True))
    by_chance = rows * columns / counts.sum()
    real = [(a, b) for a, b in chosen if counts[a, b] > by_chance[a, b]]
    real.sort(key=lambda pair: -counts[pair])
    numbers = _numbers(real, *counts.shape)
    names = [str(name) for name in table.index], [str(name) for name in table.columns]
    return ClusterMatch(
        tuple((names[0][a], names[1][b]) for a, b in real),
        dict(zip(names[0], numbers[0], strict=True)),
        dict(zip(names[1], numbers[1], strict=True)),
        table,
    )


def confusion(first: Series | Categorical, second: Series | Categorical) -> DataFrame:
    """Count the cells in each pair of clusters.

    Parameters
    ----------
    first, second : Categorical or Series, shape (cells,)
        Of the same cells, in the same order.

    Returns
    -------
    DataFrame of int
        A row for each cluster of the first grouping, a column for each of the second.

    Raises
    ------
    ExpressionError
        If they are not of the same cells, or no cell is in a cluster on both sides.
    """
    import pandas as pd

    one, other = pd.Categorical(first), pd.Categorical(second)
    if len(one) != len(other):
        raise ExpressionError(
            f"The clusters are of {len(one):,} and of {len(other):,} cells: give those of the same "
            "cells (shared_labels)."
        )
    known = (one.codes >= 0) & (other.codes >= 0)
    if not known.any():
        raise ExpressionError("No cell is in a cluster on both sides: group both sides first.")
    counts = np.zeros((len(one.categories), len(other.categories)), np.int64)
    np.add.at(counts, (one.codes[known], other.codes[known]), 1)
    index = pd.Index([str(name) for name in one.categories], name="first")
    columns = pd.Index([str(name) for name in other.categories], name="second")
    return pd.DataFrame(counts, index=index, columns=columns)


def proportions(groupings: Mapping[str, Series | Categorical]) -> DataFrame:
    """Tell the share of cells in each cluster.

    Parameters
    ----------
    groupings : mapping
        Clusters of the cells of each side, slide or region, by its name.

    Returns
    -------
    DataFrame of float
        A row for each cluster, a column for each grouping; each column adds up to 1. 0 where a
        grouping has no such cluster.
    """
    import pandas as pd

    columns = {}
    for name, labels in groupings.items():
        shares = pd.Series(pd.Categorical(labels)).value_counts(normalize=True, sort=False)
        shares.index = shares.index.astype(str)
        columns[name] = shares
    order = list(dict.fromkeys(label for shares in columns.values() for label in shares.index))
    table = pd.DataFrame({name: shares.reindex(order) for name, shares in columns.items()})
    return table.fillna(0.0).rename_axis("cluster")


def shared_labels(
    predicted: AnnData, measured: AnnData, column: str = "leiden"
) -> tuple[Series, Series]:
    """Take the clusters of the cells that both tables have.

    Parameters
    ----------
    predicted, measured : AnnData
        With ``obs["id"]`` and the clusters in ``obs``.
    column : str
        Of the clusters.

    Returns
    -------
    tuple of Series
        Predicted and measured, cell by cell.

    Raises
    ------
    ExpressionError
        If a side is not grouped, or the tables do not belong together.
    """
    for name, table in (("predicted", predicted), ("measured", measured)):
        if column not in table.obs:
            raise ExpressionError(f"The {name} cells have no {column!r} in obs: group them first.")
    both = pair(predicted, measured)
    assert both.predicted is not None
    assert both.measured is not None
    return (
        predicted.obs[column].iloc[both.predicted.rows],
        measured.obs[column].iloc[both.measured.rows],
    )


def _numbers(
    pairs: list[tuple[Any, Any]], first: int, second: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number colours: the first grouping's in order, then the second's unmatched ones."""
    numbers = np.full(second, -1)
    for a, b in pairs:
        numbers[b] = a
    alone = np.flatnonzero(numbers < 0)
    numbers[alone] = first + np.arange(len(alone))
    return np.arange(first), numbers
