"""From measured cells and features to a model."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.correlation import mean_pcc
from napari_prts.expression.bundle import NETWORK_PREFIX, ModelBundle
from napari_prts.expression.fitting import Cells, EpochReport, Fitted, expected_of_all, fit
from napari_prts.expression.matching import MeasuredCells, match_measured
from napari_prts.expression.network import WIDTHS
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.scaling import FeatureScaling, GeneScaling
from napari_prts.expression.similarity import NEIGHBOUR, TrainingCells
from napari_prts.expression.splitting import TEST, TRAIN, VALIDATION, SplitPlan, plan_split
from napari_prts.expression.threshold import choose_threshold, cut
from napari_prts.features.device import choose_device
from napari_prts.jobs import Job, Progress
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import CARD_KEY, QualityReference

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

_VERSIONS = ("napari-prts", "torch", "numpy", "anndata")


def train(
    features: Features,
    measured: AnnData,
    nuclei: Nuclei,
    slide: Slide,
    request: TrainRequest | None = None,
) -> Job[ModelBundle]:
    """Train the PRTS network on the measured cells of one slide.

    Closing the job cancels it; nothing is written in any case.

    Parameters
    ----------
    features : Features
        Of the slide's nuclei.
    measured : AnnData
        Raw counts with ``obs["id"]``, as :func:`napari_prts.visium_hd.measure` gives.
    nuclei : Nuclei
        The nuclei that were measured.
    slide : Slide
        The slide; its mpp must be known.
    request : TrainRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        In epochs; ``partial`` is an :class:`~napari_prts.expression.EpochReport`.

    Returns
    -------
    ModelBundle
        The model with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If the cells are too few, not raw counts, or belong to another slide or other
        nuclei, or if training diverges.
    ModelError
        If the features are not usable.
    """
    request = request or TrainRequest()
    device = choose_device(request.device)
    cells = match_measured(features, measured, nuclei, slide, request.use, request.genes)
    plan = plan_split(cells.centroids_um, request.split)
    parts = plan.label(cells.centroids_um)
    counted = Counter(parts.tolist())
    note = f"{counted[TRAIN]:,} cells, {len(cells.genes):,} genes, {device.type}"
    yield Progress(0, request.epochs, "epochs", note)

    feature_scaling = FeatureScaling.fit(cells.features[parts == TRAIN])
    standardised = feature_scaling.apply(cells.features)
    split = {
        part: Cells(standardised[parts == part], cells.counts[parts == part])
        for part in (TRAIN, VALIDATION, TEST)
    }
    scaling = GeneScaling.fit(split[TRAIN].counts)
    epochs = fit(split[TRAIN], split[VALIDATION], scaling, request, device)
    fitted = yield from _reported(epochs, request.epochs)
    reference = TrainingCells.fit(split[TRAIN].features, split[VALIDATION].features, request.seed)
    arrays = {
        **{f"{NETWORK_PREFIX}{name}": value.numpy() for name, value in fitted.state.items()},
        "features.mean": feature_scaling.mean,
        "features.std": feature_scaling.std,
        "genes.minimum": scaling.minimum,
        "genes.span": scaling.span,
        "training.rows": reference.rows,
    }
    card = _card(features, cells, slide, plan, counted, request, reference.scale)
    return _scored(ModelBundle(card, arrays), split, fitted)


def _reported(epochs: Any, total: int) -> Job[Fitted]:
    """Turn reports into progress; returns what the fit returns."""
    while True:
        try:
            report: EpochReport = next(epochs)
        except StopIteration as stop:
            fitted: Fitted = stop.value
            return fitted
        note = f"loss {report.validation_loss:.3f}, PCC {report.validation_pcc:.3f} (validation)"
        yield Progress(report.epoch, total, "epochs", note, report)


def _card(
    features: Features,
    cells: MeasuredCells,
    slide: Slide,
    plan: SplitPlan,
    counted: Counter[str],
    request: TrainRequest,
    distance_scale: float,
) -> dict[str, Any]:
    return {
        "genes": list(cells.genes),
        "encoder": features.encoder,
        "encoder_key": features.encoder_key,
        "encoder_mpp": float(features.mpp),
        "encoder_settings": dict(features.settings),
        "features": {
            "use": request.use,
            "count": int(cells.features.shape[1]),
            "context": int(features.context.shape[1]),
            "local": int(features.local.shape[1]),
        },
        "network": {"widths": list(WIDTHS)},
        "threshold": 0.0,
        "expression": "probability x count if expressed; 0 where probability < threshold",
        "loss": request.loss,
        "distance": {"neighbour": NEIGHBOUR, "scale": distance_scale},
        "training": {
            "slide_fingerprint": slide.fingerprint,
            "slide_name": slide.path.name if slide.path else slide.name,
            "slide_mpp": slide.require_mpp(),
            "simulated": cells.simulated,
            "cells": {part: counted[part] for part in sorted(counted)},
            "split": plan.as_dict(),
            "gap_um": request.split.gap_um,
            "epochs": request.epochs,
            "batch": request.batch,
            "learning_rate": request.learning_rate,
            "weight_decay": request.weight_decay,
            "patience": request.patience,
            "seed": request.seed,
        },
        **_reference(slide),
        "metrics": {},
        "versions": {name: version(name) for name in _VERSIONS},
    }


def _reference(slide: Slide) -> dict[str, Any]:
    """Stain and focus of the slide, for the card; nothing if it shows no stained tissue."""
    quality = slide_quality(slide)
    if quality.haematoxylin is None:
        return {}
    return {CARD_KEY: QualityReference.of([quality]).as_dict()}


def _scored(bundle: ModelBundle, split: dict[str, Cells], fitted: Fitted) -> ModelBundle:
    """Choose the threshold on validation cells, then score the test cells with it."""
    network, scaling = bundle.network(), bundle.gene_scaling

    def predicted(part: str) -> tuple[NDArray[np.float32], ...]:
        cells = split[part]
        return (*expected_of_all(network, cells.features, scaling), cells.counts.toarray())

    threshold, pcc = choose_threshold(*predicted(VALIDATION))
    metrics: dict[str, Any] = {
        "epochs_run": fitted.epochs,
        "best_epoch": fitted.report.epoch,
        "train_loss": fitted.report.train_loss,
        "validation_loss": fitted.report.validation_loss,
        "validation_pcc": pcc,
        "test_pcc": None,
    }
    if len(split[TEST]):
        counts, probability, measured = predicted(TEST)
        final = cut(np.log1p(counts), probability, threshold)
        metrics["test_pcc"] = mean_pcc(final, np.log1p(measured))
    return ModelBundle({**bundle.card, "threshold": threshold, "metrics": metrics}, bundle.arrays)
