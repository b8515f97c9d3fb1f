"""Nuclei found by StarDist: the network, its weights, whole slides, scores and training.

The public names are imported when first used, so that importing this package
loads neither PyTorch nor stardist.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# Read by PyTorch at its first allocation, so before it is imported: with small pages a quarter
# of the time of a pass of the network goes into handing out memory (Linux only).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_PUBLIC = {
    "Augmentation": "augmentation",
    "LabelledTile": "datasets",
    "ModelSource": "sources",
    "Normalisation": "normalisation",
    "NucleiScore": "scoring",
    "SegmentRequest": "whole_slide",
    "StarDistConfig": "network",
    "StarDistModel": "model",
    "StarDistNetwork": "network",
    "Thresholds": "scoring",
    "TrainingRequest": "training",
    "VERSATILE_HE": "sources",
    "choose_thresholds": "scoring",
    "export_model": "model_folder",
    "load_model": "loading",
    "provenance": "record",
    "read_labelled_folder": "datasets",
    "save_model": "model_folder",
    "score": "scoring",
    "segment": "whole_slide",
    "split_by_group": "datasets",
    "train": "training",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
