"""How strongly to paint each predicted cell, so that doubtful ones recede."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

# Still to be seen where it lies, not what colour it has.
FAINTEST = 0.15
# From this confidence on cells are painted in full: half of all ordinary cells are below 0.5,
# but only one in five is below 0.2.
FULL_FROM = 0.2
CONFIDENCE, UNLIKE = "confidence", "unlike_training"


def confidence_opacity(predicted: AnnData, faintest: float = FAINTEST) -> NDArray[np.float32]:
    """Turn confidence into opacity.

    ``obs["confidence"]`` is the share of ordinary cells that look at least as unusual (0.05 where
    a cell counts as unlike the training cells). Opacity grows evenly from ``faintest`` at 0 to
    1 at 0.2. Models made before confidence was kept leave it empty; their cells are faint if
    ``obs["unlike_training"]`` marks them.

    Parameters
    ----------
    predicted : AnnData
        Of :func:`~napari_prts.expression.predict`.
    faintest : float
        Opacity of the least sure cells, 0 to 1.

    Returns
    -------
    ndarray of float32, shape (cells,)

    Raises
    ------
    ExpressionError
        If the cells have neither column, or ``faintest`` is outside 0 to 1.
    """
    if not 0 <= faintest <= 1:
        raise ExpressionError(f"faintest is {faintest:g}; it must be from 0 to 1.")
    obs = predicted.obs
    if CONFIDENCE not in obs and UNLIKE not in obs:
        raise ExpressionError(
            f"The cells have no {CONFIDENCE!r} and no {UNLIKE!r} in obs: predict them again."
        )
    sure = np.full(len(obs), np.nan, np.float32)
    if CONFIDENCE in obs:
        sure = np.asarray(obs[CONFIDENCE], np.float32)
    unlike = np.asarray(obs[UNLIKE], bool) if UNLIKE in obs else np.zeros(len(obs), bool)
    by_mark = np.where(unlike, 0.0, 1.0)
    share = np.where(np.isnan(sure), by_mark, np.clip(sure / FULL_FROM, 0, 1))
    opacity: NDArray[np.float32] = (faintest + (1 - faintest) * share).astype(np.float32)
    return opacity
