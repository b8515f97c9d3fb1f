"""The report of one slide: its cells and clusters, and how far they agree with measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.cohort.bench import REPORT, Bench
from napari_prts.cohort.record import write_json
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

CELLS_FILE, CLUSTERS_FILE, AGREEMENT_FOLDER = "cells.json", "clusters.csv", "agreement"
_MARKERS = 5
_TOP_GENES = 20


def write_slide_report(bench: Bench) -> Job[dict[str, Any]]:
    """Write ``report/``: ``cells.json``, and where there are such clusters and measured cells.

    Parameters
    ----------
    bench : Bench
        With predicted cells; ``clusters.csv`` is written if they are clustered, ``agreement/``
        if measured cells were given.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    dict
        Facts for the summary: ``pcc_mean`` if measured cells were given.

    Raises
    ------
    ExpressionError
        If measured cells cannot be scored against the prediction.
    """
    table = bench.predicted
    yield Progress(0, 1, "steps", "cells and clusters")
    facts: dict[str, Any] = {}
    with bench.whole_folder(REPORT) as folder:
        write_json(folder / CELLS_FILE, cells_values(table))
        if bench.settings.clusters:
            clusters = cluster_table(table)
            clusters.to_csv(folder / CLUSTERS_FILE, float_format="%.6g")
        if bench.measured_file is not None:
            from napari_prts.analysis import evaluate_fully, write_report
            from napari_prts.h5ad import read_h5ad

            measured = read_h5ad(bench.measured_file)
            evaluation = yield from evaluate_fully(table, measured, model=bench.bundle)
            write_report(evaluation, folder / AGREEMENT_FOLDER)
            facts["pcc_mean"] = float(evaluation.agreement.pcc_mean)
    return facts


def cells_values(table: AnnData) -> dict[str, Any]:
    """Describe predicted cells.

    Parameters
    ----------
    table : AnnData
        As the predict step leaves them.

    Returns
    -------
    dict
        JSON values: cells, genes, quartiles of confidence and of the nuclei's area (um2), share
        unlike the training cells, the genes with the highest mean, what was predicted by what.
    """
    means = np.asarray(table.X.mean(axis=0)).ravel()
    highest = np.argsort(-means)[:_TOP_GENES]
    return {
        "cells": int(table.n_obs),
        "genes": int(table.n_vars),
        "confidence_quartiles": _quartiles(table.obs["confidence"].to_numpy()),
        "area_um2_quartiles": _quartiles(table.obs["area_um2"].to_numpy()),
        "unlike_training_share": float(table.obs["unlike_training"].mean()),
        "highest_genes": {str(table.var_names[i]): float(means[i]) for i in highest},
        "provenance": _plain(table.uns["prts"]),
    }


def cluster_table(table: AnnData) -> DataFrame:
    """Describe clusters.

    Parameters
    ----------
    table : AnnData
        With ``obs["leiden"]``.

    Returns
    -------
    DataFrame
        A row a cluster, the largest first: cells, share, mean confidence, the five strongest
        markers in one text (none if there is a single cluster).
    """
    import pandas as pd

    from napari_prts.analysis import markers

    groups = table.obs.groupby("leiden", observed=True)
    rows = pd.DataFrame({"cells": groups.size()})
    rows["share"] = rows["cells"] / table.n_obs
    rows["mean_confidence"] = groups["confidence"].mean()
    found = markers(table, most=_MARKERS) if len(rows) > 1 else {}
    rows["markers"] = [
        " ".join(marker.gene for marker in found.get(str(name), ())) for name in rows.index
    ]
    rows.index.name = "cluster"
    return rows


def _quartiles(values: Any) -> list[float]:
    return [float(value) for value in np.percentile(values, (25, 50, 75))]


def _plain(value: Any) -> Any:
    """Turn what an .h5ad gives back into JSON values."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
