"""What a model says of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PredictedCells:
    """A batch of predicted cells, to be shown before all are done.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Of the nuclei.
    genes : tuple of str
        Names.
    expression : ndarray of float32, shape (n, genes)
        Expected counts, 0 where the gene counts as not expressed.
    p_expressed : ndarray of float32, shape (n, genes)
        Probability that the gene is expressed.
    """

    ids: NDArray[np.int64]
    genes: tuple[str, ...]
    expression: NDArray[np.float32]
    p_expressed: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CellTable:
    """What is predicted of cells, to be filled batch by batch.

    Parameters
    ----------
    expression, p_expressed : ndarray of float32, shape (n, genes)
        As in :class:`PredictedCells`.
    distance : ndarray of float32, shape (n,)
        To the training cells, see :class:`~napari_prts.expression.similarity.TrainingCells`.
    nearest_training : ndarray of int32, shape (n,)
        Which of the model's training cells is nearest.
    """

    expression: NDArray[np.float32]
    p_expressed: NDArray[np.float32]
    distance: NDArray[np.float32]
    nearest_training: NDArray[np.int32]

    @classmethod
    def empty(cls, cells: int, genes: int) -> CellTable:
        """Make room."""
        return cls(
            np.empty((cells, genes), np.float32),
            np.empty((cells, genes), np.float32),
            np.empty(cells, np.float32),
            np.empty(cells, np.int32),
        )
