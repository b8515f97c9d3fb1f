"""Dock widgets, thin: they show a Study and call it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ExplorePanel": "explore._explore_panel",
    "NucleiPanel": "_nuclei_panel",
    "PredictPanel": "_predict_panel",
    "Session": "_session",
    "SlidePanel": "_slide_panel",
    "Workspace": "_workspace",
    "open_workspace": "_workspace",
    "show": "_show",
}

__all__ = [
    "ExplorePanel",
    "NucleiPanel",
    "PredictPanel",
    "Session",
    "SlidePanel",
    "Workspace",
    "open_workspace",
    "show",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
