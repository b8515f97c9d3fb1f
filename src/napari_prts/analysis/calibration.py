"""Whether a predicted probability of being expressed can be taken at its word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted probability beside the share of cases where the gene was measured.

    Parameters
    ----------
    cases : ndarray of int64, shape (10,)
        Cells and genes whose probability lies in each tenth from 0 to 1.
    predicted : ndarray of float64, shape (10,)
        Their mean probability; NaN where there is no case.
    measured : ndarray of float64, shape (10,)
        Share of them where the gene was measured.
    """

    cases: NDArray[np.int64]
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Mean distance of predicted and measured share over all cases.

        The expected calibration error of Naeini et al., AAAI 2015, with tenths as bins.
        """
        some = self.cases > 0
        apart = np.abs(self.predicted[some] - self.measured[some])
        return float(np.average(apart, weights=self.cases[some]))

    @classmethod
    def of(cls, probability: NDArray[np.floating], expressed: NDArray[np.bool_]) -> Calibration:
        """Compare probabilities with what was measured; any shape, the same for both."""
        cases, predicted, measured = np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS)
        # Row by row of the tables, so that no second copy of them is made.
        for start in range(0, len(probability), 1024):
            chance = probability[start : start + 1024].ravel()
            truth = expressed[start : start + 1024].ravel()
            bins = np.minimum((chance * BINS).astype(np.intp), BINS - 1)
            cases += np.bincount(bins, minlength=BINS)
            predicted += np.bincount(bins, chance, BINS)
            measured += np.bincount(bins, truth, BINS)
        some = np.where(cases > 0, cases, np.nan)
        return cls(cases, predicted / some, measured / some)
