"""Tables with clusters: written, matched, renamed, hidden; never with a copy of the counts.

``obs["leiden"]`` holds the clusters' names, ``uns["leiden_colors"]`` a colour for each category,
as scanpy has it; ``uns["leiden_hidden"]`` the names that are not painted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from pandas import Series

    from napari_prts.analysis import Clusters, Neighbourhood

# Of clusters that the paper removes: none of the palettes' own.
GREY = "#b4b4b4"
_GROUPS, _COLOURS, _HIDDEN, _SMALL = "leiden", "leiden_colors", "leiden_hidden", "leiden_small"


@dataclass(frozen=True)
class LegendRow:
    """One cluster, on both sides if it is there.

    Parameters
    ----------
    name : str
        Its name.
    colour : str
        ``"#1f77b4"``; grey if it is small wherever it is.
    cells : dict of int
        Number of its cells, by side.
    share : dict of float
        The same as a share of the side's cells, 0 to 1.
    small : tuple of str
        Sides on which it has so few cells that the paper would remove it.
    hidden : bool
        Whether it is not painted.
    """

    name: str
    colour: str
    cells: Mapping[str, int]
    share: Mapping[str, float]
    small: tuple[str, ...]
    hidden: bool


def sharing(table: AnnData) -> AnnData:
    """Make a table that shares its expression with another, but not what is said of the cells.

    Parameters
    ----------
    table : AnnData
        Neither of the two may be changed in ``X``, ``layers`` or ``var`` from now on.
    """
    from anndata import AnnData

    obs = table.obs.copy()
    # The very same index has been found to be unique already; a copy is searched through again.
    obs.index = table.obs.index
    return AnnData(
        table.X,
        obs=obs,
        var=table.var,
        obsm=dict(table.obsm),
        layers=dict(table.layers),
        uns=dict(table.uns),
    )


def grouped(
    table: AnnData,
    cells: Neighbourhood,
    found: Clusters,
    places: NDArray[np.float32] | None,
    rows: slice,
) -> AnnData:
    """Write clusters beside a table's expression; see :func:`~napari_prts.analysis.with_clusters`.

    Parameters
    ----------
    table : AnnData
        The cells.
    cells : Neighbourhood
        What the clusters were cut from.
    found : Clusters
        The clusters.
    places : ndarray, shape (cells, 2), or None
        UMAP.
    rows : slice
        Which cells of the neighbourhood are the table's.

    Returns
    -------
    AnnData
        Sharing the table's expression; clusters that the paper would remove are grey.
    """
    from anndata import AnnData

    from napari_prts.analysis import with_clusters

    bare = with_clusters(AnnData(obs=table.obs[[]]), cells, found, places, rows)
    made = sharing(table)
    for column in (_GROUPS, _SMALL):
        made.obs[column] = bare.obs[column].to_numpy()
    made.obs[_GROUPS] = bare.obs[_GROUPS].array
    made.obsm.update(bare.obsm)
    made.uns.update(bare.uns)
    made.uns.pop(_HIDDEN, None)
    _colour(made, dict(zip(found.names, found.colours, strict=True)))
    return made


def matched(predicted: AnnData, measured: AnnData) -> tuple[AnnData, AnnData]:
    """Give measured clusters the names and colours of the predicted ones with the same cells.

    Parameters
    ----------
    predicted, measured : AnnData
        With clusters of their own.

    Returns
    -------
    tuple of AnnData
        A name is a colour, and the same on both sides. A measured cluster without a match is
        given the next free number.

    Raises
    ------
    ExpressionError
        If the tables do not belong together.
    """
    from napari_prts.analysis import match_clusters, shared_labels

    match = match_clusters(*shared_labels(predicted, measured))
    numbers, colours = {**match.first}, match.colours
    partner = {second: first for first, second in match.pairs}
    free = (str(n) for n in range(len(colours) + len(numbers)) if str(n) not in numbers)
    names = {old: partner.get(old) or _kept_or(old, numbers, free) for old in match.second}
    of_measured = {names[old]: colours[number] for old, number in match.second.items()}
    first, second = sharing(predicted), sharing(measured)
    _rename(second, names)
    _colour(first, {name: colours[number] for name, number in numbers.items()})
    _colour(second, of_measured)
    return first, second


def with_names(clusters: Mapping[str, AnnData], names: Mapping[str, str]) -> dict[str, AnnData]:
    """Rename clusters on every side.

    Parameters
    ----------
    clusters : mapping of AnnData
        By side.
    names : mapping of str
        New names by the old ones; empty ones are ignored. Clusters of one name become one. A
        side that has none of the old ones keeps its table.
    """
    turned = {}
    for side, table in clusters.items():
        if not names.keys() & set(map(str, labels_of(table).cat.categories)):
            turned[side] = table
            continue
        colours: dict[str, str] = {}
        for old, colour in colours_of(table).items():
            new = names.get(old, "").strip() or old
            if colours.get(new, GREY) == GREY:
                colours[new] = colour
        turned[side] = sharing(table)
        _rename(turned[side], names)
        _colour(turned[side], colours)
    return turned


def with_hidden(clusters: Mapping[str, AnnData], names: Iterable[str]) -> dict[str, AnnData]:
    """Say which clusters are not painted, on every side."""
    hidden = sorted(set(names))
    turned = {side: sharing(table) for side, table in clusters.items()}
    for table in turned.values():
        table.uns.pop(_HIDDEN, None)
        if hidden:
            table.uns[_HIDDEN] = np.array(hidden, dtype=object)
    return turned


def with_places(table: AnnData, places: NDArray[np.float32]) -> AnnData:
    """Write the UMAP, (cells, 2), beside a table's clusters."""
    turned = sharing(table)
    turned.obsm["X_umap"] = places
    return turned


