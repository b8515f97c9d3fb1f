"""The probability below which a gene is taken as not expressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.correlation import mean_pcc

THRESHOLDS = tuple(step / 10 for step in range(10))


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
    truth, logged = np.log1p(measured), np.log1p(counts)
    scores = [mean_pcc(cut(logged, probability, value), truth) for value in THRESHOLDS]
    best = int(np.argmax(scores))
    return THRESHOLDS[best], scores[best]


def cut(
    values: NDArray[np.float32], probability: NDArray[np.float32], threshold: float
) -> NDArray[np.float32]:
    """Set values to zero where the probability of being expressed is below the threshold."""
    return np.where(probability >= threshold, values, np.float32(0))
