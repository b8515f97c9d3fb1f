"""What comes after prediction: agreement with measured cells, regions, genes, clusters.

The public names are imported when first used, so that importing this package
does not load scanpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_prts.analysis.agreement import Agreement, evaluate
    from napari_prts.analysis.apart import Apart
    from napari_prts.analysis.ceiling import Ceiling
    from napari_prts.analysis.cluster_matching import (
        ClusterMatch,
        confusion,
        match_clusters,
        proportions,
        shared_labels,
    )
    from napari_prts.analysis.cluster_names import ClusterNames, name_clusters
    from napari_prts.analysis.cluster_request import ClusterRequest
    from napari_prts.analysis.clustering import cluster, with_clusters
    from napari_prts.analysis.clusters import Clusters, renamed
    from napari_prts.analysis.dimming import confidence_opacity
    from napari_prts.analysis.evaluating import evaluate_fully
    from napari_prts.analysis.evaluation import EvaluateRequest, Evaluation
    from napari_prts.analysis.gene_search import GeneHit, GeneSearch
    from napari_prts.analysis.gene_set_scores import GeneSetScores, score_gene_set
    from napari_prts.analysis.gene_trust import GeneTrust, trust_genes, trust_of_evaluation
    from napari_prts.analysis.joint import find_neighbours_of_both, with_clusters_of_both
    from napari_prts.analysis.marker_genes import (
        Marker,
        MarkerRequest,
        find_markers,
        marker_table,
        markers,
    )
    from napari_prts.analysis.neighbourhood import (
        Neighbourhood,
        find_clusters,
        find_neighbours,
        lay_out,
    )
    from napari_prts.analysis.paired import Paired, pair
    from napari_prts.analysis.region import Region
    from napari_prts.analysis.region_answer import RegionAnswer
    from napari_prts.analysis.region_genes import DifferingGenes, differing_genes
    from napari_prts.analysis.regions import ask_region
    from napari_prts.analysis.reliability import ceiling_from_counts
    from napari_prts.analysis.report import write_report

_PUBLIC = {
    "Agreement": "agreement",
    "Apart": "apart",
    "Ceiling": "ceiling",
    "ClusterMatch": "cluster_matching",
    "ClusterNames": "cluster_names",
    "ClusterRequest": "cluster_request",
    "Clusters": "clusters",
    "DifferingGenes": "region_genes",
    "EvaluateRequest": "evaluation",
    "Evaluation": "evaluation",
    "GeneHit": "gene_search",
    "GeneSearch": "gene_search",
    "GeneSetScores": "gene_set_scores",
    "GeneTrust": "gene_trust",
    "Marker": "marker_genes",
    "MarkerRequest": "marker_genes",
    "Neighbourhood": "neighbourhood",
    "Paired": "paired",
    "Region": "region",
    "RegionAnswer": "region_answer",
    "ask_region": "regions",
    "ceiling_from_counts": "reliability",
    "cluster": "clustering",
    "confidence_opacity": "dimming",
    "confusion": "cluster_matching",
    "differing_genes": "region_genes",
    "evaluate": "agreement",
    "evaluate_fully": "evaluating",
    "find_clusters": "neighbourhood",
    "find_markers": "marker_genes",
    "find_neighbours": "neighbourhood",
    "find_neighbours_of_both": "joint",
    "lay_out": "neighbourhood",
    "marker_table": "marker_genes",
    "markers": "marker_genes",
    "match_clusters": "cluster_matching",
    "name_clusters": "cluster_names",
    "pair": "paired",
    "proportions": "cluster_matching",
    "renamed": "clusters",
    "score_gene_set": "gene_set_scores",
    "shared_labels": "cluster_matching",
    "trust_genes": "gene_trust",
    "trust_of_evaluation": "gene_trust",
    "with_clusters": "clustering",
    "with_clusters_of_both": "joint",
    "write_report": "report",
}

__all__ = [
    "Agreement",
    "Apart",
    "Ceiling",
    "ClusterMatch",
    "ClusterNames",
    "ClusterRequest",
    "Clusters",
    "DifferingGenes",
    "EvaluateRequest",
    "Evaluation",
    "GeneHit",
    "GeneSearch",
    "GeneSetScores",
    "GeneTrust",
    "Marker",
    "MarkerRequest",
    "Neighbourhood",
    "Paired",
    "Region",
    "RegionAnswer",
    "ask_region",
    "ceiling_from_counts",
    "cluster",
    "confidence_opacity",
    "confusion",
    "differing_genes",
    "evaluate",
    "evaluate_fully",
    "find_clusters",
    "find_markers",
    "find_neighbours",
    "find_neighbours_of_both",
    "lay_out",
    "marker_table",
    "markers",
    "match_clusters",
    "name_clusters",
    "pair",
    "proportions",
    "renamed",
    "score_gene_set",
    "shared_labels",
    "trust_genes",
    "trust_of_evaluation",
    "with_clusters",
    "with_clusters_of_both",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
