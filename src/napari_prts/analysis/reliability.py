"""How well a gene could be predicted at best, told from its measured counts alone.

A count is the gene's true rate in the cell plus the noise of catching single molecules. Even
a predictor that knows the rate misses the noise, so its PCC stays below 1. How far below can
be told without knowing any rate: divide the molecules of each cell at random into two halves
(binomial thinning); the halves share the rate but not the noise, so what they have in common
is signal.

Two things stand in the way of just correlating the halves. A half has half the depth, and
log1p of half a count is another quantity than log1p of the whole. Both are dealt with
exactly: there is one function h of a half count whose mean, at each rate, is the mean of
log1p of the whole count (see :func:`unthinned_log1p`). The covariance of h over the two
halves is then the variance of the signal in log1p of the whole count, for any distribution of
rates. And the mean of the product of the halves' h over all ways to halve k molecules is a
function of k alone (see :func:`halves_product`), so nothing needs to be drawn at random:
what stands here is the average of infinitely many thinnings.

Noise other than that of single molecules (a cell that is covered by another, a wrong nucleus)
is the same in both halves and counts as signal: the ceiling is then too high, never too low.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import ExpressionError

# Above it the variance of log1p of a Poisson count is 1 / (k + 1) to 1 part in 100,000 of
# the signal; below it the table is exact.
TABLE = 400
_NODES = 600


@lru_cache(maxsize=1)
def unthinned_log1p() -> NDArray[np.float64]:
    """h(0), h(1), ...: its mean over half counts is the mean of log1p over whole counts.

    log(1 + k) is the integral over x from 0 to 1 of (1 - x^k) / -log(x). If k is Poisson with
    rate r, the mean of x^k is exp(-r (1 - x)), which is also the mean of (2x - 1)^j over half
    counts j with rate r / 2. So h(j) is the integral of (1 - (2x - 1)^j) / -log(x). As |2x - 1|
    is nowhere above 1, h is as tame as a logarithm: h(j) is close to log(1 + 2j).

    Returns
    -------
    ndarray of float64, shape (401,)
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # In the root of x the integrand is smooth enough at 0, where the logarithm is not.
    root = (nodes + 1) / 2
    x, weights = root**2, root * weights
    powers = (2 * x - 1)[None, :] ** np.arange(TABLE + 1)[:, None]
    table: NDArray[np.float64] = ((1 - powers) / -np.log(x)) @ weights
    return table


@lru_cache(maxsize=1)
def halves_product_table() -> NDArray[np.float64]:
    """Mean of h(j) h(k - j) over all ways to halve k molecules, for k = 0 to 400."""
    from scipy.stats import binom

    h, counts = unthinned_log1p(), np.arange(TABLE + 1)
    chance = binom.pmf(counts[None, :], counts[:, None], 0.5)
    other = h[np.maximum(counts[:, None] - counts[None, :], 0)]
    product: NDArray[np.float64] = (chance * h[None, :] * other).sum(1)
    return product


def halves_product(counts: NDArray[np.floating]) -> NDArray[np.float32]:
    """Estimate the square of the signal in log1p of each count.

    Parameters
    ----------
    counts : ndarray, any shape
        Whole numbers, 0 or more.

    Returns
    -------
    ndarray of float32, same shape
        Its mean over counts of the same rate is the square of the mean of their log1p.
    """
    table = halves_product_table()
    found = table[np.minimum(counts, TABLE).astype(np.intp)]
    large = counts > TABLE
    if large.any():
        many = counts[large].astype(np.float64)
        found[large] = np.log1p(many) ** 2 - 1 / (many + 1)
    squares: NDArray[np.float32] = found.astype(np.float32)
    return squares


def ceiling_from_counts(counts: NDArray[np.floating] | sparse.spmatrix) -> NDArray[np.float64]:
    """Estimate each gene's ceiling: the PCC of the best possible prediction with log1p counts.

    The best prediction of a cell is the mean of its log1p count at its true rate. Its PCC with
    the log1p count is the root of the share of signal in their variance, the reliability.

    Parameters
    ----------
    counts : ndarray or sparse matrix, shape (cells, genes)
        Raw counts, two cells or more.

    Returns
    -------
    ndarray of float64, shape (genes,)
        0 where no signal can be told from noise; NaN where all cells have the same count.

    Raises
    ------
    ExpressionError
        If they are not raw counts.
    """
    dense: Any = counts.toarray() if hasattr(counts, "toarray") else counts
    values: NDArray[np.float32] = np.asarray(dense, np.float32)
    require_whole(values)
    cells, found = len(values), np.empty(values.shape[1])
    for gene in range(values.shape[1]):
        count = values[:, gene]
        logged = np.log1p(count.astype(np.float64))
        mean = logged.mean()
        # The square of a mean over cells holds a share of their variance that is noise.
        variance = logged.var(ddof=1)
        signal = halves_product(count).mean(dtype=np.float64) - mean**2 + variance / cells
        found[gene] = np.nan if np.ptp(count) == 0 else ceiling_of(signal, variance)
    return found


def ceiling_of(
    signal: NDArray[np.float64] | float, variance: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Root of the share of signal in a variance, between 0 and 1."""
    share = np.divide(
        signal, variance, out=np.zeros(np.shape(signal)), where=np.asarray(variance) > 0
    )
    root: NDArray[np.float64] = np.sqrt(np.clip(share, 0, 1))
    return root


def require_whole(counts: NDArray[np.floating]) -> None:
    """Refuse what was not counted.

    Raises
    ------
    ExpressionError
        If a value is negative or not a whole number.
    """
    if not is_whole(counts):
        raise ExpressionError(
            "The measured expression is not raw counts (it has negative or fractional values), so "
            "its noise cannot be told: give the counts as measured, before normalising."
        )


def is_whole(counts: NDArray[np.floating]) -> bool:
    """Whether all values are whole numbers, 0 or more."""
    return bool(not counts.size or (counts.min() >= 0 and (counts == np.rint(counts)).all()))
