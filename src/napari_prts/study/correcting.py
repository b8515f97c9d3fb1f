"""Corrections of a study's nuclei, each one step of its undo history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei, Source
from napari_prts.nuclei.operations import merge, split
from napari_prts.nuclei.selection import crossing, inside_lasso

if TYPE_CHECKING:
    from napari_prts.segmentation.at_point import Grown
    from napari_prts.segmentation.local import Replacement
    from napari_prts.study.state import StudyState

# Two outlines of one nucleus lie closer than this; two nuclei of neighbouring cells rarely do.
LARGEST_GAP_UM = 2.0
# A nucleus is at least some 10 squared microns large; less is what a stroke cuts off by chance.
LEAST_PART_UM2 = 2.0


def merge_nuclei(
    study: StudyState, ids: Iterable[int] | ArrayLike, largest_gap_um: float = LARGEST_GAP_UM
) -> int:
    """Join nuclei into one.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    ids : iterable of int
        Two nuclei or more.
    largest_gap_um : float
        Nuclei that lie no further apart, in microns, are joined by a bridge. On a slide
        of unknown pixel size they must touch.

    Returns
    -------
    int
        The smallest of the ids, which the joined nucleus keeps.

    Raises
    ------
    NucleiError
        If there are fewer than two, an id does not exist, or they lie too far apart.
    """
    chosen = np.unique(_ids(ids))
    if len(chosen) < 2:
        raise NucleiError("Merging needs at least two nuclei: choose the ones that are one.")
    outlines = _outlines(study.nuclei, study.nuclei.positions_of(chosen))
    mpp = study.slide.mpp
    joined = merge(outlines, largest_gap_um / mpp if mpp else 0.0)
    kept = int(chosen[0])
    label = f"merge {_counted(len(chosen))}"
    study.edit(removed=chosen[1:].tolist(), replaced={kept: joined}, label=label)
    return kept


def split_nucleus(study: StudyState, id_: int, line: ArrayLike) -> list[int]:
    """Cut a nucleus along a line.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    id_ : int
        The nucleus.
    line : array-like, shape (m, 2)
        The stroke, (row, column) in level-0 pixels.

    Returns
    -------
    list of int
        Ids of the parts, the largest first: it keeps the id.

    Raises
    ------
    NucleiError
        If there is no such nucleus, or the line does not divide it.
    """
    position = study.nuclei.positions_of([id_])[0]
    parts = split(study.nuclei.polygon(int(position)), line, _least_part(study))
    return _put_parts(study, {int(id_): parts})[0]


def split_across(study: StudyState, line: ArrayLike) -> list[list[int]]:
    """Cut each nucleus that a line divides.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    line : array-like, shape (m, 2)
        The stroke, (row, column) in level-0 pixels.

    Returns
    -------
    list of list of int
        For each nucleus, the ids of its parts as of :func:`split_nucleus`.

    Raises
    ------
    NucleiError
        If the line divides no nucleus.
    """
    nuclei = study.nuclei
    crossed = crossing(nuclei, line).tolist()
    # A stroke that is made longer must not cut the neighbours of the nucleus it is meant for.
    parts = _parts(nuclei, crossed, line, _least_part(study), reach=0.0)
    if not parts and crossed:
        meant = _most_of(nuclei, crossed, line)
        return [split_nucleus(study, int(nuclei.ids[meant]), line)]
    if not parts:
        raise NucleiError(
            "The line divides no nucleus: draw it from one side of a nucleus right across to the "
            "other."
        )
    return _put_parts(study, parts)


def delete_nuclei(
    study: StudyState, ids: Iterable[int] | ArrayLike, where: str = ""
) -> NDArray[np.int64]:
    """Delete nuclei.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    ids : iterable of int
        The nuclei; none changes nothing.
    where : str
        For the step's label: ``"in lasso"``.

    Returns
    -------
    ndarray of int64
        Ids of the deleted nuclei.

    Raises
    ------
    NucleiError
        If an id does not exist.
    """
    chosen = np.unique(_ids(ids))
    if len(chosen):
        label = f"delete {_counted(len(chosen))} {where}".rstrip()
        study.edit(removed=chosen.tolist(), label=label)
    return chosen


def delete_in_lasso(
    study: StudyState, lasso: ArrayLike, overlap: bool = False
) -> NDArray[np.int64]:
    """Delete the nuclei in a lasso.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    lasso : array-like, shape (k, 2)
        (row, column) in level-0 pixels.
    overlap : bool
        Delete all that overlap the lasso, and not only those with their centroid in it.

    Returns
    -------
    ndarray of int64
        Ids of the deleted nuclei.

    Raises
    ------
    NucleiError
        If the lasso is no list of at least three points.
    """
    inside = inside_lasso(study.nuclei, lasso, overlap)
    return delete_nuclei(study, study.nuclei.ids[inside], "in lasso")


def add_grown(study: StudyState, grown: Grown, replace: bool = False) -> int:
    """Add a nucleus that was grown at a click.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    grown : Grown
        Of :class:`~napari_prts.segmentation.at_point.PointGrower`.
    replace : bool
        Remove the nuclei that it overlaps by more than half in the same step.

    Returns
    -------
    int
        The new nucleus's id. It counts as drawn by hand: a person said that it is there.
    """
    there = np.isin(grown.overlapped, study.nuclei.ids)
    gone = np.asarray(grown.overlapped, np.int64)[there] if replace else np.zeros(0, np.int64)
    new = Nuclei.from_polygons([grown.outline], scores=[grown.score], source=Source.MANUAL)
    return _exchange(study, gone, new, "grow nucleus", Source.MANUAL)[0]


def find_again(study: StudyState, replacement: Replacement) -> list[int]:
    """Put nuclei that were found again in a region in the place of those there.

    Parameters
    ----------
    study : StudyState
        The study to correct.
    replacement : Replacement
        Of :func:`~napari_prts.segmentation.local.resegment`. It is worked out again for
        the nuclei as they are now, so that corrections made during the job are kept.

    Returns
    -------
    list of int
        Ids of the new nuclei.
    """
    now = replacement.renewed(study.nuclei)
    if not (len(now.removed) or len(now.added)):
        return []
    label = "find nuclei again in region"
    return _exchange(study, now.removed, now.added, label, Source.STARDIST)


def _exchange(
    study: StudyState, removed: NDArray[np.int64], added: Nuclei, label: str, source: Source
) -> list[int]:
    # With their scores, which tell what should be reviewed.
    return study.edit(
        removed=removed.tolist(),
        added=added.polygons(),
        scores=added.scores,
        label=label,
        source=source,
    )


def _put_parts(study: StudyState, parts: dict[int, list[NDArray[np.float32]]]) -> list[list[int]]:
    """Replace nuclei by their parts; the first part of each keeps the id."""
    label = "split nucleus" if len(parts) == 1 else f"split {_counted(len(parts))}"
    new = iter(
        study.edit(
            added=[part for pieces in parts.values() for part in pieces[1:]],
            replaced={id_: pieces[0] for id_, pieces in parts.items()},
            label=label,
            source=Source.EDITED,
        )
    )
    return [[id_, *(next(new) for _ in pieces[1:])] for id_, pieces in parts.items()]


def _parts(
    nuclei: Nuclei, positions: list[int], line: ArrayLike, least_area: float, reach: float
) -> dict[int, list[NDArray[np.float32]]]:
    parts = {}
    for position in positions:
        try:
            pieces = split(nuclei.polygon(position), line, least_area, reach)
        except NucleiError:
            continue  # The stroke only touches this one.
        parts[int(nuclei.ids[position])] = pieces
    return parts


def _most_of(nuclei: Nuclei, positions: list[int], line: ArrayLike) -> int:
    """Position of the nucleus that most of a line lies in."""
    import shapely

    stroke = shapely.linestrings(np.asarray(line, np.float64)[:, ::-1])
    inside = shapely.intersection(stroke, shapely.make_valid(nuclei.take(positions).shapely()))
    return positions[int(np.argmax(shapely.length(inside)))]


def _least_part(study: StudyState) -> float:
    mpp = study.slide.mpp
    return LEAST_PART_UM2 / mpp**2 if mpp else 1.0


def _outlines(nuclei: Nuclei, positions: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    return [nuclei.polygon(position) for position in positions.tolist()]


def _ids(ids: Iterable[int] | ArrayLike) -> NDArray[np.int64]:
    return np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)  # type: ignore[arg-type]


def _counted(count: int) -> str:
    return "1 nucleus" if count == 1 else f"{count:,} nuclei"
