"""All nuclei of a slide as one pyramid: outlines when close, density when far.

A million nuclei cost nothing until they are looked at: each block is drawn from the
nuclei near it when napari asks for it, and again only when one of these changed.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei
from napari_prts.viewer.nuclei_blocks import (
    SIDE,
    BlockCache,
    BlockLevel,
    Image,
    blocks_touched,
)
from napari_prts.viewer.nuclei_changes import changed_bounds
from napari_prts.viewer.nuclei_density import DensityPicture
from napari_prts.viewer.nuclei_drawing import BRUSH, dots, outlines

# The coarsest level is held whole: napari reads that one only once.
_LARGEST_WHOLE = 1024
# A level of so few pixels is never drawn smaller than it is.
_SMALLEST = 128
# Microns per pixel of a level: on coarser ones an outline has no room for an inside, and on
# still coarser ones not even dots keep apart. Nuclei measure some 7 um across.
_COARSEST_OUTLINES_UM = 1.1
_COARSEST_DOTS_UM = 2.2
# Where a slide's pixel size is unknown; most are scanned so.
_USUAL_MPP = 0.25
# Level-0 pixels: looking for nuclei near a block, larger ones are gone through one by one.
_LARGE = 256.0


class NucleiOverview:
    """What a labels layer is given to show all nuclei.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the slide's level 0.
    mpp : float or None
        Microns per level-0 pixel.

    Attributes
    ----------
    levels : list of array of uint8
        Halved from level to level. The last one is a plain array, kept up to date. The
        values are those of :mod:`~napari_prts.viewer.nuclei_tones`.
    """

    def __init__(self, shape: tuple[int, int], mpp: float | None) -> None:
        self._shape = shape
        self._mpp = mpp or _USUAL_MPP
        self._nuclei = Nuclei.empty()
        self._rows = self._nuclei.rows
        self._cache = BlockCache()
        self._densities: dict[int, DensityPicture] = {}
        self._lowest = np.zeros(self.level_shape(self._count - 1), np.uint8)
        self.levels: list[Any] = [
            *(
                BlockLevel(level, self.level_shape(level), self._cache, partial(self._draw, level))
                for level in range(self._count - 1)
            ),
            self._lowest,
        ]

    @cached_property
    def _count(self) -> int:
        """Levels: at least two, because napari reads a single one whole at each edit."""
        count = 2
        while self._goes_on(count - 1):
            count += 1
        return count

    def _goes_on(self, level: int) -> bool:
        """Whether the pyramid goes on below a level: until single nuclei would be lost."""
        longest = max(self.level_shape(level))
        lost = not self.shows_density(level) and longest > _SMALLEST
        return longest > _LARGEST_WHOLE or lost

    def level_shape(self, level: int) -> tuple[int, int]:
        """Rows and columns of a level."""
        rows, columns = (-(-side // 2**level) for side in self._shape)
        return rows, columns

    def shows_density(self, level: int) -> bool:
        """Whether a level shows density, not single nuclei."""
        return bool(2**level * self._mpp > _COARSEST_DOTS_UM)

    @property
    def nuclei(self) -> Nuclei:
        """What is shown."""
        return self._nuclei

    def show(self, nuclei: Nuclei, changed: NDArray[np.floating] | None = None) -> bool:
        """Show other nuclei; what they have in common with those before stays drawn.

        Parameters
        ----------
        nuclei : Nuclei
            All that is to be shown.
        changed : ndarray, shape (n, 4), optional
            Bounds of the nuclei that are not the same, where the caller knows them.

        Returns
        -------
        bool
            Whether anything looks different now.
        """
        boxes = changed_bounds(self._rows, nuclei.rows) if changed is None else changed
        # The rows of a table are laid out anew in place, when it is read in another way:
        # what was shown is known by the rows that it had.
        self._nuclei, self._rows = nuclei, nuclei.rows
        self.__dict__.pop("_large", None)
        if boxes is not None and not len(boxes):
            return False
        self._densities.clear()
        for level in range(self._count):
            self._forget(level, boxes)
        return True

    def set_mpp(self, mpp: float | None) -> None:
        """State another pixel size: it decides what is shown as density."""
        if (mpp or _USUAL_MPP) != self._mpp:
            self._mpp = mpp or _USUAL_MPP
            self._densities.clear()
            for level in range(self._count):
                self._forget(level, None)

    def _forget(self, level: int, boxes: NDArray[np.floating] | None) -> None:
        shape = self.level_shape(level)
        if boxes is None or self.shows_density(level):
            touched = None
        else:
            touched = blocks_touched(boxes, 2**level, shape, BRUSH + 1)
        if level < self._count - 1:
            self._cache.forget(level, touched)
            return
        if touched is None:
            touched = blocks_touched(np.array([[0, 0, *self._shape]]), 2**level, shape, 0)
        for top, left in (touched * SIDE).tolist():
            part = self._lowest[top : top + SIDE, left : left + SIDE]
            drawn = self._draw(level, top, left, *part.shape)
            part[:] = 0 if drawn is None else drawn

    def _draw(self, level: int, top: int, left: int, height: int, width: int) -> Image | None:
        factor = 2**level
        if self.shows_density(level):
            return self._density(factor).draw(top, left, height, width)
        near = self._near(top, left, height, width, factor)
        if not len(near):
            return None
        window = (top, left, height, width, factor)
        if factor * self._mpp > _COARSEST_OUTLINES_UM:
            nuclei = self._nuclei
            return dots(nuclei.centroids[near], nuclei.sources[near], *window)
        return outlines(self._nuclei.take(near), *window)

    def _density(self, factor: int) -> DensityPicture:
        if factor not in self._densities:
            picture = DensityPicture(self._nuclei, self._shape, factor, self._mpp)
            self._densities[factor] = picture
        return self._densities[factor]

    def _near(
        self, top: int, left: int, height: int, width: int, factor: int
    ) -> NDArray[np.integer]:
        """Positions of the nuclei that may reach into a window, ascending."""
        margin = min(self._nuclei.reach, _LARGE) + 2 * BRUSH * factor
        r0, c0 = top * factor - margin, left * factor - margin
        r1, c1 = (top + height) * factor + margin, (left + width) * factor + margin
        near: NDArray[np.integer] = self._nuclei.in_rectangle(r0, c0, r1, c1)
        large, bounds = self._large
        if not len(large):
            return near
        reaching = (bounds[:, :2] < (r1, c1)).all(axis=1) & (bounds[:, 2:] > (r0, c0)).all(axis=1)
        return np.union1d(near, large[reaching])

    @cached_property
    def _large(self) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
        """Positions and bounds of nuclei so large that they would slow down all blocks."""
        if self._nuclei.reach <= _LARGE:
            return np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
        bounds = self._nuclei.bounds
        large = np.flatnonzero((bounds[:, 2:] - bounds[:, :2]).max(axis=1) > _LARGE)
        return large, bounds[large]
