"""The probability below which a gene is taken as not expressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.expression.pcc_sums import correlation

THRESHOLDS = tuple(step / 10 for step in range(10))
_EDGES = np.array(THRESHOLDS[1:], np.float32)
# Genes taken at once, for the sums of a block to stay in the processor's cache.
_BLOCK = 256


class ThresholdSums:
    """The mean PCC with each of the thresholds 0, 0.1 ... 0.9, from one look at the cells.

    Each prediction is added to the sums of its tenth of probability; what a threshold
    leaves is what lies in the tenths above it.

    Parameters
    ----------
    genes : int
        Columns.
    """

    def __init__(self, genes: int) -> None:
        self._cells = 0
        self._tenths = np.zeros((3, len(THRESHOLDS), genes))
        self._measured = np.zeros((2, genes))

    def add(
        self,
        counts: NDArray[np.float32],
        probability: NDArray[np.float32],
        measured: NDArray[np.float32],
    ) -> None:
        """Add predicted cells and their measured counts, each of shape (cells, genes)."""
        self._cells += len(counts)
        for start in range(0, counts.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            logged = np.log1p(counts[:, block]).astype(np.float64)
            truth = np.log1p(measured[:, block]).astype(np.float64)
            self._measured[0, block] += truth.sum(0)
            self._measured[1, block] += np.einsum("ij,ij->j", truth, truth)
            genes = logged.shape[1]
            tenth = np.digitize(probability[:, block], _EDGES) * genes + np.arange(genes)
            for total, weight in zip(
                self._tenths, (logged, logged * logged, logged * truth), strict=True
            ):
                total[:, block] += np.bincount(
                    tenth.ravel(), weight.ravel(), len(THRESHOLDS) * genes
                ).reshape(len(THRESHOLDS), genes)

    def best(self) -> tuple[float, float]:
        """Threshold with the highest mean PCC, the smallest of equal ones, and that PCC."""
        above = self._tenths[:, ::-1].cumsum(1)[:, ::-1]
        truth, truth_squares = self._measured
        scores = [
            np.nan_to_num(
                correlation(self._cells, sums, truth, squares, truth_squares, products)
            ).mean()
            for sums, squares, products in above.transpose(1, 0, 2)
        ]
        chosen = int(np.argmax(scores))
        return THRESHOLDS[chosen], float(scores[chosen])


def choose_threshold(
    counts: NDArray[np.float32], probability: NDArray[np.float32], measured: NDArray[np.float32]
) -> tuple[float, float]:
    """Choose, among 0, 0.1 ... 0.9, the threshold that gives the highest mean PCC.

    Of equal ones the smallest is taken.

    Parameters
    ----------
    counts, probability : ndarray, shape (cells, genes)
        Predicted for cells that did not train.
    measured : ndarray, shape (cells, genes)
        Their counts.

    Returns
    -------
    threshold, pcc : float
        The threshold, and the mean over genes of the PCC of log1p counts with it;
        a gene without variation counts 0.
    """
    sums = ThresholdSums(counts.shape[1])
    sums.add(counts, probability, measured)
    return sums.best()


def cut(
    values: NDArray[np.float32], probability: NDArray[np.float32], threshold: float
) -> NDArray[np.float32]:
    """Set values to zero where the probability of being expressed is below the threshold."""
    return np.where(probability >= threshold, values, np.float32(0))
