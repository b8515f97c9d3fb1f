"""A model made ready to predict cells of any number, again and again."""

from __future__ import annotations

import copy
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError
from napari_prts.expression.bundle import FEWEST_TO_STANDARDISE
from napari_prts.expression.inference import ReadyNetwork
from napari_prts.expression.lone_threads import LoneThreads
from napari_prts.expression.matching import chosen_features
from napari_prts.expression.nearest import Neighbours
from napari_prts.expression.predict_request import PredictRequest, chosen_precision
from napari_prts.expression.predicted_cells import CellTable, PredictedCells
from napari_prts.expression.scaling import FeatureScaling
from napari_prts.expression.similarity import NEIGHBOUR
from napari_prts.features.device import choose_device

if TYPE_CHECKING:
    from napari_prts.expression.bundle import ModelBundle
    from napari_prts.features import Features

# Cells of :meth:`Predictor.cells` that one thread takes at once.
_SHARE = 256


class Predictor:
    """Predicts cells with one model: a section's in some seconds, a few in some milliseconds.

    What it takes to get ready is done once: the weights, the standardisation, the training
    cells. A cell's result is the same to the bit in whichever batch and order it is
    predicted, on one machine in one precision. Safe to use from several threads.

    Parameters
    ----------
    bundle : ModelBundle
        The model.
    request : PredictRequest, optional
        Device and precision.

    Attributes
    ----------
    bundle : ModelBundle
        As given.
    device : torch.device
        Where the network is computed.
    precision : str
        ``"float32"`` or ``"bfloat16"``: what ``"auto"`` has become.

    Raises
    ------
    ModelError
        If the model is damaged, or the device is not there.
    """

    def __init__(self, bundle: ModelBundle, request: PredictRequest | None = None) -> None:
        request = request or PredictRequest()
        self.bundle = bundle
        self.device = choose_device(request.device)
        self.precision = chosen_precision(request.precision, self.device)
        self._network = ReadyNetwork(
            bundle.network(), bundle.gene_scaling, bundle.threshold, self.device, self.precision
        )
        reference = bundle.training_cells
        self._neighbours = Neighbours(reference.rows, self.precision, str(self.device))
        self._scale = np.float32(reference.scale)
        # Metal computes for one thread at a time.
        self._threads = LoneThreads(1 if self.device.type == "mps" else None)
        self._own: dict[str, FeatureScaling] = {}

    def with_slide(self, features: Features, fingerprint: str) -> Predictor:
        """Give the same predictor, knowing how the features of one more slide are standardised.

        Needed for models that standardise each slide by its own mean and standard
        deviation (``bundle.standardise == "section"``), for slides that they were not
        trained on. For all others nothing changes, nor for a slide that it knows already.

        Parameters
        ----------
        features : Features
            Of all nuclei of the slide.
        fingerprint : str
            Of the slide.

        Raises
        ------
        ExpressionError
            If these are too few to say something of the slide.
        ModelError
            If the model does not fit the features.
        """
        if self._known(fingerprint) is not None:
            return self
        if len(features) < FEWEST_TO_STANDARDISE:
            raise ExpressionError(
                f"This model standardises the features of a new slide by its own nuclei, and "
                f"{len(features)} are too few: predict {FEWEST_TO_STANDARDISE} or more at once, "
                "or use a model trained with standardise='all'."
            )
        self.bundle.check_features(features)
        other = copy.copy(self)
        own = FeatureScaling.fit(chosen_features(features, self.bundle.use))
        other._own = {**self._own, fingerprint: own}
        return other

    def cells(self, features: Features, fingerprint: str) -> PredictedCells:
        """Predict some cells, and wait for them.

        Parameters
        ----------
        features : Features
            Of the cells, by the model's encoder.
        fingerprint : str
            Of their slide.

        Raises
        ------
        ExpressionError
            If the model standardises each slide by its own, and this one is unknown: see
            :meth:`with_slide`.
        ModelError
            If the model does not fit the features.
        """
        self.bundle.check_features(features)
        scaling = self._scaling(fingerprint)
        genes = self.bundle.genes
        expression, probability = np.empty((2, len(features), len(genes)), np.float32)

        def work(rows: slice) -> None:
            given = self._standardised(features, rows, scaling)
            self._network.predict(given, expression[rows], probability[rows])

        for _ in self._threads.each(work, _parts(len(features), _SHARE)):
            pass
        return PredictedCells(features.ids, genes, expression, probability)

    def fill(
        self, table: CellTable, features: Features, fingerprint: str, batch: int
    ) -> Generator[slice, None, None]:
        """Predict cells into a table, with their distances; give the rows that are done.

        Closing it stops after the batches in progress.

        Parameters
        ----------
        table : CellTable
            With a row for each cell.
        features : Features
            Of the cells, by the model's encoder.
        fingerprint : str
            Of their slide.
        batch : int
            Cells at once.

        Raises
        ------
        ExpressionError, ModelError
            As :meth:`cells` does.
        """
        self.bundle.check_features(features)
        scaling = self._scaling(fingerprint)

        def work(rows: slice) -> None:
            given = self._standardised(features, rows, scaling)
            self._network.predict(given, table.expression[rows], table.p_expressed[rows])
            found, nearest = self._neighbours.of(given, NEIGHBOUR)
            table.distance[rows], table.nearest_training[rows] = found / self._scale, nearest

        with closing(self._threads.each(work, _parts(len(features), batch))) as done:
            for rows, _ in done:
                yield rows

    def _standardised(
        self, features: Features, rows: slice, scaling: FeatureScaling
    ) -> NDArray[np.float32]:
        some = replace(
            features,
            ids=features.ids[rows],
            local=features.local[rows],
            context=features.context[rows],
        )
        return scaling.apply(chosen_features(some, self.bundle.use))

    def _scaling(self, fingerprint: str) -> FeatureScaling:
        """How the features of a slide are standardised."""
        found = self._known(fingerprint)
        if found is None:
            raise ExpressionError(
                "This model standardises each slide by the mean and deviation of all its nuclei, "
                f"and those of the slide {fingerprint} are not known yet: give them by with_slide."
            )
        return found

    def _known(self, fingerprint: str) -> FeatureScaling | None:
        return self._own.get(fingerprint) or self.bundle.scaling_of(fingerprint)


class PredictorShelf:
    """Keeps the predictor used last: a corrected nucleus is predicted in some milliseconds.

    On a GPU nothing is kept, so that its memory is free between two jobs. Safe to use from
    several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, PredictRequest], Predictor] | None = None

    def get(self, bundle: ModelBundle, request: PredictRequest) -> Predictor:
        """Give the predictor of a model; make it if it is not there.

        Raises
        ------
        ModelError
            As :class:`Predictor` does.
        """
        key = bundle.hash, request
        with self._lock:
            if self._kept is not None and self._kept[0] == key:
                return self._kept[1]
            # The other's memory is free before this one takes its own.
            self._kept = None
            made = Predictor(bundle, request)
            if made.device.type == "cpu":
                self._kept = key, made
            return made


def _parts(count: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]
