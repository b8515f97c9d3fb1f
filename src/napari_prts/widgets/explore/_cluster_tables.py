"""Clusters as .csv files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress
from napari_prts.study.group_tables import LegendRow, legend

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

    from napari_prts.analysis import Marker


def save_tables_job(
    path: Path,
    clusters: Mapping[str, AnnData],
    markers: Mapping[str, Mapping[str, tuple[Marker, ...]]],
) -> Job[list[Path]]:
    """Write the clusters' sizes, each cell's cluster, how they meet, and their markers.

    Parameters
    ----------
    path : path
        Of the sizes, ``NAME.csv``; the others are ``NAME-cells.csv``, ``NAME-confusion.csv`` and
        ``NAME-markers-predicted.csv`` or ``-measured``, beside it, and replace files of that name.
    clusters : mapping of AnnData
        By side.
    markers : mapping
        Those that were found, by side.

    Yields
    ------
    Progress
        In files.

    Raises
    ------
    ExpressionError
        If there are no clusters, or a file cannot be written.
    """
    from napari_prts.analysis import marker_table
    from napari_prts.analysis.tables import write_csv

    if not clusters:
        raise ExpressionError("There are no clusters to save: find clusters first.")
    tables = {"": _sizes(legend(clusters)), "-cells": _cells(clusters)}
    if len(clusters) == 2:
        tables["-confusion"] = _confusion(clusters)
    tables |= {f"-markers-{side}": marker_table(found) for side, found in markers.items()}
    written = []
    for done, (ending, table) in enumerate(tables.items()):
        target = path.with_name(f"{path.stem}{ending}.csv")
        yield Progress(done, len(tables), "files", target.name)
        written.append(write_csv(table, target))
    return written


def _sizes(rows: tuple[LegendRow, ...]) -> DataFrame:
    import pandas as pd

    sides = list(rows[0].cells)
    table: dict[str, list[Any]] = {"colour": [row.colour for row in rows]}
    for side in sides:
        table[f"{side}_cells"] = [row.cells[side] for row in rows]
        table[f"{side}_share"] = [row.share[side] for row in rows]
        table[f"{side}_removed_in_the_paper"] = [side in row.small for row in rows]
    return pd.DataFrame(table, index=pd.Index([row.name for row in rows], name="cluster"))


def _cells(clusters: Mapping[str, AnnData]) -> DataFrame:
    import pandas as pd

    columns = {
        f"{side}_cluster": pd.Series(
            table.obs["leiden"].astype(str).to_numpy(), index=table.obs["id"].to_numpy()
        )
        for side, table in clusters.items()
    }
    return pd.DataFrame(columns).rename_axis("id")


def _confusion(clusters: Mapping[str, AnnData]) -> DataFrame:
    from napari_prts.analysis import confusion, shared_labels

    table = confusion(*shared_labels(clusters["predicted"], clusters["measured"]))
    table.columns = [f"measured {name}" for name in table.columns]
    return table.rename_axis("predicted_cluster")
