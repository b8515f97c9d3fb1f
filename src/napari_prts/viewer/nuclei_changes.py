"""Where two tables of nuclei differ, found from what they do not share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei.block import Block
from napari_prts.nuclei.patched import Patched


def changed_bounds(before: Patched, after: Patched) -> NDArray[np.float32] | None:
    """Find the boxes of the nuclei that only one of two tables has.

    Parameters
    ----------
    before, after : Patched
        ``Nuclei.rows`` of the tables.

    Returns
    -------
    ndarray of float32, shape (m, 4), or None
        Smallest row and column, largest row and column in level-0 pixels. None if the
        tables were not made from each other by edits of some nuclei, or too many ago.
    """
    if before is after:
        return np.zeros((0, 4), np.float32)
    if before.base is not after.base:
        return None
    count = len(before.base)
    moved = np.setxor1d(
        before.pieces.left_out(count), after.pieces.left_out(count), assume_unique=True
    )
    boxes = [before.base.rings.bounds[moved]]
    boxes += [_missing(before.patch, after.patch), _missing(after.patch, before.patch)]
    return np.concatenate(boxes)


def _missing(here: Block, there: Block) -> NDArray[np.float32]:
    """Boxes of the rows of one block that are not, or are otherwise, in another."""
    if not len(here):
        return np.zeros((0, 4), np.float32)
    found = there.find(here.ids)
    known = np.flatnonzero(found >= 0)
    at = found[known]
    same = (here.codes[known] == there.codes[at]) & (here.sources[known] == there.sources[at])
    return np.asarray(np.delete(here.rings.bounds, known[same], axis=0))
