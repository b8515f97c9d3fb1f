"""The cells that are scored: predicted and measured side by side, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.alignment import Aligned, align, dense
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST_CELLS = 3
PROBABILITY = "p_expressed"

# The paper gives no threshold for its accuracy of "is it expressed"; this is the even chance.
EVEN_CHANCE = 0.5


@dataclass(frozen=True, eq=False)
class ScoredCells:
    """Predicted and measured expression of the same cells and genes.

    Parameters
    ----------
    aligned : Aligned
        Which rows and columns of the two tables they are.
    simulated : bool
        Whether the measured counts were simulated.
    expression : ndarray of float32, shape (cells, genes)
        Predicted, in counts.
    counts : ndarray of float32, shape (cells, genes)
        Measured.
    probability : ndarray of float32, shape (cells, genes), or None
        Predicted probability that the gene is expressed.
    places_um : ndarray of float64, shape (cells, 2), or None
        (row, column) of the cells; None if the tables hold no places or no pixel size.
    """

    aligned: Aligned
    simulated: bool
    expression: NDArray[np.float32]
    counts: NDArray[np.float32]
    probability: NDArray[np.float32] | None
    places_um: NDArray[np.float64] | None

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes."""
        return self.aligned.genes

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def log_expression(self) -> NDArray[np.float32]:
        """log1p of the prediction, (cells, genes)."""
        return np.log1p(self.expression)

    @cached_property
    def log_counts(self) -> NDArray[np.float32]:
        """log1p of the counts, (cells, genes)."""
        return np.log1p(self.counts)

    @cached_property
    def varies(self) -> NDArray[np.bool_]:
        """Genes whose measured count differs between cells, (genes,)."""
        varies: NDArray[np.bool_] = np.ptp(self.counts, axis=0) > 0
        return varies

    @property
    def expressed(self) -> NDArray[np.bool_]:
        """Whether the gene was measured, (cells, genes)."""
        return self.counts > 0

    @property
    def called(self) -> NDArray[np.bool_]:
        """Whether the gene is predicted to be expressed, (cells, genes)."""
        return self.expression > 0 if self.probability is None else self.probability >= EVEN_CHANCE

    @property
    def called_by(self) -> str:
        """How the prediction says that a gene is expressed, in words."""
        return "expression > 0" if self.probability is None else f"{PROBABILITY} >= {EVEN_CHANCE:g}"


def scored_cells(predicted: AnnData, measured: AnnData) -> ScoredCells:
    """Take the cells and genes that both tables have.

    Parameters
    ----------
    predicted, measured : AnnData
        See :func:`~napari_prts.analysis.evaluate`.

    Raises
    ------
    ExpressionError
        If the tables share no cells or no genes, are of different slides or nuclei,
        hold values that are no counts, or no gene varies over the cells.
    """
    both = align(predicted, measured)
    if len(both.predicted_rows) < FEWEST_CELLS:
        raise ExpressionError(
            f"Only {len(both.predicted_rows)} cells are both predicted and measured; "
            f"{FEWEST_CELLS} are needed for a correlation."
        )
    mine = (both.predicted_rows, both.predicted_columns)
    probability = None
    if PROBABILITY in predicted.layers:
        probability = _chances(dense(predicted.layers[PROBABILITY], *mine))
    cells = ScoredCells(
        both,
        bool(measured.uns.get("visium_hd", {}).get("simulated", False)),
        _counts(dense(predicted.X, *mine), "predicted"),
        _counts(dense(measured.X, both.measured_rows, both.measured_columns), "measured"),
        probability,
        _places_um(predicted, both.predicted_rows),
    )
    if not cells.varies.any():
        raise ExpressionError(
            f"No gene varies over the {len(cells):,} measured cells scored: there is nothing to "
            "correlate with."
        )
    return cells


def _places_um(predicted: AnnData, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    mpp = predicted.uns.get("prts", {}).get("mpp")
    if mpp is None or "spatial" not in predicted.obsm:
        return None
    places: NDArray[np.float64] = np.asarray(predicted.obsm["spatial"], np.float64)[rows, 1::-1]
    return places * float(mpp)


def _chances(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # NaN fails the comparison too.
    if not ((values >= 0) & (values <= 1)).all():
        raise ExpressionError(
            f"The predicted cells' layer {PROBABILITY!r} has values outside 0 to 1: predict again."
        )
    return values


def _counts(values: NDArray[np.float32], which: str) -> NDArray[np.float32]:
    if not np.isfinite(values).all() or values.min() < 0:
        raise ExpressionError(
            f"The {which} expression has values that are negative or no numbers: give counts, not "
            "scaled or corrected values."
        )
    return values
