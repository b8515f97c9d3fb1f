"""Exploring: the verbs that ask a study about its cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress, run
from napari_prts.nuclei.selection import inside_lasso
from napari_prts.study.state import StudyState

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike

    from napari_prts.analysis import Agreement, GeneTrust, RegionAnswer

Report = Callable[[Progress], None]


class Exploring(StudyState):
    """A study that can be asked; see :class:`~napari_prts.study.Study`."""

    def group(
        self,
        way: str = "each",
        resolutions: Mapping[str, float] | None = None,
        report: Report | None = None,
    ) -> Mapping[str, AnnData]:
        """Group cells by Leiden clustering, as *Find clusters* in the window does.

        Clusters of both sides that hold the same cells get the same name and colour.

        Parameters
        ----------
        way : str
            ``"each"``: predicted and measured cells, each by themselves; ``"predicted"`` or
            ``"measured"``: one side alone; ``"together"``: both in one graph.
        resolutions : mapping of float, optional
            Leiden's, for ``"predicted"``, ``"measured"`` or ``"together"``; where one is left
            out, the paper's 0.6, 1.8 and 0.6.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.

        Returns
        -------
        mapping of AnnData
            :attr:`clusters`: by side, with the clusters in ``obs["leiden"]``.

        Raises
        ------
        ExpressionError
            If the way or a name of a resolution is none of these, or there are no cells.
        """
        from napari_prts.study.grouping import PAPER_RESOLUTIONS, SIDES, GroupRequest, group_job

        wanted = {**PAPER_RESOLUTIONS, **(resolutions or {})}
        if unknown := wanted.keys() - PAPER_RESOLUTIONS.keys():
            raise ExpressionError(
                f"There is no resolution of {', '.join(map(repr, sorted(unknown)))}: name "
                f"{', '.join(map(repr, PAPER_RESOLUTIONS))}."
            )
        tables = {"predicted": self.predicted, "measured": self.measured}
        sides = {side: table for side in SIDES if (table := tables[side]) is not None}
        job = group_job(sides, GroupRequest(way, wanted), {}, dict(self.clusters))
        self.set_grouping(run(job, report).clusters)
        return self.clusters

    def ask(
        self,
        outline: ArrayLike | None = None,
        *,
        ids: ArrayLike | None = None,
        report: Report | None = None,
    ) -> RegionAnswer:
        """Tell what a region holds, as *Region* in the window does, and choose its cells.

        Parameters
        ----------
        outline : array-like of float, shape (k, 2), optional
            (row, column) in level-0 pixels, three points or more: the cells whose centre lies
            inside.
        ids : array-like of int, optional
            Ids of the cells instead; :attr:`chosen` if neither is given.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.

        Raises
        ------
        ExpressionError
            If there is no expression yet, both or no cells are given, or none has expression.
        NucleiError
            If the outline has fewer than three points.
        """
        from napari_prts.analysis import Region, ask_region, pair

        if outline is not None and ids is not None:
            raise ExpressionError("Give an outline or ids, not both.")
        line = None if outline is None else np.asarray(outline, np.float64)
        if line is not None:
            ids = self.nuclei.ids[inside_lasso(self.nuclei, line)]
        elif ids is None:
            ids = self.chosen
        region = Region(np.unique(np.asarray(ids, np.int64)), outline=line)
        self.choose(region.ids)
        return run(ask_region(pair(self.predicted, self.measured), region), report)

    def trust(self, report: Report | None = None) -> GeneTrust:
        """Score each gene, predicted against measured, as *Trust* in the window does.

        Parameters
        ----------
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.

        Raises
        ------
        ExpressionError
            If one side is missing, or the tables share too few cells or no genes.
        """
        from napari_prts.analysis import trust_genes

        job = trust_genes(self.expression("predicted"), self.expression("measured"))
        return run(job, report)

    def agreement(self) -> Agreement:
        """Score predicted against measured expression."""
        from napari_prts.analysis import evaluate

        return evaluate(self.expression("predicted"), self.expression("measured"))
