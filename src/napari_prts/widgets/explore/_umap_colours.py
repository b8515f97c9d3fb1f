"""What a UMAP shows: whose cells, where, in which colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.study.group_tables import colours_of, labels_of
from napari_prts.study.grouping import MEASURED, PREDICTED, TOGETHER
from napari_prts.viewer.cell_names import is_simulated, layer_name
from napari_prts.viewer.cell_values import SCORE
from napari_prts.viewer.painted_side import Painting, limits_of
from napari_prts.viewer.painting import Limits, expression_colormap, shown_values

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.study import Study

_UNKNOWN = (0.6, 0.6, 0.6, 0.15)


@dataclass(frozen=True, eq=False)
class UmapCells:
    """Cells of one side, or of both in one graph.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Of their nuclei; of both sides, each nucleus comes twice.
    places : ndarray of float32, shape (n, 2)
        UMAP.
    tables : dict of AnnData
        By side, in the order of the rows.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.float32]
    tables: Mapping[str, AnnData]


def laid_out(study: Study) -> dict[str, UmapCells]:
    """Find what has been laid out: ``"predicted"``, ``"measured"``, or ``"together"``."""
    tables = {
        side: study.clusters[side]
        for side in (PREDICTED, MEASURED)
        if side in study.clusters and "X_umap" in study.clusters[side].obsm
    }
    shown = {side: _cells({side: table}) for side, table in tables.items()}
    together = [bool(table.uns["leiden"].get("together", False)) for table in tables.values()]
    if len(tables) == 2 and all(together):
        shown = {TOGETHER: _cells(tables), **shown}
    return shown


def side_words(study: Study) -> dict[str, str]:
    """What the sides are called: predicted, and measured or simulated."""
    word = "simulated" if is_simulated(study.measured, MEASURED) else "measured"
    return {PREDICTED: "predicted", MEASURED: word}


def words_of(name: str, words: Mapping[str, str]) -> str:
    """What the cells of a side, or of both ``"together"``, are called."""
    return f"{words[PREDICTED]} and {words[MEASURED]}" if name == TOGETHER else words[name]


def title(study: Study, cells: UmapCells, painting: Painting | None) -> str:
    """Say what is shown, and that it is predicted, measured or simulated."""
    shown = "cells" if painting is None or painting.gene is None else painting.gene
    return " and ".join(
        name if not place else name[0].lower() + name[1:]
        for place, name in enumerate(layer_name(study, side, shown) for side in cells.tables)
    )


def cluster_colours(cells: UmapCells) -> NDArray[np.float32]:
    """Colour of each cell by its cluster, RGBA, (n, 4); hidden clusters are not seen."""
    return np.concatenate([_by_cluster(table) for table in cells.tables.values()])


def gene_colours(study: Study, cells: UmapCells, painting: Painting) -> NDArray[np.float32]:
    """Colour of each cell by the painted gene, RGBA, (n, 4); faint where it is not known."""
    values = {side: _values(study, side, str(painting.gene)) for side in cells.tables}
    known = {side: value for side, value in values.items() if value is not None}
    limits = limits_of(known, painting)
    colours = []
    for side, table in cells.tables.items():
        value = values[side]
        if value is None:
            colours.append(np.tile(np.asarray(_UNKNOWN, np.float32), (table.n_obs, 1)))
        else:
            colours.append(_by_value(value, limits[side], painting))
    return np.concatenate(colours)


def _by_value(
    values: NDArray[np.float32], limits: Limits, painting: Painting
) -> NDArray[np.float32]:
    """Colour values as the canvas does."""
    colormap = expression_colormap(
        painting.colormap,
        log=limits if painting.log else None,
        hide_zeros=painting.hide_zeros,
    )
    share = (shown_values(values, limits) - limits.low) / max(limits.high - limits.low, 1e-9)
    return np.asarray(colormap.map(share), np.float32)


def _cells(tables: Mapping[str, AnnData]) -> UmapCells:
    ids = np.concatenate([table.obs["id"].to_numpy(np.int64) for table in tables.values()])
    places = np.concatenate([np.asarray(t.obsm["X_umap"], np.float32) for t in tables.values()])
    return UmapCells(ids, places, dict(tables))


def _by_cluster(table: AnnData) -> NDArray[np.float32]:
    from napari.utils.colormaps.standardize_color import transform_color

    colours = colours_of(table)
    palette = np.asarray(transform_color(list(colours.values())), np.float32)
    hidden = {str(name) for name in table.uns.get("leiden_hidden", ())}
    palette[[name in hidden for name in colours], 3] = 0
    found: NDArray[np.float32] = palette[labels_of(table).cat.codes.to_numpy()]
    return found


def _values(study: Study, side: str, gene: str) -> NDArray[np.float32] | None:
    table = study.expression(side)
    if gene.startswith(SCORE):
        return np.asarray(table.obs[gene], np.float32) if gene in table.obs else None
    if gene not in table.var_names:
        return None
    column: Any = table.X[:, int(table.var_names.get_loc(gene))]
    dense = column.toarray() if hasattr(column, "toarray") else column
    return np.asarray(dense, np.float32).ravel()
