"""What a nucleus and its surroundings look like, as numbers: encoders, tiles, the store on disk.

The public names are imported when first used, so that importing this package
loads neither PyTorch nor timm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.features.encoder import Encoded, Encoder
    from napari_prts.features.extraction import ExtractRequest, extract
    from napari_prts.features.hub import Hub
    from napari_prts.features.licences import LicenceNotice
    from napari_prts.features.registry import load_encoder
    from napari_prts.features.sources import WeightsSource, models_folder
    from napari_prts.features.store import FeatureStore, FeatureTable
    from napari_prts.features.table import Features

_PUBLIC = {
    "Encoded": "encoder",
    "Encoder": "encoder",
    "ExtractRequest": "extraction",
    "FeatureStore": "store",
    "FeatureTable": "store",
    "Features": "table",
    "Hub": "hub",
    "LicenceNotice": "licences",
    "WeightsSource": "sources",
    "extract": "extraction",
    "load_encoder": "registry",
    "models_folder": "sources",
}

__all__ = [
    "Encoded",
    "Encoder",
    "ExtractRequest",
    "FeatureStore",
    "FeatureTable",
    "Features",
    "Hub",
    "LicenceNotice",
    "WeightsSource",
    "extract",
    "load_encoder",
    "models_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
