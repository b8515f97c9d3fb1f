"""Whole cohorts: nuclei, predicted cells, clusters and a report for each of many slides.

A slide's steps run in a process of their own, on this computer or on the workers of a
dask.distributed cluster, so that nothing that happens to one slide can stop the others.

The public names are imported when first used, so that importing this package loads
neither PyTorch nor distributed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.cohort.cluster_place import ClusterPlace
    from napari_prts.cohort.listing import Listing, list_slides
    from napari_prts.cohort.local_place import LocalPlace
    from napari_prts.cohort.outcome import SlideOutcome
    from napari_prts.cohort.request import BatchRequest, BatchSettings, SlideEntry
    from napari_prts.cohort.running import run_batch

_PUBLIC = {
    "BatchRequest": "request",
    "BatchSettings": "request",
    "ClusterPlace": "cluster_place",
    "Listing": "listing",
    "LocalPlace": "local_place",
    "SlideEntry": "request",
    "SlideOutcome": "outcome",
    "list_slides": "listing",
    "run_batch": "running",
}

__all__ = [
    "BatchRequest",
    "BatchSettings",
    "ClusterPlace",
    "Listing",
    "LocalPlace",
    "SlideEntry",
    "SlideOutcome",
    "list_slides",
    "run_batch",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
