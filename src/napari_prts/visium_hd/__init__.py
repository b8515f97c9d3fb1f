"""Measured expression: Space Ranger folders of Visium HD, bins into nuclei, simulation.

The public names are imported when first used, so that importing this package
loads neither scanpy nor pyarrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "MeasureRequest": "request",
    "SegmentedSection": "segmented",
    "SimulationSettings": "simulation",
    "SpaceRangerFolder": "folder",
    "assign_bins": "bins",
    "find_slide": "slide_search",
    "measure": "measuring",
    "measure_segmented": "measuring_segmented",
    "prepare_sections": "sections",
    "prepare_sections_job": "sections",
    "read_segmented": "segmented",
    "read_space_ranger": "folder",
    "simulate_job": "simulation",
    "simulate_visium_hd": "simulation",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
