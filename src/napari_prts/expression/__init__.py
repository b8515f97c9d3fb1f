"""PRTS: a cell's gene expression from what its nucleus and surroundings look like.

The public names are imported when first used, so that importing this package
loads neither PyTorch nor anndata.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.expression.ablation import Ablation, AblationRow, ablate
    from napari_prts.expression.bundle import ModelBundle, TrainedSlide
    from napari_prts.expression.bundle_folder import load_bundle
    from napari_prts.expression.checkpoint import EpochReport
    from napari_prts.expression.network import PrtsNetwork
    from napari_prts.expression.predict_request import PredictRequest
    from napari_prts.expression.predicted_cells import PredictedCells
    from napari_prts.expression.prediction import predict
    from napari_prts.expression.predictor import Predictor, PredictorShelf
    from napari_prts.expression.requests import TrainRequest
    from napari_prts.expression.sections import Section
    from napari_prts.expression.similarity import unlike_words
    from napari_prts.expression.splitting import (
        SplitPlan,
        SplitRequest,
        WholePlan,
        plan_split,
        split_spatially,
    )
    from napari_prts.expression.training import train, train_sections

_PUBLIC = {
    "Ablation": "ablation",
    "AblationRow": "ablation",
    "EpochReport": "checkpoint",
    "ModelBundle": "bundle",
    "PredictRequest": "predict_request",
    "PredictedCells": "predicted_cells",
    "Predictor": "predictor",
    "PredictorShelf": "predictor",
    "PrtsNetwork": "network",
    "Section": "sections",
    "SplitPlan": "splitting",
    "SplitRequest": "splitting",
    "TrainRequest": "requests",
    "TrainedSlide": "bundle",
    "WholePlan": "splitting",
    "ablate": "ablation",
    "load_bundle": "bundle_folder",
    "plan_split": "splitting",
    "predict": "prediction",
    "split_spatially": "splitting",
    "train": "training",
    "train_sections": "training",
    "unlike_words": "similarity",
}

__all__ = [
    "Ablation",
    "AblationRow",
    "EpochReport",
    "ModelBundle",
    "PredictRequest",
    "PredictedCells",
    "Predictor",
    "PredictorShelf",
    "PrtsNetwork",
    "Section",
    "SplitPlan",
    "SplitRequest",
    "TrainRequest",
    "TrainedSlide",
    "WholePlan",
    "ablate",
    "load_bundle",
    "plan_split",
    "predict",
    "split_spatially",
    "train",
    "train_sections",
    "unlike_words",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
