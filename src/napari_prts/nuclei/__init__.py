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
    "ReadReport": "formats.report",
    "Source": "table",
    "measure_nuclei": "measurements",
    "neighbourhood": "neighbours",
    "rasterise": "drawing",
    "read_geojson": "formats.geojson",
    "read_labels": "formats.labels",
    "read_nuclei": "formats.reading",
    "read_nuclei_reported": "formats.reading",
    "read_provenance": "formats.reading",
    "write_geojson": "formats.geojson",
    "write_nuclei": "formats.writing",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
