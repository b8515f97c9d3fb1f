"""The jobs of the clusters page: graphs made once, cut again and again, laid out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from psygnal import Signal

from napari_prts.study.grouping import (
    SIDES,
    WAYS,
    Graph,
    Grouping,
    GroupRequest,
    group_job,
    lay_out_job,
    still_good,
)
from napari_prts.widgets._jobs import Task

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import Apart
    from napari_prts.jobs import Job
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session


class ClusterWork:
    """Groups the cells of a window's study, one request after the other.

    Parameters
    ----------
    session : Session
        Whose study and whose jobs.
    tag : str
        Of the jobs.

    Attributes
    ----------
    grouped : psygnal.Signal
        Emitted after clusters were found and set.
    laid_out : psygnal.Signal
        Emitted after a UMAP was made and set.
    """

    grouped = Signal()
    laid_out = Signal()

    def __init__(self, session: Session, tag: str) -> None:
        self._session = session
        self._tag = tag
        self._apart: Apart | None = None
        self._graphs: dict[str, Graph] = {}
        self._grouping: Task | None = None
        self._wanted: GroupRequest | None = None
        self._closed = False

    @property
    def apart(self) -> Apart:
        """The process for long steps; it starts when a job first asks it."""
        if self._apart is None:
            from napari_prts.analysis import Apart

            self._apart = Apart()
        return self._apart

    @property
    def sides(self) -> dict[str, AnnData]:
        """The study's tables, by side."""
        study = self._session.study
        return {} if study is None else tables_of(study)

    @property
    def graphs(self) -> Mapping[str, Graph]:
        """The graphs of the tables that the study has now."""
        self._graphs = still_good(self._graphs, self.sides)
        return self._graphs

    def knows(self, request: GroupRequest) -> bool:
        """Whether a request needs only cuts of graphs that are there."""
        sides, graphs = self.sides, self.graphs
        names = [n for n in WAYS[request.way] if request.way != "each" or n in sides]
        return all(name in graphs for name in names)

    def group(self, request: GroupRequest) -> None:
        """Group the cells and paint the clusters; a request before this one is given up.

        While graphs are being made the request waits for them: a moved slider must not make
        the work of minutes begin again.
        """
        study = self._session.study
        if study is None or self._closed:
            return
        if self._grouping is not None:
            self._wanted = request
            if self.knows(request):
                self._session.jobs.withdraw(self._grouping)
            return
        apart, sides, graphs = self.apart, self.sides, dict(self.graphs)
        earlier = dict(study.clusters)

        def make() -> Job[Grouping]:
            return group_job(sides, request, graphs, earlier, apart)

        def done(found: Grouping) -> None:
            self._take(study, sides, found)

        self._grouping = Task(
            self._tag, "Grouping cells", make, done, over=self._on_over, failed=self._tell
        )
        self._session.jobs.submit(self._grouping)

    def lay_out(self, name: str) -> None:
        """Make the UMAP of a graph, ``"predicted"``, ``"measured"`` or ``"together"``."""
        study = self._session.study
        if study is None or self._closed or name not in self.graphs:
            return
        apart, graphs = self.apart, dict(self.graphs)

        def make() -> Job[tuple[str, Graph]]:
            return lay_out_job(graphs, name, apart)

        def done(found: tuple[str, Graph]) -> None:
            if study is self._session.study:
                self._take_places(study, *found)

        self._session.jobs.submit(Task(self._tag, "UMAP", make, done, failed=self._tell))

    def close(self, _: object = None) -> None:
        """Give up all jobs and end the process."""
        self._closed, self._wanted = True, None
        self._session.jobs.cancel(self._tag)
        if self._apart is not None:
            self._apart.close()

    def _take(self, study: Study, sides: Mapping[str, AnnData], found: Grouping) -> None:
        # The study may have been closed, or its cells predicted again, meanwhile.
        here = study is self._session.study and not self._closed
        if not here or not same_tables(sides, tables_of(study)):
            return
        self._graphs |= found.graphs
        study.set_grouping(found.clusters)
        self.grouped.emit()

    def _take_places(self, study: Study, name: str, graph: Graph) -> None:
        from napari_prts.study.group_tables import with_places

        if self._closed or name not in self.graphs or graph.places is None:
            return
        self._graphs[name] = graph
        places, clusters = graph.places, dict(study.clusters)
        for side, rows in graph.rows(name).items():
            if side in clusters:
                clusters[side] = with_places(clusters[side], places[rows])
        study.set_grouping(clusters)
        self.laid_out.emit()

    def _on_over(self, outcome: str) -> None:
        self._grouping = None
        wanted, self._wanted = self._wanted, None
        if wanted is not None and (outcome == "done" or self.knows(wanted)):
            self.group(wanted)

    def _tell(self, words: str) -> None:
        # A process that is ended with its window has nothing to tell.
        if not self._closed:
            show_error(words)


def same_tables(one: Mapping[str, AnnData], other: Mapping[str, AnnData]) -> bool:
    """Whether both hold the very same tables; tables themselves cannot be compared."""
    return one.keys() == other.keys() and all(one[side] is other[side] for side in one)


def tables_of(study: Study) -> dict[str, AnnData]:
    """Return a study's predicted and measured tables, those that exist, by side."""
    tables = {side: getattr(study, side) for side in SIDES}
    return {side: table for side, table in tables.items() if table is not None}
