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
from napari_prts.nuclei.ragged import Offsets, counted, owners, successors

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

    def pixels(self, width: int) -> tuple[Ints, Ints]:
        """Owner and flat index, in an image of the given width, of each pixel."""
        span, within = counted(self.stop - self.start)
        return self.owner[span], (self.row * width + self.start)[span] + within


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
    after = vertices[successors(offsets)]
    # From top to bottom whichever way the edge runs: two polygons that share an
    # edge meet it at the very same columns.
    downward = (vertices[:, 0] <= after[:, 0])[:, None]
    upper, lower = np.where(downward, vertices, after), np.where(downward, after, vertices)
    top = np.ceil(upper[:, 0]).astype(np.int64)
    edge, within = counted(np.ceil(lower[:, 0]).astype(np.int64) - top)
    row = top[edge] + within
    (r0, c0), (r1, c1) = upper[edge].T, lower[edge].T
    column = c0 + (row - r0) / (r1 - r0) * (c1 - c0)
    owner = owners(offsets)[edge]
    order = np.lexsort((column, row, owner))
    enter, leave = order[::2], order[1::2]
    start = np.ceil(column[enter]).astype(np.int64)
    stop = np.ceil(column[leave]).astype(np.int64)
    return Spans(owner[enter], row[enter], start, stop).take(stop > start)
