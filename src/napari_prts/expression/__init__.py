"""PRTS: a cell's gene expression from what its nucleus and surroundings look like.

The public names are imported when first used, so that importing this package
loads neither PyTorch nor anndata.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.expression.bundle import ModelBundle
    from napari_prts.expression.bundle_folder import load_bundle
    from napari_prts.expression.fitting import EpochReport
    from napari_prts.expression.network import PrtsNetwork
    from napari_prts.expression.prediction import PredictedCells, PredictRequest, predict
    from napari_prts.expression.requests import TrainRequest
    from napari_prts.expression.splitting import (
        SplitPlan,
        SplitRequest,
        plan_split,
        split_spatially,
    )
    from napari_prts.expression.training import train

_PUBLIC = {
    "EpochReport": "fitting",
    "ModelBundle": "bundle",
    "PredictRequest": "prediction",
    "PredictedCells": "prediction",
    "PrtsNetwork": "network",
    "SplitPlan": "splitting",
    "SplitRequest": "splitting",
    "TrainRequest": "requests",
    "load_bundle": "bundle_folder",
    "plan_split": "splitting",
    "predict": "prediction",
    "split_spatially": "splitting",
    "train": "training",
}

__all__ = [
    "EpochReport",
    "ModelBundle",
    "PredictRequest",
    "PredictedCells",
    "PrtsNetwork",
    "SplitPlan",
    "SplitRequest",
    "TrainRequest",
    "load_bundle",
    "plan_split",
    "predict",
    "split_spatially",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
