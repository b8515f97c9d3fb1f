"""The job that scores a prediction in all ways that this program knows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.agreement import agreement_of
from napari_prts.analysis.broad_types import compare_types
from napari_prts.analysis.calibration import Calibration
from napari_prts.analysis.cluster_agreement import ClusterAgreement, compare_clusters
from napari_prts.analysis.controls import Controls, TrainingReference, make_controls
from napari_prts.analysis.evaluation import EvaluateRequest, Evaluation
from napari_prts.analysis.gene_sets import highly_variable, morans_i, spatially_variable
from napari_prts.analysis.metrics import (
    auc_per_gene,
    js_divergence_per_gene,
    mutual_information_per_gene,
    nrmse_per_gene,
)
from napari_prts.analysis.predictability import Predictability, measure_predictability
from napari_prts.analysis.raster import make_raster, ssim_per_gene
from napari_prts.analysis.reliability import is_whole
from napari_prts.analysis.resampling import no_resampling, plan_resampling
from napari_prts.analysis.scored import ScoredCells, scored_cells
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

Found = TypeVar("Found")
UNLIKE = "unlike_training"
_STEPS = 7
_NO_PLACES = (
    "the predicted cells hold no places (obsm['spatial']) or no pixel size (uns['prts']['mpp'])"
)
_NOT_COUNTS = "the measured values are not whole numbers, so their noise cannot be told"


def evaluate_fully(
    predicted: AnnData,
    measured: AnnData,
    request: EvaluateRequest | None = None,
    model: TrainingReference | None = None,
) -> Job[Evaluation]:
    """Score predicted against measured expression in all ways that this program knows.

    Parameters
    ----------
    predicted, measured : AnnData
        As for :func:`~napari_prts.analysis.evaluate`. Intervals, pictures and spatially
        variable genes need ``obsm["spatial"]`` and ``uns["prts"]["mpp"]`` of the former.
    request : EvaluateRequest, optional
        How.
    model : ModelBundle, optional
        The model that predicted, for the controls.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    Evaluation

    Raises
    ------
    ExpressionError
        If the tables cannot be scored at all, or the model is another than the one that
        predicted. What only a part needs does not stop the others: see ``missing``.
    """
    request = request or EvaluateRequest()
    yield Progress(0, _STEPS, "steps", "agreement")
    cells = scored_cells(predicted, measured)
    agreement = agreement_of(cells, measured)
    controls = make_controls(cells, predicted, measured, model)
    missing = {f"control_{name}": reason for name, reason in controls.missing.items()}
    yield Progress(1, _STEPS, "steps", "scores of each gene")
    metrics = _metrics(cells)
    yield Progress(2, _STEPS, "steps", "pictures of each gene")
    _add_ssim(metrics, cells, missing)
    yield Progress(3, _STEPS, "steps", "variable genes")
    moran, gene_sets = _gene_sets(cells, missing)
    yield Progress(4, _STEPS, "steps", "ceilings and intervals")
    raw = is_whole(cells.counts)
    if not raw:
        missing["ceiling"] = _NOT_COUNTS
    predictability = _predictability(cells, controls, request, raw, missing)
    yield Progress(5, _STEPS, "steps", "cell types")
    types = _tried("types", missing, lambda: compare_types(cells, request.markers))
    calibration = None
    if cells.probability is not None:
        calibration = Calibration.of(cells.probability, cells.expressed)
    else:
        missing["calibration"] = "the prediction holds no probability of being expressed"
    clusters = yield from _clusters(cells, request, missing)
    yield Progress(_STEPS, _STEPS, "steps", "scored")
    return Evaluation(
        cells,
        agreement,
        metrics,
        moran,
        gene_sets,
        controls,
        predictability,
        calibration,
        clusters,
        types,
        missing,
        _unlike(cells, predicted),
        _about(predicted),
    )


def _unlike(cells: ScoredCells, predicted: AnnData) -> float | None:
    if UNLIKE not in predicted.obs:
        return None
    marked = np.asarray(predicted.obs[UNLIKE], np.bool_)[cells.aligned.predicted_rows]
    return float(marked.mean())


def _about(predicted: AnnData) -> dict[str, str]:
    said = predicted.uns.get("prts", {})
    names = ("slide", "encoder", "model_hash", "trained_on")
    return {name: str(said[name]) for name in names if name in said}


def _metrics(cells: ScoredCells) -> dict[str, NDArray[np.float64]]:
    logged = (cells.log_expression, cells.log_counts)
    score = cells.expression if cells.probability is None else cells.probability
    return {
        "auc": auc_per_gene(score, cells.expressed),
        "nrmse": nrmse_per_gene(*logged),
        "mutual_information": mutual_information_per_gene(*logged),
        "js_divergence": js_divergence_per_gene(*logged),
    }


def _add_ssim(
    metrics: dict[str, NDArray[np.float64]], cells: ScoredCells, missing: dict[str, str]
) -> None:
    places = cells.places_um
    if places is None:
        missing["ssim"] = _NO_PLACES
        return
    found = _tried(
        "ssim",
        missing,
        lambda: ssim_per_gene(cells.log_expression, cells.log_counts, make_raster(places)),
    )
    if found is not None:
        metrics["ssim"] = found


def _gene_sets(
    cells: ScoredCells, missing: dict[str, str]
) -> tuple[NDArray[np.float64] | None, dict[str, NDArray[np.bool_]]]:
    gene_sets = {"all": cells.varies, "highly_variable": highly_variable(cells) & cells.varies}
    if cells.places_um is None:
        missing["spatially_variable"] = _NO_PLACES
        return None, gene_sets
    moran = morans_i(cells, cells.places_um)
    gene_sets["spatially_variable"] = spatially_variable(moran)
    return moran, gene_sets


def _predictability(
    cells: ScoredCells,
    controls: Controls,
    request: EvaluateRequest,
    raw: bool,
    missing: dict[str, str],
) -> Predictability:
    places, resampling = cells.places_um, None
    if places is None:
        missing["intervals"] = _NO_PLACES
    else:
        resampling = _tried(
            "intervals",
            missing,
            lambda: plan_resampling(places, request.draws, request.seed, request.block_um),
        )
    return measure_predictability(cells, controls, resampling or no_resampling(len(cells)), raw)


def _clusters(
    cells: ScoredCells, request: EvaluateRequest, missing: dict[str, str]
) -> Generator[Progress, None, ClusterAgreement | None]:
    if not request.clusters:
        missing["clusters"] = "not asked for"
        return None
    job = compare_clusters(cells, request.seed)
    try:
        while True:
            note = next(job).note
            yield Progress(6, _STEPS, "steps", f"clusters: {note}")
    except StopIteration as stop:
        found: ClusterAgreement = stop.value
        return found
    except ExpressionError as error:
        missing["clusters"] = str(error)
        return None
    finally:
        job.close()


def _tried(name: str, missing: dict[str, str], make: Callable[[], Found]) -> Found | None:
    """Make a part of the scores; note why if these cells do not allow it."""
    try:
        return make()
    except ExpressionError as error:
        missing[name] = str(error)
        return None
