"""Learning each cell's expression from spots that hold many cells.

Only sums over cells are measured, so what is learnt is linear in what is known of a cell: the
mean over a spot's cells of what is predicted for each is then exactly what is predicted for the
spot, and fitting spots fits cells.

Spots are few, genes many and noisy. So the genes share a few directions: ridge regression of all
genes, its fitted values turned to their principal directions, and each direction shrunk by how
well it predicts sections that were left out (reduced rank regression with the shrinkage of
Breiman and Friedman, "Predicting multivariate responses in multiple linear regression", J. R.
Statist. Soc. B 59 (1997) 3). Nothing is chosen on sections that are to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.correlation import mean_pcc
from napari_prts.errors import ExpressionError, ModelError
from napari_prts.expression.spot_views import cell_view
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from napari_prts.expression.spots import SpotCells
    from napari_prts.features import Features

Matrix = NDArray[np.float64]

# Directions that genes may share; those beyond predict nothing of another section.
_MOST_DIRECTIONS = 16
# One is left out, one tells how much of what the third teaches is true.
_FEWEST_SECTIONS = 3


@dataclass(frozen=True, eq=False)
class SpotSection:
    """A measured section.

    Parameters
    ----------
    features : Features
        Of all nuclei of the section, whether they lie in spots or not.
    centroids_um : ndarray, shape (cells, 2)
        (row, column) in micrometres, in the order of the features.
    cells : SpotCells
        Which cells lie in which spots.
    expression : ndarray, shape (spots, genes)
        log1p of counts per 10,000.
    totals : ndarray, shape (spots,)
        Counts of all genes: a spot weighs as much in training as it has of them, for the
        noise of a count falls with its size.

    Raises
    ------
    ExpressionError
        If they differ in their numbers of cells or spots.
    """

    features: Features
    centroids_um: NDArray[np.floating]
    cells: SpotCells
    expression: NDArray[np.floating]
    totals: NDArray[np.floating]

    def __post_init__(self) -> None:
        cells, spots = {len(self.features), len(self.centroids_um)}, {len(self.expression)}
        cells.add(self.cells.members.shape[1])
        spots |= {self.cells.members.shape[0], len(self.totals)}
        if len(cells) > 1 or len(spots) > 1:
            raise ExpressionError(
                f"A section does not fit together: its parts have {sorted(cells)} cells and "
                f"{sorted(spots)} spots; make all of them from the same nuclei and spots."
            )


@dataclass(frozen=True)
class SpotTrainRequest:
    """What is fitted.

    Parameters
    ----------
    surroundings_um : tuple of tuple of float
        Each the standard deviations, in micrometres, of the surroundings over which a cell's
        neighbours are averaged in addition to its own features. There is a map for each, and
        the model is their mean: how far tissue matters differs from patient to patient.
    penalties : tuple of float
        Of ridge regression, for standardised features whose squares sum to about 1. Of each
        map, the one that is best on left-out sections is taken.

    Raises
    ------
    ExpressionError
        If there is nothing to fit, or a number is not positive.
    """

    surroundings_um: tuple[tuple[float, ...], ...] = ((), (150.0,), (150.0, 300.0))
    penalties: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __post_init__(self) -> None:
        scales = [scale for some in self.surroundings_um for scale in some]
        if not self.surroundings_um or not self.penalties:
            raise ExpressionError("Nothing is to be fitted: give surroundings_um and penalties.")
        if min([*scales, *self.penalties]) <= 0:
            raise ExpressionError(
                f"surroundings_um {self.surroundings_um} and penalties {self.penalties} must all "
                "be above 0."
            )


@dataclass(frozen=True, eq=False)
class SpotMap:
    """A linear map from what is known of a cell to its expression.

    Parameters
    ----------
    surroundings_um : tuple of float
        See :class:`SpotTrainRequest`.
    penalty : float
        That of ridge regression.
    shrinkage : ndarray of float64, shape (directions,)
        How much of each direction is kept, 0 to 1.
    to_directions : ndarray of float64, shape (view, directions)
        From a cell's view (:func:`~napari_prts.expression.spot_views.cell_view`) to the
        directions, not shrunk.
    to_genes : ndarray of float64, shape (directions, genes)
        Orthonormal rows.
    """

    surroundings_um: tuple[float, ...]
    penalty: float
    shrinkage: Matrix
    to_directions: Matrix
    to_genes: Matrix

    def apply(self, view: NDArray[np.floating]) -> Matrix:
        """From views (cells, view) to differences from the mean cell (cells, genes)."""
        return np.asarray((view @ self.to_directions * self.shrinkage) @ self.to_genes)


@dataclass(frozen=True, eq=False)
class SpotModel:
    """Predicts each cell's expression; made by :func:`train_on_spots`.

    Parameters
    ----------
    genes : tuple of str
        Names.
    encoder, encoder_key : str
        Of the features.
    maps : tuple of SpotMap
        The prediction is their mean.
    mean : ndarray of float64, shape (genes,)
        Of the training spots.
    score : float
        Mean PCC over genes on left-out training sections.
    """

    genes: tuple[str, ...]
    encoder: str
    encoder_key: str
    maps: tuple[SpotMap, ...]
    mean: Matrix
    score: float

    def predict(
        self, features: Features, centroids_um: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Predict cells.

        Parameters
        ----------
        features : Features
            Of all nuclei of a section: they are standardised by that section's cells.
        centroids_um : ndarray, shape (cells, 2)
            In the order of the features.

        Returns
        -------
        ndarray of float32, shape (cells, genes)
            log1p of counts per 10,000; the mean over a spot's cells is the spot's.

        Raises
        ------
        ModelError
            If the features are another encoder's.
        """
        if features.encoder_key != self.encoder_key:
            raise ModelError(
                f"The model was trained with encoder {self.encoder} ({self.encoder_key}), the "
                f"features are by {features.encoder} ({features.encoder_key}): extract features "
                "with the model's encoder."
            )
        total = np.tile(self.mean.astype(np.float32), (len(features), 1))
        for one in self.maps:
            view = cell_view(features, centroids_um, one.surroundings_um)
            total += (one.apply(view) / len(self.maps)).astype(np.float32)
        return total


