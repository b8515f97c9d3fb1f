"""From features to each cell's expression."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError
from napari_prts.expression.bundle import ModelBundle
from napari_prts.expression.fitting import expected
from napari_prts.expression.matching import chosen_features
from napari_prts.expression.nearest import nearest_rows
from napari_prts.expression.similarity import unlike_training
from napari_prts.expression.threshold import cut
from napari_prts.features.device import choose_device
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

NEW = "new"
PARTS = ("train", "validation", "test", "gap", NEW)
_VERSIONS = ("napari-prts", "torch", "numpy", "anndata")


@dataclass(frozen=True)
class PredictRequest:
    """How to predict.

    Parameters
    ----------
    batch : int
        Cells at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    ExpressionError
        If the batch is not positive.
    """

    batch: int = 1024
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ExpressionError(f"batch is {self.batch}; give at least 1 cell a batch.")


@dataclass(frozen=True, eq=False)
class PredictedCells:
    """A batch of predicted cells, to be shown before all are done.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Of the nuclei.
    genes : tuple of str
        Names.
    expression : ndarray of float32, shape (n, genes)
        Expected counts, 0 where the gene counts as not expressed.
    p_expressed : ndarray of float32, shape (n, genes)
        Probability that the gene is expressed.
    """

    ids: NDArray[np.int64]
    genes: tuple[str, ...]
    expression: NDArray[np.float32]
    p_expressed: NDArray[np.float32]


def predict(
    features: Features,
    nuclei: Nuclei,
    slide: Slide,
    bundle: ModelBundle,
    request: PredictRequest | None = None,
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
        Batch and device.

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
        level-0 pixels; ``uns["prts"]`` from what.

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
    request = request or PredictRequest()
    if not len(features.ids):
        raise ExpressionError("There are no nuclei to predict: find or import nuclei first.")
    bundle.check_features(features)
    mpp = slide.require_mpp()
    cells = nuclei.take(nuclei.positions_of(features.ids))
    device = choose_device(request.device)
    shape = (len(cells), len(bundle.genes))
    yield Progress(0, shape[0], "cells", f"{shape[1]:,} genes")

    standardised = bundle.standardised(chosen_features(features, bundle.use), slide.fingerprint)
    reference = bundle.training_cells
    distances = reference.distances(standardised)
    unlike = unlike_training(distances)
    network = bundle.network().to(device)
    expression, probability = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for rows, counts, p in expected(network, standardised, bundle.gene_scaling, request.batch):
        expression[rows], probability[rows] = cut(counts, p, bundle.threshold), p
        batch = PredictedCells(cells.ids[rows], bundle.genes, expression[rows], p)
        yield Progress(rows.stop, shape[0], "cells", f"{shape[1]:,} genes", batch)
    return _table(
        expression,
        probability,
        bundle,
        cells,
        {
            "id": cells.ids,
            "area_um2": (cells.areas * mpp**2).astype(np.float32),
            "score": cells.scores,
            "distance": distances,
            "confidence": reference.confidence(distances),
            "unlike_training": unlike,
            "nearest_training": nearest_rows(bundle.arrays["training.rows"], standardised),
            "split": _parts(cells, slide, bundle),
        },
        {**_provenance(features, slide, bundle), "unlike_training_share": float(unlike.mean())},
    )


def _parts(cells: Nuclei, slide: Slide, bundle: ModelBundle) -> NDArray[np.str_]:
    """The part of one of the model's own slides that each cell lies in, or ``"new"``."""
    for trained in bundle.slides:
        if trained.fingerprint == slide.fingerprint:
            return trained.plan.label(cells.centroids.astype(np.float64) * trained.mpp)
    return np.full(len(cells), NEW)


def _table(
    expression: NDArray[np.float32],
    probability: NDArray[np.float32],
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
        X=expression,
        obs=obs,
        var=pd.DataFrame(index=list(bundle.genes)),
        layers={"p_expressed": probability},
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
