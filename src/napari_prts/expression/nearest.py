"""Which training cells look most like a cell, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.expression.steady import FLOAT32, alike

if TYPE_CHECKING:
    from torch import Tensor

# Rows are compared in so many slabs of equal width. The best of each place in the slabs are
# found by a maximum, and only few of those places are looked at again.
_SLABS = 8
# So many are measured exactly. In bfloat16 half a squared distance is wrong by 1 of a few
# hundred, less than what lies between the fifth and the eighth neighbour.
_CANDIDATES = 8
# Cells at once, for what is computed of them to stay in the processor's cache.
_BLOCK = 64


def sampled_rows(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Choose at most ``most`` of ``count`` training cells, in rising order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Finds the nearest training cells of cells.

    Which rows come into question is found by one matrix product; these few are then
    measured exactly, in float32.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, features)
        Standardised features of training cells, one or more.
    precision : str
        ``"float32"`` or ``"bfloat16"``: of the matrix product.
    device : str
        Where that is computed.
    """

    rows: NDArray[np.float32]
    precision: str = FLOAT32
    device: str = "cpu"

    def of(
        self, features: NDArray[np.float32], number: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Find the nearest rows of each cell.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            Standardised.
        number : int
            Which neighbour's distance is wanted, counted from 1; the last row's if there
            are fewer. At most 8.

        Returns
        -------
        distances : ndarray of float32, shape (n,)
            To the neighbour of that number.
        nearest : ndarray of int32, shape (n,)
            Positions in ``rows`` of the nearest; of equally near ones the first.
        """
        import torch

        distances = np.empty(len(features), np.float32)
        nearest = np.empty(len(features), np.int32)
        weight, bias = self._product
        with torch.inference_mode():
            for part, given in alike(features, weight.dtype, weight.device):
                scores = torch.nn.functional.linear(given, weight, bias).cpu()
                for start in range(part.start, part.stop, _BLOCK):
                    here = slice(start, min(start + _BLOCK, part.stop))
                    block = scores[here.start - part.start : here.stop - part.start]
                    candidates = self._candidates(block.float().numpy())
                    distances[here], nearest[here] = self._measured(
                        features[here], candidates, number
                    )
        return distances, nearest

    @cached_property
    def _product(self) -> tuple[Tensor, Tensor]:
        """Weight and bias that give half of (a cell's squared length - squared distance)."""
        import torch

        width = -(-len(self.rows) // _SLABS)
        weight = np.zeros((_SLABS * width, self.rows.shape[1]), np.float32)
        weight[: len(self.rows)] = self.rows
        # Farther away than any other: these rows are none.
        bias = np.full(len(weight), -1e30, np.float32)
        bias[: len(self.rows)] = (self.rows**2).sum(1) / -2
        dtype = getattr(torch, self.precision)
        product = torch.from_numpy(weight), torch.from_numpy(bias)
        return product[0].to(self.device, dtype), product[1].to(self.device, dtype)

    def _candidates(self, scores: NDArray[np.float32]) -> NDArray[np.intp]:
        """Positions of the rows with the highest scores, in rising order, (n, candidates)."""
        slabs = scores.reshape(len(scores), _SLABS, -1)
        width = slabs.shape[2]
        # The best eight lie at the eight places whose best is best.
        places = _largest(slabs.max(1), _CANDIDATES)
        cells = np.arange(len(scores))[:, None]
        shortlist = slabs[cells, :, places].reshape(len(scores), -1)
        columns = (places[:, :, None] + np.arange(_SLABS) * width).reshape(len(scores), -1)
        chosen = columns[cells, _largest(shortlist, _CANDIDATES)]
        chosen.sort(axis=1)
        return chosen

    def _measured(
        self, features: NDArray[np.float32], candidates: NDArray[np.intp], number: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        apart = self.rows[np.minimum(candidates, len(self.rows) - 1)]
        np.subtract(apart, features[:, None], out=apart)
        squares = np.einsum("nkf,nkf->nk", apart, apart)
        squares[candidates >= len(self.rows)] = np.inf
        first = candidates[np.arange(len(candidates)), squares.argmin(1)]
        squares.sort(axis=1)
        return np.sqrt(squares[:, min(number, len(self.rows)) - 1]), first


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Columns of the largest values of each row, in any order."""
    if values.shape[1] <= count:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, -count, axis=1)[:, -count:]