def train_on_spots(
    sections: Sequence[SpotSection],
    genes: Sequence[str],
    request: SpotTrainRequest | None = None,
) -> Job[SpotModel]:
    """Learn to predict cells from measured spots.

    Parameters
    ----------
    sections : sequence of SpotSection
        Three or more, with features of one encoder and the same genes: of those that are
        not left out, each tells in turn how much of what the others teach is true.
    genes : sequence of str
        Names of the columns of their expression.
    request : SpotTrainRequest, optional
        What is fitted.

    Yields
    ------
    Progress
        In fits; the note says the best score so far.

    Returns
    -------
    SpotModel

    Raises
    ------
    ExpressionError
        If there are fewer than three sections, or they differ in their genes.
    ModelError
        If their features are of different encoders, or not all numbers.
    """
    request = request or SpotTrainRequest()
    _check(sections, genes)
    tries = len(request.penalties)
    total = len(request.surroundings_um) * tries
    maps: list[SpotMap] = []
    left_out = [np.zeros(section.expression.shape) for section in sections]
    for number, surroundings in enumerate(request.surroundings_um):
        fitted = []
        for section in sections:
            note = f"{section.features.encoder}, surroundings {surroundings or 'none'}"
            yield Progress(number * tries, total, "fits", note)
            fitted.append(_Fitted.of(section, surroundings))
        found: list[tuple[float, float, list[Matrix]]] = []
        for index, penalty in enumerate(request.penalties):
            predicted = _left_out(fitted, penalty)
            found.append((_score(predicted, fitted), penalty, predicted))
            best = max(found, key=lambda one: one[0])
            note = f"mean PCC {best[0]:.3f} on left-out sections"
            yield Progress(number * tries + index + 1, total, "fits", note)
        maps.append(_map(fitted, surroundings, best[1]))
        left_out = [both + one for both, one in zip(left_out, best[2], strict=True)]
    features = sections[0].features
    return SpotModel(
        tuple(genes),
        features.encoder,
        features.encoder_key,
        tuple(maps),
        np.concatenate([section.expression for section in sections]).mean(0, dtype=np.float64),
        _score(left_out, fitted),
    )


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A section's spots ready to be fitted: centred views and expression, and weights."""

    view: Matrix
    expression: Matrix
    weight: Matrix

    @classmethod
    def of(cls, section: SpotSection, surroundings_um: Sequence[float]) -> _Fitted:
        view = cell_view(section.features, section.centroids_um, surroundings_um)
        spots = section.cells.means(view).astype(np.float64)
        expression = np.asarray(section.expression, np.float64)
        totals = np.asarray(section.totals, np.float64)
        return cls(
            # A section's level depends on its preparation; differences within it are learnt.
            (spots - spots.mean(0)) / np.sqrt(spots.shape[1]),
            expression - expression.mean(0),
            totals / totals.mean(),
        )


