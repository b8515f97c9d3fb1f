"""Filling many polygons at once, as runs of pixels.

A pixel belongs to a polygon when its centre does (even-odd rule). All nuclei are
filled in a few array operations, each by itself: neighbours that touch or overlap
have no bearing on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.geometry import areas_and_centroids
from napari_prts.nuclei.ragged import Offsets, counted, successors

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Runs of pixels, sorted by owner and row.

    Attributes
    ----------
    owner : ndarray of int64, shape (s,)
        Number of the polygon.
    row, start, stop : ndarray of int64, shape (s,)
        The run's row, first column and column after the last.
    """

    owner: Ints
    row: Ints
    start: Ints
    stop: Ints

    def take(self, which: NDArray[np.generic]) -> Spans:
        """Choose runs by positions or mask."""
        return Spans(self.owner[which], self.row[which], self.start[which], self.stop[which])

    def clipped(self, row: int, column: int, height: int, width: int) -> Spans:
        """Cut to a window and count its rows and columns from 0."""
        start = np.clip(self.start - column, 0, width)
        stop = np.clip(self.stop - column, 0, width)
        line = self.row - row
        inside = (line >= 0) & (line < height) & (stop > start)
        return Spans(self.owner, line, start, stop).take(inside)

    @property
    def lengths(self) -> Ints:
        """Pixels in each run."""
        return self.stop - self.start

    def pixels(self, width: int) -> Ints:
        """Flat index, in an image of the given width, of each pixel, run by run."""
        ends = np.cumsum(self.lengths)
        first = self.row * width + self.start - ends + self.lengths
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first, self.lengths)


def filled(vertices: NDArray[np.floating], offsets: Offsets) -> Spans:
    """Fill polygons.

    Parameters
    ----------
    vertices : ndarray, shape (v, 2)
        (row, column) in pixels, pixel centres at whole numbers.
    offsets : ndarray of int64, shape (n + 1,)
        Where each polygon's vertices begin.

    Returns
    -------
    Spans
        At least one pixel for each polygon: those too small to hold a pixel's centre
        get the pixel of their centroid.
    """
    spans = _runs(np.asarray(vertices, np.float64), offsets)
    missing = np.setdiff1d(np.arange(len(offsets) - 1), spans.owner)
    if not missing.size:
        return spans
    _, centroids = areas_and_centroids(vertices, offsets)
    pixel = np.floor(centroids[missing] + 0.5).astype(np.int64)
    columns = (
        np.concatenate([spans.owner, missing]),
        np.concatenate([spans.row, pixel[:, 0]]),
        np.concatenate([spans.start, pixel[:, 1]]),
        np.concatenate([spans.stop, pixel[:, 1] + 1]),
    )
    return Spans(*columns).take(np.argsort(columns[0], kind="stable"))


def dilated(spans: Spans, radius: float) -> Spans:
    """Grow each polygon's pixels by a disc; one run a row, gaps within a row are closed.

    Parameters
    ----------
    spans : Spans
        As :func:`filled` gives them.
    radius : float
        In pixels.
    """
    if not spans.owner.size:
        return spans
    anew = (np.diff(spans.owner) != 0) | (np.diff(spans.row) != 0)
    first = np.append(0, np.flatnonzero(anew) + 1)
    row, owner = spans.row[first], spans.owner[first]
    low = np.minimum.reduceat(spans.start, first)
    high = np.maximum.reduceat(spans.stop, first)
    reach = int(radius)
    # Each polygon gets its rows and `reach` empty ones on either side, so that shifting
    # all rows at once never mixes two polygons.
    begins = np.flatnonzero(np.diff(owner, prepend=-1) != 0)
    ends = np.append(begins[1:], len(owner)) - 1
    top = row[begins] - reach
    group, within = counted(row[ends] - row[begins] + 1 + 2 * reach)
    far = 2**40
    lows, highs = np.full(len(group), far), np.full(len(group), -far)
    starts = np.flatnonzero(within == 0)
    place = np.repeat(starts - top, ends - begins + 1) + row
    lows[place], highs[place] = low, high
    grown_low, grown_high = lows.copy(), highs.copy()
    for shift in range(-reach, reach + 1):
        half = int(np.sqrt(radius**2 - shift**2))
        to, of = _shifted(len(group), shift)
        np.minimum(grown_low[to], lows[of] - half, out=grown_low[to])
        np.maximum(grown_high[to], highs[of] + half, out=grown_high[to])
    every = Spans(owner[begins][group], top[group] + within, grown_low, grown_high)
    return every.take(grown_high > grown_low)


def _shifted(length: int, shift: int) -> tuple[slice, slice]:
    if shift >= 0:
        return slice(shift, length), slice(0, max(length - shift, 0))
    return slice(0, max(length + shift, 0)), slice(-shift, length)


def _runs(vertices: NDArray[np.float64], offsets: Offsets) -> Spans:
    if len(offsets) == 1:
        return Spans(*np.zeros((4, 0), np.int64))
    row, column, per_polygon = _crossings(vertices, offsets)
    # Lines are the rows of each polygon, polygon by polygon.
    inside = np.flatnonzero(per_polygon)
    begins = (np.cumsum(per_polygon) - per_polygon)[inside]
    if not len(begins):
        return Spans(*np.zeros((4, 0), np.int64))
    top = np.minimum.reduceat(row, begins)
    owner_at, line_row = counted(np.maximum.reduceat(row, begins) - top + 1)
    first_line = np.flatnonzero(line_row == 0)
    line = row + np.repeat(first_line - top, per_polygon[inside])
    crossed = np.bincount(line, minlength=len(owner_at))
    low, high = np.full(len(owner_at), np.inf), np.full(len(owner_at), -np.inf)
    np.minimum.at(low, line, column)
    np.maximum.at(high, line, column)
    often = crossed > 2
    parts = [(np.flatnonzero(crossed == 2), low[crossed == 2], high[crossed == 2])]
    if often.any():
        # Where an outline is crossed more than twice, runs and gaps take turns.
        which = np.flatnonzero(often[line])
        order = which[np.lexsort((column[which], line[which]))]
        parts.append((line[order[::2]], column[order[::2]], column[order[1::2]]))
    at, enter, leave = (np.concatenate(values) for values in zip(*parts, strict=True))
    start, stop = np.ceil(enter).astype(np.int64), np.ceil(leave).astype(np.int64)
    spans = Spans(inside[owner_at[at]], (line_row + top[owner_at])[at], start, stop)
    kept = stop > start
    if not often.any():
        return spans.take(kept)
    order = np.argsort(at, kind="stable")
    return spans.take(order[kept[order]])


def _crossings(
    vertices: NDArray[np.float64], offsets: Offsets
) -> tuple[Ints, NDArray[np.float64], Ints]:
    """Where the borders cross rows of pixel centres: rows, columns, and how many per polygon."""
    r0, c0 = vertices.T
    r1, c1 = vertices[successors(offsets)].T
    # From top to bottom whichever way the edge runs: two polygons that share an
    # edge meet it at the very same columns.
    downward = r0 <= r1
    r0, r1 = np.where(downward, r0, r1), np.where(downward, r1, r0)
    c0, c1 = np.where(downward, c0, c1), np.where(downward, c1, c0)
    top = np.ceil(r0).astype(np.int64)
    edge, within = counted(np.ceil(r1).astype(np.int64) - top)
    row = top[edge] + within
    column = c0[edge] + (row - r0[edge]) / (r1 - r0)[edge] * (c1 - c0)[edge]
    counts = np.diff(np.searchsorted(edge, offsets))
    return row, column, counts
