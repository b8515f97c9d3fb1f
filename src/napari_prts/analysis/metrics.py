"""The figures of agreement, gene by gene over cells.

PCC and RMSE are the paper's. The others are those of the benchmark of eleven methods
(Wang et al., Nature Communications 16 (2025) 1544, table 2), with the definitions of its
published code (``benchmarkUtils.R``); where ours differs, the docstring says so. Each works
on all genes at once, a block of genes after the other to bound memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Genes taken at once: 60,000 cells of them are 60 MB in double precision.
GENES_AT_ONCE = 128
_FEWEST_BINS = 10


def gene_blocks(genes: int, at_once: int = GENES_AT_ONCE) -> Iterator[slice]:
    """Cut a number of genes into runs of columns."""
    for start in range(0, genes, at_once):
        yield slice(start, min(start + at_once, genes))


def rmse_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Root of the mean squared difference over cells, (genes,).

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        For the paper's figures, log1p of expression.
    """
    squares = np.empty(predicted.shape[1])
    for block in gene_blocks(predicted.shape[1]):
        squares[block] = ((predicted[:, block].astype(np.float64) - measured[:, block]) ** 2).mean(
            0
        )
    root: NDArray[np.float64] = np.sqrt(squares)
    return root


def nrmse_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """RMSE divided by the range (largest minus smallest) of the measured values, (genes,).

    The benchmark of eleven methods, table 2. NaN where the measured value is the same in all
    cells.

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        log1p of expression.
    """
    span = np.ptp(measured, axis=0).astype(np.float64)
    return _divided(rmse_per_gene(predicted, measured), span)


def accuracy_per_gene(
    predicted: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of cells where "is expressed" is told right, (genes,).

    Parameters
    ----------
    predicted, measured : ndarray of bool, shape (cells, genes)
        Whether the gene is expressed.
    """
    right: NDArray[np.float64] = (predicted == measured).mean(0)
    return right


def auc_per_gene(score: NDArray[np.floating], expressed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Area under the receiver operating characteristic of "is it expressed", (genes,).

    The chance that a cell with the gene scores higher than a cell without it, ties counting
    half (Mann and Whitney); the same as :func:`sklearn.metrics.roc_auc_score`. The benchmark of
    eleven methods cuts the measured counts into zero and above zero, as here.

    Parameters
    ----------
    score : ndarray, shape (cells, genes)
        Probability of being expressed, or predicted expression.
    expressed : ndarray of bool, shape (cells, genes)
        Whether the gene was measured.

    Returns
    -------
    ndarray of float64, shape (genes,)
        NaN where all cells or none have the gene.
    """
    found = np.full(score.shape[1], np.nan)
    for gene, values, truth in _gene_by_gene(score, expressed):
        without, with_gene = np.sort(values[~truth]), np.sort(values[truth])
        if len(without) and len(with_gene):
            lower = np.searchsorted(without, with_gene, side="left").sum()
            not_higher = np.searchsorted(without, with_gene, side="right").sum()
            found[gene] = (lower + not_higher) / 2 / (len(without) * len(with_gene))
    return found


def mutual_information_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Mutual information of predicted and measured, as a share of their entropies, (genes,).

    As in the benchmark of eleven methods: both sides in bins of equal frequency, as many as
    the cube root of the number of cells and at least 10; mutual information divided by the
    geometric mean of the two entropies, so that it lies between 0 and 1. The same as
    :func:`sklearn.metrics.normalized_mutual_info_score` with ``average_method="geometric"``.
    A value's bin is the share of cells with a smaller value, so equal values, such as the many
    zeros of counts, share a bin.

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        Any monotone scale: only the order matters.

    Returns
    -------
    ndarray of float64, shape (genes,)
        0 where the prediction is the same in all cells, NaN where the measured value is.
    """
    bins = max(_FEWEST_BINS, int(len(predicted) ** (1 / 3)))
    found = np.empty(predicted.shape[1])
    for gene, mine, theirs in _gene_by_gene(predicted, measured):
        first, second = _equal_frequency(mine, bins), _equal_frequency(theirs, bins)
        joint = np.bincount(first * bins + second, minlength=bins * bins) / len(first)
        table = joint.reshape(bins, bins)
        rows, columns = _entropy(table.sum(1)), _entropy(table.sum(0))
        shared = max(rows + columns - _entropy(joint), 0.0)
        scale = np.sqrt(rows * columns)
        found[gene] = np.nan if columns == 0 else (shared / scale if rows > 0 else 0.0)
    return found


def js_divergence_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Jensen-Shannon divergence of a gene's distribution over cells, (genes,).

    Each side is divided by its sum over cells, which gives the share of the gene that each cell
    holds; 0 if the shares are equal, 1 (in bits) if no cell has some of both. The benchmark of
    eleven methods does the same. It is the square of
    :func:`scipy.spatial.distance.jensenshannon` with base 2.

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        Expression, not negative. The benchmark takes the values that its methods predict; here
        it is log1p of counts, as for PCC.

    Returns
    -------
    ndarray of float64, shape (genes,)
        NaN where nothing was measured. A prediction of zero everywhere stands for equal shares.
    """
    from scipy.special import entr

    found = np.full(predicted.shape[1], np.nan)
    for block in gene_blocks(predicted.shape[1]):
        first, second = (side[:, block].astype(np.float64) for side in (predicted, measured))
        first[:, first.sum(0) == 0] = 1.0
        some = second.sum(0) > 0
        first, second = (side[:, some] / side[:, some].sum(0) for side in (first, second))
        # Entropy of the mixture less the mean entropy: twice as quick as two divergences.
        apart = entr((first + second) / 2).sum(0) - (entr(first) + entr(second)).sum(0) / 2
        found[np.flatnonzero(some) + block.start] = np.maximum(apart, 0) / np.log(2)
    return found


def _gene_by_gene(
    first: NDArray[Any], second: NDArray[Any]
) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Number and both columns of each gene, contiguous in memory: many times quicker to sort."""
    for block in gene_blocks(first.shape[1]):
        mine, theirs = (np.ascontiguousarray(side[:, block].T) for side in (first, second))
        for row in range(len(mine)):
            yield block.start + row, mine[row], theirs[row]


def _equal_frequency(values: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """Bin of each value: ``bins`` times the share of values below it, rounded down."""
    ordered = np.sort(values)
    # A value lies in bin k or above if at least k * n / bins values are smaller.
    needed = -(-np.arange(1, bins) * len(values) // bins)
    found: NDArray[np.intp] = np.searchsorted(ordered[needed - 1], values, side="left")
    return found


def _entropy(shares: NDArray[np.float64]) -> float:
    """Entropy in nats of probabilities of any shape."""
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum()) if len(some) > 1 else 0.0


def _divided(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(len(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