def _ridge(sections: Sequence[_Fitted], penalty: float) -> tuple[Matrix, Matrix]:
    """Weights (view, genes), and the principal directions of the fitted values."""
    root = np.sqrt(np.concatenate([section.weight for section in sections]))[:, None]
    view = np.concatenate([section.view for section in sections]) * root
    expression = np.concatenate([section.expression for section in sections]) * root
    values, vectors = np.linalg.eigh(view @ view.T)
    turned = vectors.T @ expression
    fitted = vectors @ (turned * (values / (values + penalty))[:, None])
    weights = view.T @ (vectors @ (turned / (values + penalty)[:, None]))
    directions = np.linalg.svd(fitted, full_matrices=False)[2][:_MOST_DIRECTIONS]
    return weights, directions


@dataclass(frozen=True, eq=False)
class _Projection:
    """How the predicted directions of a left-out section fit what was measured."""

    products: Matrix
    squares: Matrix


def _projections(sections: Sequence[_Fitted], penalty: float) -> list[_Projection]:
    found = []
    for number, left in enumerate(sections):
        others = [section for index, section in enumerate(sections) if index != number]
        weights, directions = _ridge(others, penalty)
        predicted = left.view @ (weights @ directions.T)
        measured = left.expression @ directions.T
        found.append(_Projection((predicted * measured).sum(0), (predicted**2).sum(0)))
    return found


def _shrinkage(projections: Sequence[_Projection]) -> Matrix:
    """Slope of what was measured on what was predicted, for each direction, within 0 to 1."""
    # A section of few spots may span fewer directions than another.
    count = min(len(projection.squares) for projection in projections)
    squares = sum(projection.squares[:count] for projection in projections)
    products = sum(projection.products[:count] for projection in projections)
    slopes = np.divide(products, squares, out=np.zeros(count), where=np.asarray(squares) > 0)
    return np.asarray(np.clip(slopes, 0, 1), np.float64)


def _left_out(sections: Sequence[_Fitted], penalty: float) -> list[Matrix]:
    """Predict each section from the others alone, their shrinkage included."""
    made = []
    for number, left in enumerate(sections):
        others = [section for index, section in enumerate(sections) if index != number]
        one = _map(others, (), penalty)
        made.append(one.apply(left.view * np.sqrt(left.view.shape[1])))
    return made


def _map(
    sections: Sequence[_Fitted], surroundings_um: tuple[float, ...], penalty: float
) -> SpotMap:
    shrinkage = _shrinkage(_projections(sections, penalty))
    weights, directions = _ridge(sections, penalty)
    count = min(len(shrinkage), len(directions))
    to_directions = weights @ directions[:count].T / np.sqrt(len(weights))
    return SpotMap(surroundings_um, penalty, shrinkage[:count], to_directions, directions[:count])


def _score(predicted: Sequence[Matrix], sections: Sequence[_Fitted]) -> float:
    pairs = zip(predicted, sections, strict=True)
    return float(np.mean([mean_pcc(made, section.expression) for made, section in pairs]))


def _check(sections: Sequence[SpotSection], genes: Sequence[str]) -> None:
    if len(sections) < _FEWEST_SECTIONS:
        raise ExpressionError(
            f"{len(sections)} section(s) of spots are given; at least {_FEWEST_SECTIONS} are "
            "needed, so that each can be left out once."
        )
    keys = {section.features.encoder_key for section in sections}
    if len(keys) > 1:
        raise ModelError(
            f"The sections' features are of different encoders ({', '.join(sorted(keys))}): "
            "extract all with one."
        )
    widths = {section.expression.shape[1] for section in sections}
    if widths != {len(genes)}:
        raise ExpressionError(
            f"The sections have {sorted(widths)} genes, but {len(genes)} names are given: give "
            "the same genes in all."
        )
