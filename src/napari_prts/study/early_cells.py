"""Cells predicted as soon as their features are known, to be shown before all are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.expression.bundle import FEWEST_TO_STANDARDISE
from napari_prts.features import Features

if TYPE_CHECKING:
    from napari_prts.expression import PredictedCells, Predictor
    from napari_prts.slide import Slide


class EarlyCells:
    """Predicts batches of cells.

    A model that standardises each slide by its own mean and deviation knows those of a new
    slide only in the end. Here they are taken from the first cells, so that colours may
    change a little when all cells have been predicted.

    Parameters
    ----------
    predictor : Predictor
        The model, ready.
    slide : Slide
        Whose cells.
    """

    def __init__(self, predictor: Predictor, slide: Slide) -> None:
        self._predictor, self._fingerprint = predictor, slide.fingerprint
        self._own = predictor.bundle.scaling_of(slide.fingerprint) is None
        self._waiting: list[Features] = []

    def take(self, features: Features) -> PredictedCells | None:
        """Predict cells; None while too few are known to standardise them."""
        if self._own:
            self._waiting.append(features)
            if sum(len(some) for some in self._waiting) < FEWEST_TO_STANDARDISE:
                return None
            features = Features.concatenate(self._waiting)
            self._waiting, self._own = [], False
            self._predictor = self._predictor.with_slide(features, self._fingerprint)
        return self._predictor.cells(features, self._fingerprint)
