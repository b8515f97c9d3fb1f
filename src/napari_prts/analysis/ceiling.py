"""How well the best possible predictor would score on simulated cells.

Counts are noisy: even the true rates do not correlate fully with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.correlation import pcc_per_gene

# A true rate varies if its standard deviation over cells is above this share of its mean.
LEAST_VARIATION = 0.1


@dataclass(frozen=True, eq=False)
class Ceiling:
    """The score of the true rates, and the prediction's beside it.

    Parameters
    ----------
    pcc : ndarray of float64, shape (genes,)
        PCC of log1p true rate with log1p counts; NaN where not defined.
    varies : ndarray of bool, shape (genes,)
        Whether the true rate differs between cells.
    cells : int
        Cells whose true rates are known.
    predicted : float
        Mean PCC of the prediction over the varying genes, on these cells.
    best : float
        Mean PCC of the true rates over the varying genes.
    """

    pcc: NDArray[np.float64]
    varies: NDArray[np.bool_]
    cells: int
    predicted: float
    best: float

    @property
    def share(self) -> float:
        """The prediction's mean PCC as a share of that of the true rates."""
        return self.predicted / self.best


def measure_ceiling(
    predicted: NDArray[np.floating],
    counts: NDArray[np.floating],
    rates: NDArray[np.floating],
    varies: NDArray[np.bool_] | None,
) -> Ceiling | None:
    """Score the true rates against the counts.

    Parameters
    ----------
    predicted, counts : ndarray, shape (cells, genes)
        log1p of expression.
    rates : ndarray, shape (cells, genes)
        True rates in counts; a row of NaN where they are not known.
    varies : ndarray of bool, shape (genes,), optional
        Genes known to vary; by default those with a coefficient of variation
        above 0.1.

    Returns
    -------
    Ceiling or None
        None if no gene varies, or no cell's rates are known.
    """
    known = np.isfinite(rates).all(1)
    if not known.any():
        return None
    rates = rates[known]
    best = pcc_per_gene(np.log1p(rates), counts[known])
    if varies is None:
        varies = rates.std(0) > LEAST_VARIATION * rates.mean(0)
    # A gene that was never counted in these cells cannot be scored by anyone.
    scored = varies & np.isfinite(best)
    if not scored.any() or best[scored].mean() <= 0:
        return None
    found = np.nan_to_num(pcc_per_gene(predicted[known], counts[known]))
    return Ceiling(
        best, varies, int(known.sum()), float(found[scored].mean()), float(best[scored].mean())
    )