def carried(new: AnnData, old: AnnData | None) -> dict[str, str]:
    """Find the names that a person typed for clusters of the same cells.

    Parameters
    ----------
    new : AnnData
        With clusters just found.
    old : AnnData or None
        With the clusters before.

    Returns
    -------
    dict of str
        For each new cluster most of whose cells had a name that is no number: that name. A
        second such cluster is ``"neuron 2"``.
    """
    from napari_prts.analysis import confusion

    if old is None or not np.array_equal(old.obs["id"], new.obs["id"]):
        return {}
    names: dict[str, str] = {}
    for name, counts in confusion(labels_of(new), labels_of(old)).iterrows():
        before = str(counts.idxmax())
        if before.isdigit() or 2 * counts[before] <= counts.sum():
            continue
        free, number = before, 1
        while free in names.values():
            number += 1
            free = f"{before} {number}"
        names[str(name)] = free
    return names


def labels_of(table: AnnData) -> Series:
    """Cluster of each cell, a categorical column."""
    return table.obs[_GROUPS].astype("category")


def colours_of(table: AnnData) -> dict[str, str]:
    """Colour of each cluster, by name, in the order of the clusters; scanpy's if none are said."""
    from napari_prts.analysis.clusters import cluster_colours

    names = [str(name) for name in labels_of(table).cat.categories]
    said = [str(colour) for colour in table.uns.get(_COLOURS, ())]
    colours = said if len(said) == len(names) else cluster_colours(len(names))
    return dict(zip(names, colours, strict=True))


def resolutions_of(clusters: Mapping[str, AnnData]) -> dict[str, float]:
    """At which resolutions clusters were found, by the graph's name."""
    found = {}
    for side, table in clusters.items():
        said = table.uns.get("leiden", {})
        if "params" in said:
            name = "together" if said.get("together", False) else side
            found[name] = float(said["params"]["resolution"])
    return found


def legend(clusters: Mapping[str, AnnData]) -> tuple[LegendRow, ...]:
    """List the clusters of all sides: predicted first, then what is only measured."""
    sides = {side: _sizes(clusters[side]) for side in ("predicted", "measured") if side in clusters}
    colours: dict[str, str] = {}
    for side in sides:
        for name, colour in colours_of(clusters[side]).items():
            if colours.get(name, GREY) == GREY:
                colours[name] = colour
    return tuple(_row(name, colour, sides, clusters) for name, colour in colours.items())


def small_below(clusters: Mapping[str, AnnData]) -> dict[str, int]:
    """Below how many cells a cluster is small, by side."""
    return {
        side: int(table.uns.get("leiden", {}).get("small_below", 0))
        for side, table in clusters.items()
    }


def cells_of(table: AnnData, name: str) -> NDArray[np.int64]:
    """Ids of a cluster's cells."""
    inside = table.obs[_GROUPS].astype(str).to_numpy() == name
    ids: NDArray[np.int64] = table.obs["id"].to_numpy()[inside]
    return ids


def _row(
    name: str, colour: str, sides: Mapping[str, dict[str, int]], clusters: Mapping[str, AnnData]
) -> LegendRow:
    cells = {side: sizes.get(name, 0) for side, sizes in sides.items()}
    few = small_below(clusters)
    return LegendRow(
        name,
        colour,
        cells,
        {side: count / max(clusters[side].n_obs, 1) for side, count in cells.items()},
        tuple(side for side, count in cells.items() if 0 < count < few[side]),
        any(name in set(map(str, table.uns.get(_HIDDEN, ()))) for table in clusters.values()),
    )


def _sizes(table: AnnData) -> dict[str, int]:
    counts = labels_of(table).value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def _kept_or(old: str, taken: Mapping[str, int], free: Any) -> str:
    """Keep the name that a person typed; a number is another side's and gives way."""
    return old if old not in taken and not old.isdigit() else next(free)


def _rename(table: AnnData, names: Mapping[str, str]) -> None:
    """Write other names into a table of our own."""
    from napari_prts.analysis import renamed

    table.obs[_GROUPS] = renamed(table.obs[_GROUPS], names)
    hidden = {names.get(str(name), "") or str(name) for name in table.uns.pop(_HIDDEN, ())}
    if hidden:
        table.uns[_HIDDEN] = np.array(sorted(hidden), dtype=object)


def _colour(table: AnnData, colours: Mapping[str, str]) -> None:
    """Write the colours, grey for the small clusters, and which cells are in small ones."""
    few, sizes = small_below({"": table})[""], _sizes(table)
    small = {name for name, count in sizes.items() if count < few}
    labels = labels_of(table)
    names = [str(name) for name in labels.cat.categories]
    table.obs[_SMALL] = np.array([name in small for name in names])[labels.cat.codes.to_numpy()]
    table.uns[_COLOURS] = [GREY if name in small else colours.get(name, GREY) for name in names]
