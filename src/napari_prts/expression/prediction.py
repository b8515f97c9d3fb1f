"""From features to each cell's expression."""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError
from napari_prts.expression.bundle import ModelBundle
from napari_prts.expression.predict_request import PredictRequest
from napari_prts.expression.predicted_cells import CellTable, PredictedCells
from napari_prts.expression.similarity import unlike_training
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression.predictor import Predictor
    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

__all__ = ["PARTS", "PredictRequest", "PredictedCells", "predict"]

NEW = "new"
PARTS = ("train", "validation", "test", "gap", NEW)
_VERSIONS = ("napari-prts", "torch", "numpy", "anndata")


def predict(
    features: Features,
    nuclei: Nuclei,
    slide: Slide,
    bundle: ModelBundle,
    request: PredictRequest | None = None,
    predictor: Predictor | None = None,
) -> Job[AnnData]:
    """Predict each cell's expression.

    Parameters
    ----------
    features : Features
        Of the cells wanted, by the model's encoder.
    nuclei : Nuclei
        The slide's nuclei, at least those of the features.
    slide : Slide
        The slide; its mpp must be known.
    bundle : ModelBundle
        The model.
    request : PredictRequest, optional
        Batch, device and precision.
    predictor : Predictor, optional
        The model made ready before, to save that time; its device and precision count.

    Yields
    ------
    Progress
        In cells; ``partial`` is the batch as :class:`PredictedCells`.

    Returns
    -------
    AnnData
        ``X`` expected counts (float32), 0 where the probability is below the model's
        threshold; ``layers["p_expressed"]``; ``obs`` id, area_um2, score, distance
        (to the training cells; 1 is farther than 95 % of cells that did not train),
        confidence (share of those that lie at least as far), unlike_training (whether the
        distance is above 1: see :mod:`~napari_prts.expression.similarity`),
        nearest_training (which of ``bundle.training_cells`` is nearest), split
        (``"new"`` on another slide than the model's own); ``obsm["spatial"]`` (x, y) in
        level-0 pixels; ``uns["prts"]`` from what, and in which ``precision``. A cell's
        values are the same to the bit whichever cells are predicted with it, on one machine
        in one precision.

    Raises
    ------
    ExpressionError
        If there are no cells, or too few for a model that standardises each slide by its
        own.
    ModelError
        If the model does not fit the features.
    NucleiError
        If features belong to nuclei that are not there.
    """
    from napari_prts.expression.predictor import Predictor

    request = request or PredictRequest()
    if not len(features.ids):
        raise ExpressionError("There are no nuclei to predict: find or import nuclei first.")
    bundle.check_features(features)
    mpp = slide.require_mpp()
    cells = nuclei.take(nuclei.positions_of(features.ids))
    total, note = len(cells), f"{len(bundle.genes):,} genes"
    yield Progress(0, total, "cells", note)

    ready = (predictor or Predictor(bundle, request)).with_slide(features, slide.fingerprint)
    table = CellTable.empty(total, len(bundle.genes))
    with closing(ready.fill(table, features, slide.fingerprint, request.batch)) as done:
        for rows in done:
            expression, p_expressed = table.expression[rows], table.p_expressed[rows]
            batch = PredictedCells(cells.ids[rows], bundle.genes, expression, p_expressed)
            yield Progress(rows.stop, total, "cells", note, batch)
    unlike = unlike_training(table.distance)
    return _table(
        table,
        bundle,
        cells,
        {
            "id": cells.ids,
            "area_um2": (cells.areas * mpp**2).astype(np.float32),
            "score": cells.scores,
            "distance": table.distance,
            "confidence": bundle.training_cells.confidence(table.distance),
            "unlike_training": unlike,
            "nearest_training": table.nearest_training,
            "split": _parts(cells, slide, bundle),
        },
        {
            **_provenance(features, slide, bundle),
            "precision": ready.precision,
            "unlike_training_share": float(unlike.mean()),
        },
    )


def _parts(cells: Nuclei, slide: Slide, bundle: ModelBundle) -> NDArray[np.str_]:
    """The part of one of the model's own slides that each cell lies in, or ``"new"``."""
    for trained in bundle.slides:
        if trained.fingerprint == slide.fingerprint:
            return trained.plan.label(cells.centroids.astype(np.float64) * trained.mpp)
    return np.full(len(cells), NEW)


def _table(
    table: CellTable,
    bundle: ModelBundle,
    cells: Nuclei,
    columns: dict[str, NDArray[Any]],
    provenance: dict[str, Any],
) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    obs = pd.DataFrame(columns, index=cells.ids.astype(str))
    obs["split"] = pd.Categorical(obs["split"], categories=list(PARTS))
    return AnnData(
        X=table.expression,
        obs=obs,
        var=pd.DataFrame(index=list(bundle.genes)),
        layers={"p_expressed": table.p_expressed},
        obsm={"spatial": np.ascontiguousarray(cells.centroids[:, ::-1], np.float32)},
        uns={"prts": provenance},
    )


def _provenance(features: Features, slide: Slide, bundle: ModelBundle) -> dict[str, Any]:
    return {
        "kind": "predicted",
        "trained_on": bundle.trained_on,
        "simulated": bundle.trained_on == "simulated",
        "slide": slide.path.name if slide.path else slide.name,
        "slide_fingerprint": slide.fingerprint,
        "mpp": slide.require_mpp(),
        "model_hash": bundle.hash,
        "model_slide_fingerprint": bundle.slides[0].fingerprint,
        "model_slides": [trained.name for trained in bundle.slides],
        "standardise": bundle.standardise,
        "threshold": bundle.threshold,
        "encoder": features.encoder,
        "encoder_key": features.encoder_key,
        "encoder_mpp": float(features.mpp),
        "settings": _writable(features.settings),
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _writable(values: dict[str, Any]) -> dict[str, Any]:
    """Keep what .h5ad files can hold; other values as text."""
    return {
        str(name): value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in values.items()
    }
