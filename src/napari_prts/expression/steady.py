"""Matrix products of which a row does not depend on the rows beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FLOAT32, BFLOAT16 = "float32", "bfloat16"
# Products of few rows are computed in another way, and round differently: measured with
# PyTorch 2.15 (MKL and oneDNN), up to 10 rows on two threads. From 32 on, all are alike.
_FEWEST = 32
# Rows of one product: larger ones are no quicker, and leave the processor's cache.
_MOST = 256


def alike(
    rows: NDArray[np.float32], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Iterator[tuple[slice, Tensor]]:
    """Cut rows into parts for matrix products that give each row the same bits in any part.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, columns)
        What is multiplied.
    dtype : torch.dtype
        In which precision.
    device : torch.device or str
        Where.

    Yields
    ------
    part : slice
        Which rows.
    given : Tensor, shape (rows of the part and maybe more, columns)
        These rows, then zeros to fill up; in memory of its own, for what a product rounds
        to also depends on where its input lies.
    """
    import torch

    for start in range(0, len(rows), _MOST):
        part = slice(start, min(start + _MOST, len(rows)))
        count = part.stop - part.start
        given = torch.zeros((-(-count // _FEWEST) * _FEWEST, rows.shape[1]), dtype=dtype)
        given[:count] = torch.from_numpy(np.ascontiguousarray(rows[part]))
        yield part, given.to(device)
