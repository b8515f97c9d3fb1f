"""Merging the candidates of neighbouring tiles without seams."""

from __future__ import annotations

import numpy as np

from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.tiling import Rectangle


class Merger:
    """Collects candidates tile by tile and suppresses overlaps across borders.

    Inside a tile, deeper than ``rim``, nothing beyond the border can change which
    candidate wins: only the survivors are kept. In the rim all candidates are kept
    until the neighbours are known, and one last suppression over survivors and rims
    decides. So memory grows with the number of nuclei, not of candidates.

    Parameters
    ----------
    nms_threshold : float
        See :meth:`Candidates.suppressed`.
    n_rays : int
        Rays of each candidate.
    rim : int
        Width of the rim in model pixels: a few diameters of the largest nuclei.
    """

    def __init__(self, nms_threshold: float, n_rays: int, rim: int) -> None:
        self._nms_threshold = nms_threshold
        self._n_rays = n_rays
        self._rim = rim
        self._kept: list[Candidates] = []
        self._shown = Candidates.empty(n_rays)

    def add(self, found: Candidates, tile: Rectangle) -> Candidates:
        """Take the candidates that a tile owns.

        Parameters
        ----------
        found : Candidates
            All candidates whose point lies in the tile, in model pixels of the slide.
        tile : Rectangle
            The tile.

        Returns
        -------
        Candidates
            Those to be shown meanwhile: survivors in this tile that do not overlap
            with one returned before.
        """
        survivors = found.suppressed(self._nms_threshold)
        at_rim = _depth(survivors, tile) < self._rim
        self._kept.append(survivors.take(~at_rim))
        self._kept.append(found.take(_depth(found, tile) < self._rim))
        fresh = self._not_yet_shown(survivors, tile)
        new_at_rim = fresh.take(_depth(fresh, tile) < self._rim)
        self._shown = Candidates.concatenate([self._shown, new_at_rim], self._n_rays)
        return fresh

    def result(self) -> Candidates:
        """All nuclei, by row and column of their points."""
        everything = Candidates.concatenate(self._kept, self._n_rays)
        return everything.suppressed(self._nms_threshold).in_rows()

    def _not_yet_shown(self, survivors: Candidates, tile: Rectangle) -> Candidates:
        near = self._shown.take(_depth(self._shown, tile.grown(self._rim)) >= 0)
        if not len(near) or not len(survivors):
            return survivors
        # A probability above one lets what is shown already win.
        shown = Candidates(near.points, near.prob + 1, near.dist)
        both = Candidates.concatenate([shown, survivors], self._n_rays)
        left = both.suppressed(self._nms_threshold)
        return left.take(left.prob <= 1)


def _depth(candidates: Candidates, tile: Rectangle) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Distance of each point to the tile's nearest side, negative outside."""
    row, column = candidates.points[:, 0], candidates.points[:, 1]
    depth: np.ndarray[tuple[int], np.dtype[np.float32]] = np.minimum.reduce(
        [row - tile.row0, tile.row1 - row, column - tile.column0, tile.column1 - column]
    )
    return depth
