"""What clusters are: their markers, their names, scores of sets of genes, tables of all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info

from napari_prts.analysis.broad_types import MARKERS
from napari_prts.errors import PrtsError
from napari_prts.study.group_tables import with_names
from napari_prts.widgets._jobs import Task
from napari_prts.widgets.explore._cluster_markers import FoundMarkers, MarkerList
from napari_prts.widgets.explore._cluster_names import Lists, names_job
from napari_prts.widgets.explore._cluster_scores import (
    ScoreControls,
    keep_scores,
    outcome_words,
    sides_with,
)
from napari_prts.widgets.explore._cluster_tables import save_tables_job
from napari_prts.widgets.explore._cluster_work import same_tables, tables_of
from napari_prts.widgets.explore._gene_lists_files import read_gene_lists
from napari_prts.widgets.explore._gene_lists_memory import GeneMemory
from napari_prts.widgets.explore._umap_colours import side_words

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import GeneSetScores, Marker
    from napari_prts.jobs import Job
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session


class ClusterReading:
    """The list of markers and the scores of a page, and the jobs behind them.

    Parameters
    ----------
    session : Session
        Whose study.
    tag : str
        Of the jobs.

    Attributes
    ----------
    markers : MarkerList
        Markers of each cluster.
    scores : ScoreControls
        Scores of sets of genes.
    """

    def __init__(self, session: Session, tag: str) -> None:
        self._session = session
        self._tag = tag
        self._found: dict[str, FoundMarkers] = {}
        self.markers = MarkerList()
        self.scores = ScoreControls()
        self.markers.asked.connect(self.find_markers)
        self.markers.gene_picked.connect(session.brush.paint_gene)
        self.markers.side.currentIndexChanged.connect(self._show_markers)
        self.scores.asked.connect(self.score)

    def show(self, study: Study | None) -> None:
        """Show a study as it is now."""
        words = {} if study is None else side_words(study)
        clusters: Mapping[str, AnnData] = {} if study is None else study.clusters
        self.markers.offer({side: word for side, word in words.items() if side in clusters})
        self.scores.set_lists({**MARKERS, **GeneMemory().lists})
        self.scores.score_button.setEnabled(study is not None and bool(tables_of(study)))
        self._show_markers()

    def found_markers(self) -> dict[str, dict[str, tuple[Marker, ...]]]:
        """Markers of the clusters that the study has now, by side and name."""
        study = self._session.study
        found = {}
        for side, kept in self._found.items():
            table = None if study is None else study.clusters.get(side)
            named = None if table is None else kept.named(table)
            if named is not None:
                found[side] = named
        return found

    def find_markers(self, side: str) -> None:
        """Find the markers of a side's clusters."""
        study = self._session.study
        if study is None or side not in study.clusters:
            return
        table = study.clusters[side]

        def make() -> Job[dict[str, tuple[Marker, ...]]]:
            from napari_prts.analysis import find_markers

            return find_markers(table)

        def done(found: dict[str, tuple[Marker, ...]]) -> None:
            self._found[side] = FoundMarkers.of(table, found)
            self._show_markers()

        self._submit("Markers", make, done, study)

    def find_names_in(self, path: Path) -> None:
        """Name the clusters by the lists of a file."""
        try:
            self.find_names(read_gene_lists(path))
        except PrtsError as error:
            show_error(str(error))

    def find_names(self, lists: Lists) -> None:
        """Name the clusters by lists of marker genes."""
        study = self._session.study
        if study is None or not study.clusters:
            return
        clusters = dict(study.clusters)

        def make() -> Job[dict[str, str]]:
            return names_job(clusters, lists)

        def done(names: dict[str, str]) -> None:
            if not same_tables(study.clusters, clusters):
                return
            study.set_grouping(with_names(study.clusters, names))
            if not names:
                show_info("No cluster has more of any of the lists than the average cell.")

        self._submit("Naming clusters", make, done, study)

    def score(self, name: str, genes: tuple[str, ...]) -> None:
        """Score a set of genes in every cell and paint it."""
        study = self._session.study
        if study is None:
            return
        sides, words = tables_of(study), side_words(study)
        having, without = sides_with(sides, genes)

        def make() -> Job[dict[str, GeneSetScores]]:
            from napari_prts.analysis import score_gene_set

            # With no side at all, its message says which genes nobody has.
            return score_gene_set(having or sides, genes)

        def done(found: dict[str, GeneSetScores]) -> None:
            now = tables_of(study)
            if not same_tables(now, sides):
                return
            self.scores.tell(outcome_words(found, without, words))
            self._session.brush.paint_gene(keep_scores(now, found, name))

        self._submit("Scoring genes", make, done, study)

    def save_tables(self, path: Path) -> None:
        """Write the clusters as .csv files; see :func:`save_tables_job`."""
        study = self._session.study
        if study is None:
            return
        clusters, markers = dict(study.clusters), self.found_markers()

        def make() -> Job[list[Path]]:
            return save_tables_job(path, clusters, markers)

        def done(paths: list[Path]) -> None:
            show_info(f"Saved {', '.join(each.name for each in paths)} in {path.parent}.")

        self._submit("Saving tables", make, done, study)

    def _submit(
        self, title: str, make: Callable[[], Job[Any]], done: Callable[[Any], None], study: Study
    ) -> None:
        def still_here(result: Any) -> None:
            if study is self._session.study:
                done(result)

        self._session.jobs.submit(Task(self._tag, title, make, still_here))

    def _show_markers(self) -> None:
        side = self.markers.side.currentData()
        self.markers.show_markers(self.found_markers().get(str(side)))
