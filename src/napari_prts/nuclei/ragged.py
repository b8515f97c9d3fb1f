"""Rows of different lengths laid end to end, with the offsets where each row starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Up to so many rows that lie far apart, an index of each value is quicker than a copy of
# each row; for more, the index would take more memory than the rows.
_SCATTERED = 50_000

Offsets = NDArray[np.int64]
Part = tuple[NDArray[Any], Offsets]


def offsets_of(lengths: NDArray[np.integer] | Sequence[int]) -> Offsets:
    """Turn the lengths of ``n`` rows into ``n + 1`` offsets."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def owners(offsets: Offsets) -> NDArray[np.int64]:
    """Row to which each value belongs."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def counted(lengths: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count from 0 in each of several rows.

    Returns
    -------
    row, within : ndarray of int64
        For each value, its row and its place in the row.
    """
    offsets = offsets_of(lengths)
    return owners(offsets), np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def successors(offsets: Offsets) -> NDArray[np.int64]:
    """For each value of closed, non-empty rows, the place of the one after it."""
    following = np.arange(1, offsets[-1] + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    return following


def sum_rows(values: NDArray[Any], offsets: Offsets) -> NDArray[Any]:
    """Sum each row; no row may be empty."""
    if len(offsets) == 1:
        return np.zeros((0, *values.shape[1:]), values.dtype)
    return np.asarray(np.add.reduceat(values, offsets[:-1], axis=0))


def take_rows(parts: Sequence[Part], order: NDArray[np.integer]) -> Part:
    """Lay out rows of one or more parts in a new order.

    Neighbouring rows that stay neighbours are copied in one go: leaving a few rows
    out of many costs little more than copying the memory.

    Parameters
    ----------
    parts : sequence of (values, offsets)
        The rows to choose from, counted through all parts.
    order : ndarray of int, shape (m,)
        Which row comes where.

    Returns
    -------
    values, offsets
        The ``m`` rows.
    """
    ends = np.cumsum([len(offsets) - 1 for _, offsets in parts])
    part_of = np.searchsorted(ends, order, side="right")
    first, lengths = np.empty((2, len(order)), np.int64)
    for part, (_, offsets) in enumerate(parts):
        here = part_of == part
        row = order[here] - ends[part] + len(offsets) - 1
        first[here], lengths[here] = offsets[row], offsets[row + 1] - offsets[row]
    return lay_out([values for values, _ in parts], part_of, first, lengths), offsets_of(lengths)


def lay_out(
    pages: Sequence[NDArray[Any]],
    page_of: NDArray[np.integer],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[Any]:
    """Lay out rows of values end to end.

    Parameters
    ----------
    pages : sequence of ndarray
        The values.
    page_of, first, lengths : ndarray of int64, shape (m,)
        For each row the page that holds it, the place of its first value there, and
        how many values it has.
    """
    last = first + lengths
    broken = (first[1:] != last[:-1]) | (page_of[1:] != page_of[:-1])
    if np.count_nonzero(broken) * 8 > len(first) and len(first) <= _SCATTERED:
        return _picked(pages, page_of, first, lengths)
    begins = np.concatenate([[0], np.flatnonzero(broken) + 1])[: len(first)]
    closes = np.concatenate([np.flatnonzero(broken), [len(first) - 1]])[: len(first)]
    pieces = [pages[0][:0]]
    for page, a, b in zip(
        page_of[begins].tolist(), first[begins].tolist(), last[closes].tolist(), strict=True
    ):
        pieces.append(pages[page][a:b])
    return np.concatenate(pieces)


def _picked(
    pages: Sequence[NDArray[Any]],
    page_of: NDArray[np.integer],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> NDArray[Any]:
    """Values of rows that lie far apart, by the index of each value."""
    row, within = counted(lengths)
    index = first[row] + within
    if not page_of.any():
        return pages[0].take(index, axis=0)
    picked = np.empty((len(index), *pages[0].shape[1:]), pages[0].dtype)
    for page, values in enumerate(pages):
        here = (page_of == page)[row]
        picked[here] = values[index[here]]
    return picked
