"""What a model's card says of its training."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_prts.expression.network import WIDTHS
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.splitting import TRAIN
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import CARD_KEY, QualityReference

if TYPE_CHECKING:
    from napari_prts.expression.preparing import Prepared

VERSIONS_OF = ("napari-prts", "torch", "numpy", "anndata")


def training_card(prepared: Prepared, request: TrainRequest) -> dict[str, Any]:
    """Describe a model before it is scored: ``threshold`` and ``metrics`` are still to come.

    Parameters
    ----------
    prepared : Prepared
        What it learns from.
    request : TrainRequest
        How.

    Returns
    -------
    dict
        JSON values; see :class:`~napari_prts.expression.ModelBundle`.
    """
    features = prepared.sections[0].section.features
    total = prepared.total
    return {
        "genes": list(prepared.genes),
        "encoder": features.encoder,
        "encoder_key": features.encoder_key,
        "encoder_mpp": float(features.mpp),
        "encoder_settings": dict(features.settings),
        "features": {
            "use": request.use,
            "count": int(prepared.parts[TRAIN].features.shape[1]),
            "context": int(features.context.shape[1]),
            "local": int(features.local.shape[1]),
            "standardise": request.standardise,
        },
        "network": {"widths": list(WIDTHS)},
        "threshold": 0.0,
        "expression": "probability x count if expressed; 0 where probability < threshold",
        "loss": request.loss,
        "distance": prepared.sample.as_card(),
        "training": {
            "slides": _slides(prepared),
            "simulated": any(each.cells.simulated for each in prepared.sections),
            "cells": {part: total[part] for part in sorted(total)},
            "gap_um": request.split.gap_um,
            "epochs": request.epochs,
            "batch": request.batch,
            "learning_rate": request.learning_rate,
            "weight_decay": request.weight_decay,
            "patience": request.patience,
            "seed": request.seed,
            "cancelled": False,
        },
        **_reference(prepared),
        "metrics": {},
        "versions": {name: version(name) for name in VERSIONS_OF},
    }


def _slides(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {
            "fingerprint": each.section.slide.fingerprint,
            "name": each.section.name,
            "mpp": each.section.slide.require_mpp(),
            "simulated": each.cells.simulated,
            "cells": {part: counted[part] for part in sorted(counted)},
            "split": each.plan.as_dict(),
        }
        for each, counted in zip(prepared.sections, prepared.counted, strict=True)
    ]


def _reference(prepared: Prepared) -> dict[str, Any]:
    """Stain and focus of the training slides, for the card; nothing if none shows tissue."""
    qualities = [
        slide_quality(each.section.slide)
        for each, counted in zip(prepared.sections, prepared.counted, strict=True)
        if counted[TRAIN]
    ]
    stained = [quality for quality in qualities if quality.haematoxylin is not None]
    return {CARD_KEY: QualityReference.of(stained).as_dict()} if stained else {}
