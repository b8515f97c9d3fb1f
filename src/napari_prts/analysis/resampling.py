"""How sure a score is: cells drawn again, block of tissue by block of tissue.

Neighbouring cells are alike and share image context, so a score over 5,000 cells is not as
sure as 5,000 independent cells would make it. Whole squares of tissue are drawn with
replacement instead of cells (block bootstrap); every gene, the prediction and the controls see
the same draws, so that differences between them are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

# Twice the tile that an encoder looks at (128 um, the paper): cells of different blocks
# share context at the borders only.
BLOCK_UM = 256.0
# With fewer blocks the draws hardly differ, and an interval would look surer than it is.
FEWEST_BLOCKS = 5
_ENDS = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class Resampling:
    """Blocks of tissue, and how often each is drawn.

    Parameters
    ----------
    blocks : ndarray of int, shape (cells,)
        Block of each cell, numbered from 0.
    draws : ndarray of float64, shape (draws + 1, blocks)
        How often each block is drawn; the first row draws each once: the cells as they are.
    """

    blocks: NDArray[np.intp]
    draws: NDArray[np.float64]

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return int(self.draws.shape[1])

    def totals(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum values over the cells of each draw.

        Parameters
        ----------
        values : ndarray, shape (cells, k)

        Returns
        -------
        ndarray of float64, shape (draws + 1, k)
        """
        of_blocks = self._membership @ np.asarray(values, np.float64)
        totals: NDArray[np.float64] = self.draws @ of_blocks
        return totals

    @cached_property
    def _membership(self) -> Any:
        """Which cells are in each block, sparse, (blocks, cells)."""
        from scipy.sparse import csr_array

        places = (self.blocks, np.arange(len(self.blocks)))
        return csr_array((np.ones(len(self.blocks)), places), (self.block_count, len(self.blocks)))


def no_resampling(cells: int) -> Resampling:
    """Score cells as they are: there are no draws, and so no intervals."""
    return Resampling(np.zeros(cells, np.intp), np.ones((1, 1)))


def plan_resampling(
    places_um: NDArray[np.floating], draws: int, seed: int, block_um: float = BLOCK_UM
) -> Resampling:
    """Cut the tissue into squares and draw them.

    Parameters
    ----------
    places_um : ndarray, shape (cells, 2)
        (row, column).
    draws : int
        How often to draw.
    seed : int
        The same seed and cells give the same draws.
    block_um : float
        Side of a square.

    Raises
    ------
    ExpressionError
        If the cells lie in fewer than five squares.
    """
    squares = np.floor_divide(np.asarray(places_um, np.float64), block_um).astype(np.int64)
    _, blocks = np.unique(squares, axis=0, return_inverse=True)
    blocks = blocks.reshape(-1)
    count = int(blocks.max()) + 1
    if count < FEWEST_BLOCKS:
        raise ExpressionError(
            f"The cells lie in {count} squares of {block_um:g} um; {FEWEST_BLOCKS} are needed to "
            "tell how sure the scores are: score a larger region."
        )
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return Resampling(blocks, np.concatenate((np.ones((1, count)), drawn)))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A score of the cells as they are, and the 95 % interval of its draws.

    Parameters
    ----------
    value, low, high : ndarray of float64
        All of one shape; NaN where the score is not defined.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, draws: NDArray[np.float64]) -> Drawn:
        """Sum up draws; the first row is the score of the cells as they are.

        Parameters
        ----------
        draws : ndarray, shape (draws + 1, ...)
            NaN where the score is not defined. Such draws are left out; if they are half of
            all or more, or there is none, there is no interval.
        """
        if len(draws) == 1:
            nothing = np.full(draws.shape[1:], np.nan)
            return cls(np.asarray(draws[0]), nothing, nothing)
        enough = np.isfinite(draws[1:]).mean(0) > 0.5
        filled = np.where(enough, draws[1:], 0.0)
        # nanpercentile is many times slower, and rarely needed.
        percentile = np.nanpercentile if np.isnan(filled).any() else np.percentile
        ends = np.where(enough, percentile(filled, _ENDS, axis=0), np.nan)
        return cls(np.asarray(draws[0]), ends[0], ends[1])

    @classmethod
    def joined(cls, parts: list[Drawn]) -> Drawn:
        """Put the scores of several blocks of genes after each other."""
        return cls(
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
        )

    def above(self, limit: float) -> NDArray[np.bool_]:
        """Whether the whole interval lies above a limit; False where there is none."""
        above: NDArray[np.bool_] = np.nan_to_num(self.low, nan=-np.inf) > limit
        return above
