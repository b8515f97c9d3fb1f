"""Groups of a study's cells: graphs that are kept, cuts at any resolution, one name on both sides.

The graph of neighbours is made once for a table and cut again for another resolution. What is
found is written into tables that share their expression with the study's own: a step of the
resolution copies no counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_prts.analysis.cluster_request import MEASURED_RESOLUTION, PREDICTED_RESOLUTION
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job
from napari_prts.study.group_tables import carried, grouped, matched, with_names

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.analysis import Apart, Clusters, Neighbourhood

PREDICTED, MEASURED, TOGETHER = "predicted", "measured", "together"
SIDES = (PREDICTED, MEASURED)
# How cells can be grouped: which graphs are cut.
WAYS: Mapping[str, tuple[str, ...]] = {
    "each": (PREDICTED, MEASURED),
    PREDICTED: (PREDICTED,),
    MEASURED: (MEASURED,),
    TOGETHER: (TOGETHER,),
}
# The paper's, which says nothing of both together.
PAPER_RESOLUTIONS: Mapping[str, float] = {
    PREDICTED: PREDICTED_RESOLUTION,
    MEASURED: MEASURED_RESOLUTION,
    TOGETHER: PREDICTED_RESOLUTION,
}
# Cuts remembered for each graph: half a megabyte each at 60,000 cells.
_CUTS_KEPT = 32


def _paper_resolutions() -> dict[str, float]:
    return dict(PAPER_RESOLUTIONS)


@dataclass(frozen=True)
class GroupRequest:
    """Which cells are grouped, and how finely.

    Parameters
    ----------
    way : str
        ``"each"``: predicted and measured cells, each by themselves; ``"predicted"`` or
        ``"measured"``: one side alone; ``"together"``: both in one graph.
    resolutions : mapping of float
        Leiden's, by the graph's name (``"predicted"``, ``"measured"``, ``"together"``); the
        paper's by default.

    Raises
    ------
    ExpressionError
        If the way is none of these.
    """

    way: str = "each"
    resolutions: Mapping[str, float] = field(default_factory=_paper_resolutions)

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ExpressionError(
                f"Cells cannot be grouped by {self.way!r}: choose one of {', '.join(WAYS)}."
            )


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph of neighbours with what was made from it.

    Parameters
    ----------
    tables : tuple of AnnData
        What it was made from.
    cells : Neighbourhood
        The graph.
    cuts : dict of Clusters
        By resolution, the latest last.
    places : ndarray of float32, shape (cells, 2), or None
        UMAP, once it was asked for.
    """

    tables: tuple[AnnData, ...]
    cells: Neighbourhood
    cuts: Mapping[float, Clusters] = field(default_factory=dict)
    places: NDArray[np.float32] | None = None

    def fits(self, tables: tuple[AnnData, ...]) -> bool:
        """Whether it was made from these very tables."""
        pairs = zip(self.tables, tables, strict=False)
        return len(tables) == len(self.tables) and all(one is other for one, other in pairs)

    def rows(self, name: str) -> dict[str, slice]:
        """Which of its cells are a side's, by side; ``name`` is the graph's."""
        sides, found, first = SIDES if name == TOGETHER else (name,), {}, 0
        for side, table in zip(sides, self.tables, strict=True):
            found[side] = slice(first, first + table.n_obs)
            first += table.n_obs
        return found

    def with_cut(self, found: Clusters) -> Graph:
        """Return it with one more cut, the oldest forgotten."""
        cuts = {**self.cuts, found.resolution: found}
        return replace(self, cuts=dict(list(cuts.items())[-_CUTS_KEPT:]))


@dataclass(frozen=True, eq=False)
class Grouping:
    """What a job of grouping found.

    Parameters
    ----------
    clusters : dict of AnnData
        For :meth:`~napari_prts.study.Study.set_grouping`, by side.
    graphs : dict of Graph
        To be given to the next job.
    """

    clusters: Mapping[str, AnnData]
    graphs: Mapping[str, Graph]


def graph_tables(sides: Mapping[str, AnnData], name: str) -> tuple[AnnData, ...]:
    """Return the tables that a graph is made from; empty if one of them is missing."""
    wanted = SIDES if name == TOGETHER else (name,)
    found = tuple(sides[side] for side in wanted if side in sides)
    return found if len(found) == len(wanted) else ()


