"""How far predicted expression agrees with measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.alignment import dense
from napari_prts.analysis.ceiling import Ceiling, measure_ceiling
from napari_prts.analysis.metrics import accuracy_per_gene, rmse_per_gene
from napari_prts.analysis.scored import ScoredCells, scored_cells
from napari_prts.correlation import pcc_per_gene

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class Agreement:
    """Scores of a prediction, gene by gene over the cells scored.

    Parameters
    ----------
    genes : tuple of str
        Genes that both tables have.
    cells : int
        Cells scored.
    held_out : bool
        Whether they are those of the region left out of training.
    trained_on_some : bool
        Whether cells of the training region are among them; a score is too good then.
    simulated : bool
        Whether the measured counts were simulated.
    pcc : ndarray of float64, shape (genes,)
        Of log1p expression; NaN where one side is the same in all cells.
    rmse : ndarray of float64, shape (genes,)
        Of log1p expression.
    accuracy : ndarray of float64, shape (genes,)
        Share of cells where "is expressed" is told right.
    expressed_by : str
        How the prediction says that a gene is expressed.
    measured_mean, predicted_mean : ndarray of float64, shape (genes,)
        Mean expression, in counts.
    measured_share : ndarray of float64, shape (genes,)
        Share of cells with a count above zero.
    measured_varies : ndarray of bool, shape (genes,)
        Whether the measured count differs between cells.
    ceiling : Ceiling or None
        For simulated cells: what the true rates score.
    """

    genes: tuple[str, ...]
    cells: int
    held_out: bool
    trained_on_some: bool
    simulated: bool
    pcc: NDArray[np.float64]
    rmse: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    expressed_by: str
    measured_mean: NDArray[np.float64]
    predicted_mean: NDArray[np.float64]
    measured_share: NDArray[np.float64]
    measured_varies: NDArray[np.bool_]
    ceiling: Ceiling | None = None

    @property
    def cells_scored(self) -> str:
        """``"held-out region"`` or ``"all"``."""
        return "held-out region" if self.held_out else "all"

    @property
    def pcc_mean(self) -> float:
        """Mean PCC over genes whose measured count varies.

        A gene that is predicted the same for all cells counts 0: nothing is known
        of it. A gene measured the same in all cells is left out: nothing can be.
        """
        return float(np.nan_to_num(self.pcc[self.measured_varies]).mean())

    @property
    def rmse_mean(self) -> float:
        """Mean RMSE over all genes."""
        return float(self.rmse.mean())

    @property
    def accuracy_mean(self) -> float:
        """Share of all cells and genes where "is expressed" is told right."""
        return float(self.accuracy.mean())

    def as_dict(self) -> dict[str, Any]:
        """Give the scores as JSON values; what is not defined becomes None."""
        flat = ~np.isfinite(self.pcc)
        values: dict[str, Any] = {
            "cells": self.cells,
            "genes": len(self.genes),
            "cells_scored": self.cells_scored,
            "training_cells_included": self.trained_on_some,
            "simulated": self.simulated,
            "pcc_mean": self.pcc_mean,
            "rmse_mean": self.rmse_mean,
            "accuracy": self.accuracy_mean,
            "accuracy_of": self.expressed_by,
            "genes_measured_constant": int((~self.measured_varies).sum()),
            "genes_predicted_constant": int((flat & self.measured_varies).sum()),
        }
        ceiling = self.ceiling
        if ceiling is not None:
            values |= {
                "genes_varying": int(ceiling.varies.sum()),
                "cells_with_true_rate": ceiling.cells,
                "pcc_mean_varying": ceiling.predicted,
                "ceiling_mean_varying": ceiling.best,
                "share_of_ceiling": ceiling.share,
            }
        return {**values, "per_gene": {g: self._gene(i) for i, g in enumerate(self.genes)}}

    def _gene(self, index: int) -> dict[str, Any]:
        values: dict[str, Any] = {
            "pcc": _number(self.pcc[index]),
            "rmse": float(self.rmse[index]),
            "accuracy": float(self.accuracy[index]),
            "mean": float(self.measured_mean[index]),
            "predicted_mean": float(self.predicted_mean[index]),
            "expressed_share": float(self.measured_share[index]),
        }
        if self.ceiling is not None:
            values["ceiling"] = _number(self.ceiling.pcc[index])
            values["varies"] = bool(self.ceiling.varies[index])
        return values


def evaluate(predicted: AnnData, measured: AnnData) -> Agreement:
    """Score predicted against measured expression.

    PCC and RMSE are those of log1p expression, per gene over cells, as in the
    paper. A gene is predicted to be expressed where ``layers["p_expressed"]`` is
    0.5 or more, or, without that layer, where its expression is above zero.

    Parameters
    ----------
    predicted : AnnData
        Expression in counts; ``obs["id"]``. If ``obs["split"]`` marks cells as
        ``"test"``, only those are scored.
    measured : AnnData
        Counts; ``obs["id"]``; ``layers["true_rate"]`` for simulated cells.

    Raises
    ------
    ExpressionError
        If the tables share no cells or no genes, are of different slides or nuclei,
        hold values that are no counts, or no gene varies over the cells.
    """
    return agreement_of(scored_cells(predicted, measured), measured)


def agreement_of(cells: ScoredCells, measured: AnnData) -> Agreement:
    """Score cells that are side by side; ``measured`` may hold their true rates."""
    both = cells.aligned
    return Agreement(
        genes=both.genes,
        cells=len(cells),
        held_out=both.held_out,
        trained_on_some=both.trained_on_some,
        simulated=cells.simulated,
        pcc=pcc_per_gene(cells.log_expression, cells.log_counts),
        rmse=rmse_per_gene(cells.log_expression, cells.log_counts),
        accuracy=accuracy_per_gene(cells.called, cells.expressed),
        expressed_by=cells.called_by,
        measured_mean=cells.counts.mean(0, dtype=np.float64),
        predicted_mean=cells.expression.mean(0, dtype=np.float64),
        measured_share=cells.expressed.mean(0),
        measured_varies=cells.varies,
        ceiling=_ceiling(measured, cells),
    )


def _ceiling(measured: AnnData, cells: ScoredCells) -> Ceiling | None:
    if "true_rate" not in measured.layers:
        return None
    both = cells.aligned
    rates = dense(measured.layers["true_rate"], both.measured_rows, both.measured_columns)
    varies = None
    if "varies" in measured.var:
        varies = measured.var["varies"].to_numpy(bool)[both.measured_columns]
    return measure_ceiling(cells.log_expression, cells.log_counts, rates, varies)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
