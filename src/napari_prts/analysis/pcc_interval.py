"""How sure a PCC over cells of one region is, for all genes at once.

Neighbouring cells are alike, so that n cells say less than n independent ones would. Where the
region spans five squares of tissue or more, whole squares are left out one after the other
(delete-a-group jackknife on Fisher's z): like the block bootstrap of
:mod:`~napari_prts.analysis.resampling` it takes the squares, not the cells, as independent, but
costs one look at each square instead of a thousand draws. Smaller regions have only Fisher's z
over cells, which takes the cells as independent and is too narrow; the answer says which it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.pair_sums import PairSums, pcc_of
from napari_prts.analysis.resampling import BLOCK_UM, FEWEST_BLOCKS

# Fewer cells have a correlation, but hardly one that says anything: with 10 of them the
# interval of a PCC of 0.5 reaches from -0.2 to 0.9.
FEWEST_CELLS = 10
# More squares change the interval little and cost memory: each keeps five sums a gene.
MOST_SQUARES = 128
_COVERED = 0.95
# A PCC of 1 has no Fisher's z.
_LARGEST = 1 - 1e-12

SQUARES, CELLS = "squares of tissue", "cells"


@dataclass(frozen=True, eq=False)
class PccInterval:
    """Ends of the 95 % intervals, and what they were told from.

    Parameters
    ----------
    low, high : ndarray of float64, shape (genes,)
        NaN where there is no interval.
    told_from : str
        ``"squares of tissue"``, ``"cells"`` (too narrow where neighbours are alike), or empty
        if there are too few cells.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    told_from: str


def squares_of(places_um: NDArray[np.float64] | None, cells: int) -> NDArray[np.intp]:
    """Cut tissue into squares of 256 um; larger ones if there would be more than 128.

    Parameters
    ----------
    places_um : ndarray, shape (cells, 2), or None
        (row, column); without places all cells are one group.
    cells : int
        Their number.

    Returns
    -------
    ndarray of int, shape (cells,)
        Square of each cell, numbered from 0, none empty.
    """
    if places_um is None or not cells:
        return np.zeros(cells, np.intp)
    side = BLOCK_UM
    while True:
        squares = np.floor_divide(places_um, side).astype(np.int64)
        _, numbers = np.unique(squares, axis=0, return_inverse=True)
        if numbers.max() < MOST_SQUARES:
            return numbers.reshape(-1).astype(np.intp)
        side *= 1.5


def pcc_interval(sums: PairSums) -> PccInterval:
    """Tell the 95 % interval of each gene's PCC.

    Parameters
    ----------
    sums : PairSums
        Group by group; the groups are the squares of :func:`squares_of`.
    """
    nothing = np.full(sums.logs.shape[2], np.nan)
    if sums.count < FEWEST_CELLS:
        return PccInterval(nothing, nothing, "")
    if len(sums.cells) >= FEWEST_BLOCKS:
        return _by_squares(sums)
    return _by_cells(sums)


def _by_cells(sums: PairSums) -> PccInterval:
    """Fisher's z: normal with standard deviation 1 / sqrt(n - 3)."""
    from scipy.special import ndtri

    reach = ndtri((1 + _COVERED) / 2) / np.sqrt(sums.count - 3)
    centre = _z(sums.pcc)
    return PccInterval(np.tanh(centre - reach), np.tanh(centre + reach), CELLS)


def _by_squares(sums: PairSums) -> PccInterval:
    """Jackknife over groups of unequal size.

    Busing, Meijer and van der Leeden, Statistics and Computing 9 (1999) 3, equation 9.
    """
    from scipy.special import stdtrit

    groups = len(sums.cells)
    total, all_cells = sums.logs.sum(0), float(sums.count)
    parts = (all_cells / sums.cells)[:, None]
    whole = _z(pcc_of(total, all_cells))
    without = np.stack(
        [
            _z(pcc_of(total - logs, all_cells - cells))
            for logs, cells in zip(sums.logs, sums.cells, strict=True)
        ]
    )
    centre = groups * whole - ((1 - 1 / parts) * without).sum(0)
    pseudo = parts * whole - (parts - 1) * without
    variance = ((pseudo - centre) ** 2 / (parts - 1)).mean(0)
    reach = stdtrit(groups - 1, (1 + _COVERED) / 2) * np.sqrt(variance)
    return PccInterval(np.tanh(whole - reach), np.tanh(whole + reach), SQUARES)


def _z(pcc: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arctanh(np.clip(pcc, -_LARGEST, _LARGEST))
