"""Rows of different lengths laid end to end, with the offsets where each row starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    row = owners(offsets)
    return row, np.arange(offsets[-1]) - offsets[row]


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

    Neighbouring rows that stay neighbours are copied in one go: an edit of a
    few rows costs little more than copying the memory.

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
    lengths = np.empty(len(order), np.int64)
    for part, (_, offsets) in enumerate(parts):
        here = part_of == part
        row = order[here] - ends[part] + len(offsets) - 1
        lengths[here] = offsets[row + 1] - offsets[row]
    broken = (np.diff(order) != 1) | (np.diff(part_of) != 0)
    first = np.concatenate([[0], np.flatnonzero(broken) + 1])[: len(order)]
    last = np.concatenate([np.flatnonzero(broken), [len(order) - 1]])[: len(order)]
    starts = np.concatenate([[0], ends])
    pieces = [parts[0][0][:0]]
    for part, a, b in zip(
        part_of[first].tolist(), order[first].tolist(), order[last].tolist(), strict=True
    ):
        values, offsets = parts[part]
        pieces.append(values[offsets[a - starts[part]] : offsets[b - starts[part] + 1]])
    return np.concatenate(pieces), offsets_of(lengths)
