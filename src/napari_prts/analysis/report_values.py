"""An evaluation as plain values: one column a score for the table of genes, and all as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.evaluation import Evaluation
from napari_prts.analysis.resampling import Drawn

Column = NDArray[np.floating] | NDArray[np.bool_]


def gene_columns(evaluation: Evaluation) -> dict[str, Column]:
    """Give the scores of each gene, (genes,) each; what is not known has no column."""
    agreement, columns = evaluation.agreement, dict[str, Column]()
    columns |= {
        "mean": agreement.measured_mean,
        "predicted_mean": agreement.predicted_mean,
        "expressed_share": agreement.measured_share,
        "pcc": agreement.pcc,
        "rmse": agreement.rmse,
        "accuracy": agreement.accuracy,
        **evaluation.metrics,
    }
    if agreement.ceiling is not None:
        columns |= {"ceiling": agreement.ceiling.pcc, "varies": agreement.ceiling.varies}
    if evaluation.ceiling is not None:
        columns["ceiling_estimated"] = evaluation.ceiling
    columns |= _drawn_columns(evaluation)
    if evaluation.moran is not None:
        columns["morans_i"] = evaluation.moran
    sets = {name: marked for name, marked in evaluation.gene_sets.items() if name != "all"}
    return {**columns, **sets}


def _drawn_columns(evaluation: Evaluation) -> dict[str, Column]:
    found = evaluation.predictability
    columns: dict[str, Column] = {"pcc_low": found.pcc.low, "pcc_high": found.pcc.high}
    if found.share is not None:
        columns |= {
            "share_of_ceiling": found.share.value,
            "share_of_ceiling_low": found.share.low,
            "share_of_ceiling_high": found.share.high,
        }
    if found.nearest_pcc is not None and found.over_nearest is not None:
        columns |= {
            "nearest_pcc": found.nearest_pcc.value,
            "pcc_over_nearest_low": found.over_nearest.low,
        }
    if found.mean_rmse is not None and found.under_mean is not None:
        columns |= {
            "mean_rmse": found.mean_rmse.value,
            "rmse_under_mean_low": found.under_mean.low,
        }
    if found.predictable is not None:
        columns["predictable"] = found.predictable
    if found.nearer_in_amount is not None:
        columns["nearer_in_amount"] = found.nearer_in_amount
    return columns


def as_values(evaluation: Evaluation) -> dict[str, Any]:
    """Give all scores as JSON values; what is not defined becomes None.

    The keys of :meth:`~napari_prts.analysis.Agreement.as_dict` are all there.
    """
    columns = gene_columns(evaluation)
    per_gene = {
        gene: {name: plain(values[row]) for name, values in columns.items()}
        for row, gene in enumerate(evaluation.agreement.genes)
    }
    return {
        **evaluation.agreement.as_dict(),
        "about": evaluation.about,
        "unlike_training_share": evaluation.unlike,
        "gene_sets": {
            name: _names(evaluation, marked)
            for name, marked in evaluation.gene_sets.items()
            if name != "all"
        },
        "means": means_by_gene_set(evaluation),
        **_sureness(evaluation),
        "calibration": _calibration(evaluation),
        "clusters": _clusters(evaluation),
        "types": _types(evaluation),
        "missing": evaluation.missing,
        "per_gene": per_gene,
    }


def means_by_gene_set(evaluation: Evaluation) -> dict[str, dict[str, float | None]]:
    """Mean of each score over each set of genes.

    A gene that is predicted the same in all cells has no PCC and counts 0.
    """
    agreement = evaluation.agreement
    scores: dict[str, NDArray[np.float64]] = {
        "pcc": np.nan_to_num(agreement.pcc),
        "rmse": agreement.rmse,
        "accuracy": agreement.accuracy,
        **evaluation.metrics,
    }
    if evaluation.ceiling is not None:
        scores["ceiling_estimated"] = evaluation.ceiling
    means: dict[str, dict[str, float | None]] = {}
    for name, marked in evaluation.gene_sets.items():
        means[name] = {"genes": float(marked.sum())}
        means[name] |= {score: _mean(values[marked]) for score, values in scores.items()}
    return means


def plain(value: Any) -> bool | float | None:
    """Turn a number of numpy into one of JSON."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return float(value) if np.isfinite(value) else None


def _sureness(evaluation: Evaluation) -> dict[str, Any]:
    """Ceiling, intervals and controls."""
    found, controls = evaluation.predictability, evaluation.controls
    values: dict[str, Any] = {"blocks": found.blocks, "draws": found.draws}
    names = {
        "pcc": "pcc_mean",
        "ceiling": "ceiling_mean_estimated",
        "share": "share_of_ceiling_estimated",
        "nearest_pcc": "nearest_pcc_mean",
    }
    for key, name in names.items():
        if key in found.means:
            values |= _interval(name, found.means[key])
    values["controls"] = {
        "mean": {
            "pcc": 0.0,
            "rmse_mean": None if found.mean_rmse is None else float(found.mean_rmse.value.mean()),
            "from": controls.mean_from or None,
        },
        "nearest": {"pcc_mean": values.get("nearest_pcc_mean")},
        "missing": controls.missing,
    }
    values["genes_predictable"] = _count(found.predictable)
    values["genes_nearer_in_amount"] = _count(found.nearer_in_amount)
    return values


def _count(marked: NDArray[np.bool_] | None) -> int | None:
    return None if marked is None else int(marked.sum())


def _interval(name: str, drawn: Drawn) -> dict[str, Any]:
    ends = [plain(drawn.low), plain(drawn.high)]
    return {name: plain(drawn.value), f"{name}_interval": ends}


def _calibration(evaluation: Evaluation) -> dict[str, Any] | None:
    found = evaluation.calibration
    if found is None:
        return None
    return {
        "expected_error": found.expected_error,
        "cases": found.cases.tolist(),
        "predicted": [plain(value) for value in found.predicted],
        "measured": [plain(value) for value in found.measured],
    }


def _clusters(evaluation: Evaluation) -> dict[str, Any] | None:
    found = evaluation.clusters
    if found is None:
        return None
    return {
        "predicted": found.predicted,
        "measured": found.measured,
        "adjusted_rand": found.adjusted_rand,
        "silhouette": found.silhouette,
        "measured_silhouette": found.measured_silhouette,
    }


def _types(evaluation: Evaluation) -> dict[str, Any] | None:
    found = evaluation.types
    if found is None:
        return None
    return {
        "types": list(found.types),
        "markers": {name: list(genes) for name, genes in found.markers.items()},
        "matrix_measured_by_predicted": found.matrix.tolist(),
        "agreement": found.agreement,
        "agreement_by_chance": found.by_chance,
        "cells_left_out": found.left_out,
    }


def _names(evaluation: Evaluation, marked: NDArray[np.bool_]) -> list[str]:
    return [evaluation.agreement.genes[row] for row in np.flatnonzero(marked)]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
