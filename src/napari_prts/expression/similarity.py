"""How unlike its training cells a cell is, in the space of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.expression.nearest import Neighbours, sampled_rows

if TYPE_CHECKING:
    from anndata import AnnData

MOST_ROWS = 2000
NEIGHBOUR = 5
# Distance above which a cell is marked as unlike the training cells, in units of the scale.
UNLIKE = 1.0
_PERCENTILE = 95.0
# Five times as many marked cells as among those of the training slide: not by chance.
_MANY_UNLIKE = 0.25
# Steps of 2 % tell all that a few hundred held-out cells know.
_QUANTILES = 51


@dataclass(frozen=True, eq=False)
class TrainingCells:
    """A sample of the training cells, to compare others with.

    Plain distance in standardised features does what is asked of it. Measured with the
    ``morphology`` encoder on the embedded slide (526 training cells, threshold from 195
    validation cells): marked are 8 % of 325 held-out cells; all cells of the same slide in
    another stain (absorption mixed between the colours, or 1.35 times as strong), 62 % in one
    1.2 times as strong and 18 % in one 1.1 times as strong; all of another tissue (breast
    cancer); all outlines on glass, also in holes within the tissue. Distances whitened by
    principal components, and Mahalanobis distance with shrinkage, marked fewer held-out cells
    (3 to 5 %), but also fewer of the other tissue (86 to 97 %), and no more of the others.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, features)
        Standardised features.
    scale : float
        Distance that counts as 1.
    held_out : tuple of float
        Distances, in units of the scale, that equal shares of the cells that did not train
        lie between, from the least to the largest; empty in models made before they were kept.
    """

    rows: NDArray[np.float32]
    scale: float
    held_out: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, training: NDArray[np.float32], validation: NDArray[np.float32], seed: int
    ) -> TrainingCells:
        """Keep at most 2,000 training cells.

        The scale is the 95th percentile of the distances of cells that did not
        train, so that 1 in 20 ordinary cells lies beyond 1.

        Parameters
        ----------
        training, validation : ndarray, shape (cells, features)
            Standardised features.
        seed : int
            Of the choice of cells.
        """
        # The bundle keeps the counts of the same cells.
        chosen = sampled_rows(len(training), MOST_ROWS, seed)
        rows = np.ascontiguousarray(training[chosen], np.float32)
        found = cls(rows, 1.0).distances(validation)
        usual = float(np.percentile(found, _PERCENTILE))
        scale = usual if usual > 0 else 1.0
        quantiles = np.quantile(found / scale, np.linspace(0, 1, _QUANTILES))
        return cls(rows, scale, tuple(round(float(value), 5) for value in quantiles))

    @classmethod
    def from_card(cls, rows: NDArray[np.float32], card: Mapping[str, Any]) -> TrainingCells:
        """Build it from a model's rows and what :meth:`as_card` gave."""
        held_out = tuple(float(value) for value in card.get("held_out", ()))
        return cls(rows, float(card["scale"]), held_out)

    def as_card(self) -> dict[str, Any]:
        """Describe all but the rows as JSON values, for a model's card."""
        return {"neighbour": NEIGHBOUR, "scale": self.scale, "held_out": list(self.held_out)}

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance of each cell to its fifth nearest training cell, in units of the scale.

        A training cell finds itself among its neighbours, so its own distance is
        a little shorter than that of a new cell in its place.

        Parameters
        ----------
        features : ndarray, shape (n, features)
            Standardised.
        """
        found, _ = Neighbours(self.rows).of(features, NEIGHBOUR)
        return found / np.float32(self.scale)

    def confidence(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the cells that did not train which lie at least as far.

        It says how usual a cell's looks are, not how right its expression is.

        Parameters
        ----------
        distances : ndarray, shape (n,)
            Of :meth:`distances`.

        Returns
        -------
        ndarray of float32, shape (n,)
            1 for a cell nearer than all of them, 0.05 at distance 1, 0 beyond all; NaN if the
            model was made before their distances were kept.
        """
        if not self.held_out:
            return np.full(len(distances), np.nan, np.float32)
        shares = np.linspace(1, 0, len(self.held_out))
        return np.interp(distances, self.held_out, shares).astype(np.float32)


def unlike_training(distances: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark cells farther from the training cells than 95 % of cells that did not train.

    1 in 20 ordinary cells is marked too: it is a share that is far higher which tells of
    another stain, another tissue, or outlines that are no nuclei.

    Parameters
    ----------
    distances : ndarray, shape (n,)
        Of :meth:`TrainingCells.distances`.
    """
    marked: NDArray[np.bool_] = distances > UNLIKE
    return marked


def unlike_words(predicted: AnnData) -> str:
    """Say how many predicted cells are unlike the training cells; empty if they are few.

    Parameters
    ----------
    predicted : AnnData
        Of :func:`~napari_prts.expression.predict`.
    """
    share = float(predicted.uns["prts"].get("unlike_training_share", 0.0))
    if share <= _MANY_UNLIKE:
        return ""
    return (
        f"{share:.0%} of the cells look unlike those that the model was trained on (another stain, "
        "tissue or scanner?): do not rely on what is predicted of them."
    )
