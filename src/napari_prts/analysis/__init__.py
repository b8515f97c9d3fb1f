"""What comes after prediction: agreement with measured cells, clusters, markers.

The public names are imported when first used, so that importing this package
does not load scanpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.analysis.agreement import Agreement, evaluate
    from napari_prts.analysis.ceiling import Ceiling
    from napari_prts.analysis.clustering import ClusterRequest, cluster
    from napari_prts.analysis.evaluating import evaluate_fully
    from napari_prts.analysis.evaluation import EvaluateRequest, Evaluation
    from napari_prts.analysis.marker_genes import Marker, markers
    from napari_prts.analysis.reliability import ceiling_from_counts
    from napari_prts.analysis.report import write_report

_PUBLIC = {
    "Agreement": "agreement",
    "Ceiling": "ceiling",
    "ClusterRequest": "clustering",
    "EvaluateRequest": "evaluation",
    "Evaluation": "evaluation",
    "Marker": "marker_genes",
    "ceiling_from_counts": "reliability",
    "cluster": "clustering",
    "evaluate": "agreement",
    "evaluate_fully": "evaluating",
    "markers": "marker_genes",
    "write_report": "report",
}

__all__ = [
    "Agreement",
    "Ceiling",
    "ClusterRequest",
    "EvaluateRequest",
    "Evaluation",
    "Marker",
    "ceiling_from_counts",
    "cluster",
    "evaluate",
    "evaluate_fully",
    "markers",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
