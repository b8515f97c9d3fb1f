"""Nuclei: the table, its corrections, its files, and what can be measured on it.

The public names are imported when first used, so that importing this package
loads neither scikit-image nor shapely.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "EditCounts": "history",
    "History": "history",
    "Measurements": "measurements",
    "Nuclei": "table",
    "Source": "table",
    "measure_nuclei": "measurements",
    "neighbourhood": "neighbours",
    "rasterise": "drawing",
    "read_geojson": "geojson",
    "read_labels": "labels",
    "read_nuclei": "reading",
    "read_provenance": "geojson",
    "write_geojson": "geojson",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
