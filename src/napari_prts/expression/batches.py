"""Cells as training takes them: sparse counts on the device, made dense a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from napari_prts.expression.scaling import GeneScaling


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells to learn from or to check with.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        Standardised.
    counts : csr matrix, shape (n, genes)
        Raw counts.
    """

    features: NDArray[np.float32]
    counts: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.features)


class Batches:
    """Cells on a device, from which batches are taken.

    The scaling is done once on the non-zero counts, a tenth or less of all; a batch is
    filled in by one scatter. Dense, the targets of 57,000 cells and 1,820 genes would
    take 830 MB.

    Parameters
    ----------
    cells : Cells
        The cells.
    scaling : GeneScaling
        Of the counts.
    device : torch.device
        Where the batches are wanted.
    """

    def __init__(self, cells: Cells, scaling: GeneScaling, device: torch.device) -> None:
        counts = cells.counts
        counts.eliminate_zeros()
        self._genes = int(counts.shape[1])
        self._features = torch.from_numpy(cells.features).to(device)
        self._starts = torch.from_numpy(counts.indptr.astype(np.int64)).to(device)
        self._columns = torch.from_numpy(counts.indices.astype(np.int32, copy=False)).to(device)
        self._scaled = torch.from_numpy(scaling.scaled(counts)).to(device)
        self._device = device

    def __len__(self) -> int:
        return len(self._features)

    def features(self, rows: NDArray[np.integer]) -> Tensor:
        """Give the features of some cells, shape (b, features)."""
        return self._features[torch.from_numpy(np.asarray(rows, np.int64)).to(self._device)]

    def take(self, rows: NDArray[np.integer]) -> tuple[Tensor, Tensor, Tensor]:
        """Give the features, scaled expression and "is expressed" (1 or 0) of some cells.

        Parameters
        ----------
        rows : ndarray of int, shape (b,)
            Which cells.

        Returns
        -------
        features : Tensor, shape (b, features)
        scaled, expressed : Tensor, shape (b, genes)
        """
        chosen = torch.from_numpy(np.asarray(rows, np.int64)).to(self._device)
        begin = self._starts[chosen]
        lengths = self._starts[chosen + 1] - begin
        ends = lengths.cumsum(0)
        # For each entry of the batch: where it lies among all, and in which row it goes.
        row = torch.repeat_interleave(
            torch.arange(len(chosen), device=self._device), lengths, output_size=int(ends[-1])
        )
        entry = torch.arange(len(row), device=self._device) + (begin - ends + lengths)[row]
        place = row * self._genes + self._columns[entry]
        shape = (len(chosen), self._genes)
        scaled = torch.zeros(shape, device=self._device)
        expressed = torch.zeros(shape, device=self._device)
        scaled.view(-1)[place] = self._scaled[entry]
        expressed.view(-1)[place] = 1.0
        return self._features[chosen], scaled, expressed
