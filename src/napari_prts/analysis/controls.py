"""What a prediction has to beat: two answers that need no learning.

One says of every cell what the mean training cell has, the other copies the counts of the
training cell whose image features are nearest. A score that is no better says nothing about
the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.alignment import TRAIN, dense
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis.scored import ScoredCells

NEAREST = "nearest_training"


class TrainingReference(Protocol):
    """What of a model the controls need; :class:`~napari_prts.expression.ModelBundle` has it."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes, in the order of the columns of ``training_counts``."""

    @property
    def hash(self) -> str:
        """Identity by content, as predicted cells name it in ``uns["prts"]["model_hash"]``."""

    @property
    def training_counts(self) -> Any:
        """Measured counts of training cells, (cells, genes), or None in older models."""


@dataclass(frozen=True, eq=False)
class Controls:
    """The controls' answers; None, with the reason in ``missing``, where one cannot be had.

    Parameters
    ----------
    mean : ndarray of float64, shape (genes,), or None
        Mean measured count of training cells.
    mean_from : str
        Which cells.
    nearest : ndarray of float32, shape (cells, genes), or None
        Measured counts of each cell's nearest training cell in feature space.
    missing : dict of str
        Why a control is missing, by its name.
    """

    mean: NDArray[np.float64] | None
    mean_from: str
    nearest: NDArray[np.float32] | None
    missing: dict[str, str]


def make_controls(
    cells: ScoredCells, predicted: AnnData, measured: AnnData, model: TrainingReference | None
) -> Controls:
    """Make what controls can be made.

    Parameters
    ----------
    cells : ScoredCells
        The cells scored.
    predicted : AnnData
        ``obs["nearest_training"]``: row of the nearest cell in ``model.training_counts``.
    measured : AnnData
        If its cells include those that trained, their mean serves where there is no model.
    model : TrainingReference, optional
        The model that predicted.

    Raises
    ------
    ExpressionError
        If the model is not the one that predicted.
    """
    missing: dict[str, str] = {}
    if model is not None:
        _check_predicted_by(model, predicted)
    counts = None if model is None else _training_counts(cells, model)
    mean, mean_from = _mean_of_training(cells, predicted, measured, counts)
    if mean is None:
        missing["mean"] = (
            "no training cells are known: give the model that predicted, or measured cells that "
            "include those it was trained on"
        )
    nearest = None
    if model is None:
        missing["nearest"] = "no model was given (--model): give the one that predicted"
    elif counts is None:
        missing["nearest"] = "the model holds no counts of its training cells: train it again"
    elif NEAREST not in predicted.obs:
        missing["nearest"] = (
            f"the predicted cells have no column {NEAREST!r} in obs: predict them again"
        )
    else:
        nearest = counts[_nearest_rows(cells, predicted, len(counts))]
    return Controls(mean, mean_from, nearest, missing)


def _check_predicted_by(model: TrainingReference, predicted: AnnData) -> None:
    said = predicted.uns.get("prts", {}).get("model_hash")
    if said is not None and str(said) != model.hash:
        raise ExpressionError(
            f"The cells were predicted by model {said}, the model given is {model.hash}: give the "
            "model that predicted these cells."
        )


def _training_counts(cells: ScoredCells, model: TrainingReference) -> NDArray[np.float32] | None:
    """Counts of the model's training cells, in the order of the genes scored."""
    places = {gene: column for column, gene in enumerate(model.genes)}
    unknown = [gene for gene in cells.genes if gene not in places]
    if unknown:
        raise ExpressionError(
            f"The model given does not know gene {unknown[0]}, which was predicted: give the model "
            "that predicted these cells."
        )
    if model.training_counts is None:
        return None
    rows = np.arange(model.training_counts.shape[0])
    return dense(model.training_counts, rows, np.array([places[gene] for gene in cells.genes]))


def _nearest_rows(cells: ScoredCells, predicted: AnnData, count: int) -> NDArray[np.int64]:
    rows = np.asarray(predicted.obs[NEAREST], np.int64)[cells.aligned.predicted_rows]
    if rows.min() < 0 or rows.max() >= count:
        raise ExpressionError(
            f"The predicted cells name training cell {rows.max()}, but the model given keeps "
            f"{count}: give the model that predicted these cells."
        )
    return rows


def _mean_of_training(
    cells: ScoredCells, predicted: AnnData, measured: AnnData, counts: NDArray[np.float32] | None
) -> tuple[NDArray[np.float64] | None, str]:
    if counts is not None:
        return counts.mean(0, dtype=np.float64), "training cells kept in the model"
    if "split" not in predicted.obs:
        return None, ""
    trained = np.asarray(predicted.obs["split"].astype(str), str) == TRAIN
    ids = np.asarray(predicted.obs["id"], np.int64)[trained]
    rows = np.flatnonzero(np.isin(np.asarray(measured.obs["id"], np.int64), ids))
    # Where training cells are scored as well, their mean would know the answer.
    if not len(rows) or cells.aligned.trained_on_some:
        return None, ""
    known = dense(measured.X, rows, cells.aligned.measured_columns)
    return known.mean(0, dtype=np.float64), "measured cells of the training region"
