"""What is asked of a study's cells, as Python; see :mod:`napari_prts.study.recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.nuclei.selection import inside_lasso
from napari_prts.study.as_python import call, comment

if TYPE_CHECKING:
    from napari_prts.analysis import Region
    from napari_prts.study.study import Study


def group_lines(study: Study | None, way: str, resolutions: Mapping[str, float]) -> list[str]:
    """Write how cells are grouped.

    Parameters
    ----------
    study : Study or None
        If one side alone is grouped and the other has its clusters, names are matched with
        these, so that they come first.
    way, resolutions
        As for :meth:`~napari_prts.study.Study.group`.
    """
    from napari_prts.study.group_tables import resolutions_of
    from napari_prts.study.grouping import PAPER_RESOLUTIONS, SIDES, WAYS

    before = []
    if study is not None and way in SIDES:
        found = resolutions_of(study.clusters)
        before = [
            line
            for side in SIDES
            if side != way and side in found
            for line in group_lines(None, side, found)
        ]
    others = {n: resolutions[n] for n in WAYS[way] if resolutions[n] != PAPER_RESOLUTIONS[n]}
    asked: dict[str, Any] = {} if way == "each" else {"way": way}
    asked |= {"resolutions": others} if others else {}
    return [*before, call("study.group", **asked)]


def group_steps(study: Study) -> list[str]:
    """Write how the study's clusters were found, with the resolutions of each side."""
    from napari_prts.study.group_tables import resolutions_of
    from napari_prts.study.grouping import SIDES, TOGETHER

    found = resolutions_of(study.clusters)
    if TOGETHER in found:
        return group_lines(None, TOGETHER, found)
    there = [side for side in SIDES if side in found]
    if len(there) == 2:
        return group_lines(None, "each", found)
    return [line for side in there for line in group_lines(None, side, found)]


def ask_line(study: Study | None, region: Region | None) -> str:
    """Write a question about a region: its outline if that tells its cells, else their ids."""
    if study is None or region is None:
        return comment("No region is asked yet: draw one, and copy again.")
    if region.outline is not None:
        inside = study.nuclei.ids[inside_lasso(study.nuclei, region.outline)]
        if np.array_equal(np.unique(inside), np.unique(region.ids)):
            return call("answer = study.ask", [tuple(point) for point in region.outline.tolist()])
    return call("answer = study.ask", ids=np.unique(region.ids))


def cell_lines(study: Study | None, cell: int | None) -> list[str]:
    """Write how the genes of a cell are looked up, on each side that has it."""
    sides = () if study is None else ("predicted", "measured")
    there = [side for side in sides if getattr(study, side) is not None]
    if cell is None or not there:
        return [comment("No cell with expression is chosen yet: click one, and copy again.")]
    rows = "{side} = study.{side}[study.{side}.obs['id'] == {cell}].to_df().T"
    return [rows.format(side=side, cell=int(cell)).replace("'", '"') for side in there]
