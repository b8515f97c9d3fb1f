"""What a nucleus and its surroundings look like, as numbers: encoders, tiles, the store on disk.

The public names are imported when first used, so that importing this package
loads neither PyTorch nor timm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.features.encoder import Encoded, Encoder
    from napari_prts.features.extraction import extract
    from napari_prts.features.hub import Hub
    from napari_prts.features.licences import LicenceNotice
    from napari_prts.features.planning import TilesNeeded, tiles_needed
    from napari_prts.features.registry import load_encoder
    from napari_prts.features.request import ExtractRequest
    from napari_prts.features.shelf import EncoderShelf, Speed, warm_up_job
    from napari_prts.features.sources import WeightsSource, models_folder
    from napari_prts.features.store import FeatureStore, FeatureTable
    from napari_prts.features.table import Features

_PUBLIC = {
    "Encoded": "encoder",
    "Encoder": "encoder",
    "EncoderShelf": "shelf",
    "ExtractRequest": "request",
    "FeatureStore": "store",
    "FeatureTable": "store",
    "Features": "table",
    "Hub": "hub",
    "LicenceNotice": "licences",
    "Speed": "shelf",
    "TilesNeeded": "planning",
    "WeightsSource": "sources",
    "extract": "extraction",
    "load_encoder": "registry",
    "models_folder": "sources",
    "tiles_needed": "planning",
    "warm_up_job": "shelf",
}

__all__ = [
    "Encoded",
    "Encoder",
    "EncoderShelf",
    "ExtractRequest",
    "FeatureStore",
    "FeatureTable",
    "Features",
    "Hub",
    "LicenceNotice",
    "Speed",
    "TilesNeeded",
    "WeightsSource",
    "extract",
    "load_encoder",
    "models_folder",
    "tiles_needed",
    "warm_up_job",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
