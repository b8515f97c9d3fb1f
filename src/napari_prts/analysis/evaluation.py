"""All scores of a prediction, with how sure they are and what they have to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.agreement import Agreement
from napari_prts.analysis.broad_types import MARKERS, TypeAgreement
from napari_prts.analysis.calibration import Calibration
from napari_prts.analysis.cluster_agreement import ClusterAgreement
from napari_prts.analysis.controls import Controls
from napari_prts.analysis.predictability import Predictability
from napari_prts.analysis.resampling import BLOCK_UM
from napari_prts.analysis.scored import ScoredCells
from napari_prts.errors import ExpressionError


@dataclass(frozen=True)
class EvaluateRequest:
    """How to score.

    Parameters
    ----------
    draws : int
        How often the blocks of tissue are drawn for the intervals.
    block_um : float
        Side of a block.
    clusters : bool
        Whether to group the cells on both sides, the slowest part.
    markers : mapping
        Genes of each broad type.
    seed : int
        Of the draws and the clusters.

    Raises
    ------
    ExpressionError
        If a value is impossible.
    """

    draws: int = 1000
    block_um: float = BLOCK_UM
    clusters: bool = True
    markers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MARKERS)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 100:
            raise ExpressionError(
                f"draws is {self.draws}; the ends of a 95 % interval need 100 or more."
            )
        if not self.block_um > 0:
            raise ExpressionError(f"block_um is {self.block_um:g}; it must be above 0.")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a prediction.

    Whatever could not be told is None, and ``missing`` says why by its name.

    Parameters
    ----------
    cells : ScoredCells
        What was scored.
    agreement : Agreement
        PCC, RMSE and accuracy, as :func:`~napari_prts.analysis.evaluate` gives.
    metrics : dict of ndarray, shape (genes,)
        ``"auc"``, ``"nrmse"``, ``"mutual_information"``, ``"js_divergence"`` and, if the cells
        have places, ``"ssim"``; NaN where one is not defined.
    moran : ndarray of float64, shape (genes,), or None
        Moran's I of the measured gene.
    gene_sets : dict of ndarray of bool, shape (genes,)
        ``"all"``, ``"highly_variable"`` and, if the cells have places,
        ``"spatially_variable"``; only genes whose measured count varies.
    controls : Controls
        What the prediction has to beat.
    predictability : Predictability
        Scores of prediction and controls with their intervals, and which genes are predictable.
    calibration : Calibration or None
        Of the probability of being expressed.
    clusters : ClusterAgreement or None
        Leiden clusters of both sides.
    types : TypeAgreement or None
        Broad cell types of both sides.
    missing : dict of str
        Why something is None.
    unlike : float or None
        Share of the cells that look unlike the training cells; None if the prediction does not
        mark them.
    about : dict of str
        What was predicted by what: slide, encoder, model_hash and trained_on, as far as the
        prediction says.
    """

    cells: ScoredCells
    agreement: Agreement
    metrics: dict[str, NDArray[np.float64]]
    moran: NDArray[np.float64] | None
    gene_sets: dict[str, NDArray[np.bool_]]
    controls: Controls
    predictability: Predictability
    calibration: Calibration | None
    clusters: ClusterAgreement | None
    types: TypeAgreement | None
    missing: dict[str, str]
    unlike: float | None
    about: dict[str, str]

    @property
    def ceiling(self) -> NDArray[np.float64] | None:
        """Best possible PCC, estimated from the counts, (genes,); None if they are none.

        NaN where the measured count is the same in all cells.
        """
        found = self.predictability.ceiling
        return None if found is None else np.where(self.cells.varies, found.value, np.nan)

    @property
    def predictable(self) -> NDArray[np.bool_] | None:
        """Genes that beat the controls beyond the interval; None if that cannot be told."""
        return self.predictability.predictable
