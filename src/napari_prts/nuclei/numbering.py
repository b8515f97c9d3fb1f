"""Ids and positions that make sense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.validation import listed

# Nuclei are drawn into int32 images by their id plus one.
LARGEST_ID = 2**31 - 2


def positions_from(which: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Count positions from the start, of which negative ones are counted from the end.

    Raises
    ------
    IndexError
        If a position lies beyond ``count``.
    """
    positions = which.astype(np.int64)
    if positions.size and not (-count <= positions.min() and positions.max() < count):
        wrong = positions[(positions < -count) | (positions >= count)]
        raise IndexError(f"There is no row {listed(wrong)} in a table of {count:,} nuclei.")
    return np.where(positions < 0, positions + count, positions)


def check_ids(ids: NDArray[np.int64]) -> None:
    """Refuse ids that cannot be told apart or cannot be drawn.

    Raises
    ------
    NucleiError
        Naming them.
    """
    if not len(ids):
        return
    if ids.min() < 0 or ids.max() > LARGEST_ID:
        wrong = ids[(ids < 0) | (ids > LARGEST_ID)]
        raise NucleiError(f"Ids must lie between 0 and {LARGEST_ID}, not {listed(wrong)}.")
    if (ids[1:] > ids[:-1]).all():
        return
    unique, counts = np.unique(ids, return_counts=True)
    require_free(unique[counts > 1])


def require_free(twice: NDArray[np.int64]) -> None:
    """Refuse ids that are in use, if there are any.

    Raises
    ------
    NucleiError
        Naming them.
    """
    if len(twice):
        raise NucleiError(f"Ids must be unique; more than one nucleus has {listed(twice)}.")
