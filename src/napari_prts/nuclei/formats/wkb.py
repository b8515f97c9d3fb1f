"""Millions of polygons of one ring as well-known binary and back, without an object for each.

A polygon is one byte for the byte order, two numbers (its kind, and how many rings it
has), how many points the ring has, and the points, (x, y) in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.ragged import Offsets, offsets_of

_HEAD = 13
_POINT = 16
_POLYGON = 3


def encoded(points: NDArray[np.float64], offsets: Offsets) -> tuple[NDArray[np.uint8], Offsets]:
    """Write polygons.

    Parameters
    ----------
    points : ndarray of float64, shape (v, 2)
        (x, y) of all rings end to end, the first vertex of each not repeated.
    offsets : ndarray of int64, shape (n + 1,)
        Where each ring's points begin.

    Returns
    -------
    content : ndarray of uint8
        The polygons end to end.
    places : ndarray of int64, shape (n + 1,)
        Where each polygon begins in it.
    """
    lengths = np.diff(offsets)
    places = offsets_of(_HEAD + _POINT * (lengths + 1))
    content = np.empty(places[-1], np.uint8)
    for length in np.unique(lengths).tolist():
        which = np.flatnonzero(lengths == length)
        # Each ring's first vertex comes again at its end.
        ring = offsets[which][:, None] + np.append(np.arange(length), 0)
        rows = np.empty((which.size, _HEAD + _POINT * (length + 1)), np.uint8)
        rows[:, :_HEAD] = _head(length + 1)
        rows[:, _HEAD:] = points[ring].astype("<f8").view(np.uint8).reshape(which.size, -1)
        if which.size == len(lengths):
            return rows.reshape(-1), places
        content[places[which][:, None] + np.arange(rows.shape[1])] = rows
    return content, places


def decoded(
    content: NDArray[np.uint8], places: Offsets
) -> tuple[NDArray[np.float64], Offsets] | None:
    """Read polygons, if each is one ring and written as :func:`encoded` does.

    Parameters
    ----------
    content : ndarray of uint8
        Polygons end to end.
    places : ndarray of int64, shape (n + 1,)
        Where each begins.

    Returns
    -------
    points, offsets : ndarray, or None
        (x, y), the first vertex of each ring again at its end; None if there is any
        other geometry.
    """
    sizes = np.diff(places)
    if not sizes.size or (sizes < _HEAD).any():
        return None
    lengths = (sizes - _HEAD) // _POINT
    if ((sizes - _HEAD) % _POINT).any():
        return None
    offsets = offsets_of(lengths)
    points = np.empty((offsets[-1], 2))
    for length in np.unique(lengths).tolist():
        which = np.flatnonzero(lengths == length)
        rows = _rows(content, places, which, _HEAD + _POINT * length)
        if (rows[:, :_HEAD] != _head(length)).any():
            return None
        found = np.ascontiguousarray(rows[:, _HEAD:]).view("<f8").reshape(-1, 2)
        if which.size == len(lengths):
            return found, offsets
        points[(offsets[which][:, None] + np.arange(length)).reshape(-1)] = found
    return points, offsets


def _rows(
    content: NDArray[np.uint8], places: Offsets, which: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    if which.size == len(places) - 1:
        return content[places[0] : places[-1]].reshape(which.size, size)
    return np.asarray(content[places[which][:, None] + np.arange(size)])


def _head(points: int) -> NDArray[np.uint8]:
    numbers = np.array([_POLYGON, 1, points], "<u4")
    return np.append(np.uint8(1), numbers.view(np.uint8))
