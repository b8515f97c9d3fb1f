"""From outlines as a file has them to nuclei, with a report of what was done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.formats.found import NO_ID, Outlines
from napari_prts.nuclei.formats.report import Finding, Problem, ReadReport
from napari_prts.nuclei.geometry import areas_and_centroids, bounds_of, to_shapely
from napari_prts.nuclei.ragged import owners
from napari_prts.nuclei.table import LARGEST_ID, Nuclei
from napari_prts.nuclei.validation import (
    LARGEST_COORDINATE,
    SMALLEST_AREA,
    largest_part,
    opened,
    outside,
    refuse_outside,
)

# With more nuclei outside the slide than this share they belong to another slide or level.
_MOST_OUTSIDE = 0.5


def clean(found: Outlines, slide_shape: tuple[int, int] | None, origin: str) -> ReadReport:
    """Make nuclei of what a file has, and report all that was changed or left out.

    Left out are outlines with fewer than three points, with coordinates that are no
    numbers, without area, and wholly outside the slide. Outlines that cross themselves
    are mended and those that reach over the slide's border cut there; both keep their
    largest part. Repeated, missing and unusable ids are replaced by new ones. Outlines
    that this program wrote (``exact``) are neither mended nor cut.

    Parameters
    ----------
    found : Outlines
        As the reader found them.
    slide_shape : tuple of int or None
        Rows and columns of level 0, to check that nuclei lie on it.
    origin : str
        The file, for messages.

    Raises
    ------
    NucleiError
        If nothing usable is left, or most nuclei lie outside the slide.
    """
    vertices, offsets = opened(found.vertices, found.offsets)
    found = replace(found, vertices=vertices, offsets=offsets)
    found = found.without(Problem.FEW_POINTS, np.diff(found.offsets) < 3)
    found = found.without(Problem.NO_NUMBERS, _wild(found))
    if slide_shape is not None:
        found = _on_slide(found, slide_shape, origin)
    if not found.exact:
        found = _mended(found)
        if slide_shape is not None:
            found = _cut(found, slide_shape)
    areas, _ = areas_and_centroids(found.vertices, found.offsets)
    found = found.without(Problem.NO_AREA, ~(np.abs(areas) >= SMALLEST_AREA))
    if not len(found):
        said = " ".join(finding.sentence() for finding in found.left_out)
        raise NucleiError(
            f"{origin} holds no nuclei that can be used. {said} Export the nuclei again, as "
            "polygons in full-resolution pixels of this slide."
        )
    return _reported(found)


def _wild(found: Outlines) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        wild = ~(np.abs(found.vertices) <= LARGEST_COORDINATE).all(axis=1)
    which = np.zeros(len(found), bool)
    which[owners(found.offsets)[wild]] = True
    return which


def _on_slide(found: Outlines, slide_shape: tuple[int, int], origin: str) -> Outlines:
    bounds = bounds_of(found.vertices, found.offsets)
    gone = outside(bounds, slide_shape)
    if gone.any() and gone.mean() >= _MOST_OUTSIDE:
        refuse_outside(bounds, slide_shape, found.names(gone), len(found), origin)
    return found.without(Problem.OUTSIDE, gone)


def _mended(found: Outlines) -> Outlines:
    import shapely

    polygons = to_shapely(found.vertices, found.offsets)
    crossing = ~shapely.is_valid(polygons)
    parts = {int(i): largest_part(polygons[i]) for i in np.flatnonzero(crossing)}
    return _with_parts(found, Problem.CROSSED, parts)


def _cut(found: Outlines, slide_shape: tuple[int, int]) -> Outlines:
    import shapely

    # The centre of the first pixel is (0, 0): the slide begins half a pixel before it.
    low, high = np.array([-0.5, -0.5]), np.array(slide_shape[:2]) - 0.5
    bounds = bounds_of(found.vertices, found.offsets)
    over = np.asarray((bounds[:, :2] < low).any(axis=1) | (bounds[:, 2:] > high).any(axis=1))
    if not over.any():
        return found
    polygons = to_shapely(found.take(over).vertices, found.take(over).offsets)
    slide = shapely.box(low[1], low[0], high[1], high[0])
    positions = np.flatnonzero(over).tolist()
    cut: dict[int, NDArray[np.float32] | None] = {
        position: largest_part(shapely.intersection(shapely.make_valid(polygon), slide))
        for position, polygon in zip(positions, polygons, strict=True)
    }
    return _with_parts(found, Problem.CUT, cut)


def _with_parts(
    found: Outlines, problem: Problem, parts: dict[int, NDArray[np.float32] | None]
) -> Outlines:
    """Replace outlines by what is left of them; nothing is left of those without area."""
    changed, flat = np.zeros(len(found), bool), np.zeros(len(found), bool)
    for position, part in parts.items():
        (flat if part is None else changed)[position] = True
    new = {position: part for position, part in parts.items() if part is not None}
    return found.reshaped(new).marked(problem, changed).without(Problem.NO_AREA, flat)


def _reported(found: Outlines) -> ReadReport:
    usable = np.isfinite(found.scores)
    found = found.marked(Problem.BAD_SCORE, ~usable)
    ids, repeated = _new_ids(found)
    nuclei = Nuclei(
        found.vertices,
        found.offsets,
        ids,
        np.where(usable, found.scores, np.float32(1)),
        found.sources,
        found.next_id,
    )
    repaired = [Finding(p, tuple(ids[mask].tolist())) for p, mask in found.marks.items()]
    if repeated.any():
        pairs = zip(found.ids[repeated].tolist(), ids[repeated].tolist(), strict=True)
        names: tuple[Any, ...] = tuple(f"{old} (now {new})" for old, new in pairs)
        repaired.append(Finding(Problem.SAME_ID, names))
    kept = tuple(finding for finding in repaired if finding.ids)
    return ReadReport(nuclei, kept, found.left_out, found.notes)


def _new_ids(found: Outlines) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids where each is its own, and which were repeated."""
    ids = found.ids.copy()
    first = np.zeros(len(ids), bool)
    first[np.unique(ids, return_index=True)[1]] = True
    repeated = ~first & (ids != NO_ID)
    needed = np.flatnonzero(repeated | (ids == NO_ID))
    if needed.size:
        taken = np.delete(ids, needed)
        start = max(found.next_id, int(taken.max(initial=-1)) + 1)
        free = np.arange(start, start + needed.size)
        if free[-1] > LARGEST_ID:
            free = np.setdiff1d(np.arange(len(ids)), taken)[: needed.size]
        ids[needed] = free
    return ids, repeated