def still_good(graphs: Mapping[str, Graph], sides: Mapping[str, AnnData]) -> dict[str, Graph]:
    """Keep the graphs whose tables are still the study's."""
    return {name: g for name, g in graphs.items() if g.fits(graph_tables(sides, name))}


def group_job(
    sides: Mapping[str, AnnData],
    request: GroupRequest,
    graphs: Mapping[str, Graph],
    earlier: Mapping[str, AnnData],
    apart: Apart | None = None,
) -> Job[Grouping]:
    """Group cells, making only the graphs that are not there yet.

    Parameters
    ----------
    sides : mapping of AnnData
        The study's ``"predicted"`` and ``"measured"`` tables, those that exist.
    request : GroupRequest
        Which cells, how finely.
    graphs : mapping of Graph
        Of an earlier job; those of other tables are left alone.
    earlier : mapping of AnnData
        The study's clusters so far: the other side's are matched with the new ones.
    apart : Apart, optional
        The process for the long steps; by default this one.

    Yields
    ------
    Progress
        In steps.

    Raises
    ------
    ExpressionError
        If a side is missing, or has too few cells or genes.
    """
    names = [name for name in WAYS[request.way] if request.way != "each" or name in sides]
    known = still_good(graphs, sides)
    found: dict[str, AnnData] = {}
    if not names:
        raise ExpressionError("Nothing to group: predict, or open a Visium HD folder first.")
    for name in names:
        known[name] = yield from _cut(sides, name, request.resolutions[name], known, apart)
        found |= written(known[name], name, request.resolutions[name])
    return Grouping(_side_by_side(found, request.way, sides, earlier), known)


def lay_out_job(
    graphs: Mapping[str, Graph], name: str, apart: Apart | None = None
) -> Job[tuple[str, Graph]]:
    """Lay the cells of a graph out in two dimensions (UMAP).

    Parameters
    ----------
    graphs : mapping of Graph
        Of :func:`group_job`.
    name : str
        Which graph.
    apart : Apart, optional
        The process to do it in.

    Yields
    ------
    Progress
        In rounds.
    """
    from napari_prts.analysis import lay_out

    graph = graphs[name]
    places = yield from lay_out(graph.cells, apart)
    return name, replace(graph, places=places)


def written(graph: Graph, name: str, resolution: float) -> dict[str, AnnData]:
    """Write a cut of a graph into the tables that it was made from, by side."""
    cut, found = graph.cuts[resolution], {}
    for table, (side, rows) in zip(graph.tables, graph.rows(name).items(), strict=True):
        found[side] = grouped(table, graph.cells, cut, graph.places, rows)
        found[side].uns["leiden"]["together"] = name == TOGETHER
    return found


def _cut(
    sides: Mapping[str, AnnData],
    name: str,
    resolution: float,
    graphs: Mapping[str, Graph],
    apart: Apart | None,
) -> Job[Graph]:
    from napari_prts.analysis import find_clusters, find_neighbours, find_neighbours_of_both

    tables = graph_tables(sides, name)
    if not tables:
        missing = " and ".join(side for side in SIDES if side not in sides)
        raise ExpressionError(f"Nothing {missing} to group: choose what is there.")
    graph = graphs.get(name)
    if graph is None:
        if name == TOGETHER:
            cells = yield from find_neighbours_of_both(tables[0], tables[1], None, apart)
        else:
            cells = yield from find_neighbours(tables[0], None, apart)
        graph = Graph(tables, cells)
    if resolution not in graph.cuts:
        graph = graph.with_cut((yield from find_clusters(graph.cells, resolution, apart)))
    return graph


def _side_by_side(
    found: dict[str, AnnData],
    way: str,
    sides: Mapping[str, AnnData],
    earlier: Mapping[str, AnnData],
) -> dict[str, AnnData]:
    """Give matched clusters of both sides one name and colour; typed names stay."""
    others = {side: table for side, table in earlier.items() if side in sides}
    if way == TOGETHER:
        names = carried(found[PREDICTED], others.get(PREDICTED))
        for new, old in carried(found[MEASURED], others.get(MEASURED)).items():
            if new not in names and old not in names.values():
                names[new] = old
        return with_names(found, names)
    for side, table in list(found.items()):
        found |= with_names({side: table}, carried(table, others.get(side)))
    both = others | found
    if len(both) == 2:
        both[PREDICTED], both[MEASURED] = matched(both[PREDICTED], both[MEASURED])
    return both
