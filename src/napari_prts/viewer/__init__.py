"""Study to napari layers: painting, the editing window, the comparison grid.

Knows napari but not Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "LayerBook": "layer_book",
    "Role": "layer_book",
    "StudyView": "study_view",
}

__all__ = ["LayerBook", "Role", "StudyView"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
