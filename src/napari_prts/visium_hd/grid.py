"""The bin grid of a simulated section, laid over a slide as the machine lays its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MARGIN_BINS = 4
_SHORTEST_WAVE_UM = 1000.0


@dataclass(frozen=True)
class BinGrid:
    """A grid of square bins: turned, its rows running up the image, gently bent.

    A real Visium HD grid is turned by about a degree, runs up the image, and
    leaves some pixels of error when fitted by an affine map; so does this one.

    Parameters
    ----------
    slide_shape : (int, int)
        Rows and columns of the slide at level 0.
    mpp : float
        Microns per level-0 pixel.
    bin_um : float
        Side of a bin.
    turn_degrees : float
        By how much the grid is turned against the slide.
    bend_um : float
        The most that a bin lies off its place in a straight grid.
    """

    slide_shape: tuple[int, int]
    mpp: float
    bin_um: float = 2.0
    turn_degrees: float = 1.0
    bend_um: float = 1.5

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of bins, enough to cover the slide."""
        height, width = self.slide_shape
        turn = np.deg2rad(abs(self.turn_degrees))
        sides = (
            height * np.cos(turn) + width * np.sin(turn),
            width * np.cos(turn) + height * np.sin(turn),
        )
        bins = (int(np.ceil(side * self.mpp / self.bin_um)) for side in sides)
        rows, columns = (count + 2 * _MARGIN_BINS for count in bins)
        return rows, columns

    def to_pixels(self, bins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Level-0 pixels (row, column) of grid positions (array row, array column), (n, 2)."""
        straight = self._centre + (bins - self._middle) @ self._matrix.T
        return straight + self._bend(straight)

    def to_bins(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Grid positions (array row, array column), fractional, of level-0 pixels, (n, 2)."""
        straight = pixels
        for _ in range(4):  # The bend is so gentle that each round gains two digits.
            straight = pixels - self._bend(straight)
        return self._middle + (straight - self._centre) @ np.linalg.inv(self._matrix).T

    def bins_over_slide(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Bins whose centre lies on the slide.

        Returns
        -------
        bins : (n, 2) int32
            Array row and array column, sorted by row.
        positions : (n, 2) float64
            (row, column) in level-0 pixels.
        """
        rows, columns = np.indices(self.shape, dtype=np.int32)
        bins = np.column_stack([rows.ravel(), columns.ravel()])
        positions = self.to_pixels(bins.astype(np.float64))
        over = ((positions >= 0) & (positions < self.slide_shape)).all(1)
        return bins[over], positions[over]

    @property
    def _centre(self) -> NDArray[np.float64]:
        return np.asarray(self.slide_shape, np.float64) / 2

    @property
    def _middle(self) -> NDArray[np.float64]:
        return (np.asarray(self.shape, np.float64) - 1) / 2

    @property
    def _matrix(self) -> NDArray[np.float64]:
        turn = np.deg2rad(self.turn_degrees)
        pitch = self.bin_um / self.mpp
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        up = np.array([[-1.0, 0.0], [0.0, 1.0]])
        matrix: NDArray[np.float64] = pitch * turned @ up
        return matrix

    def _bend(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offset in pixels, at most ``bend_um`` long, over a wave of a millimetre or more."""
        wave = max(*self.slide_shape, _SHORTEST_WAVE_UM / self.mpp)
        row, column = (2 * np.pi * pixels / wave).T
        waves = np.column_stack([np.sin(column + 0.5 * row), np.cos(row - 0.7 * column)])
        bent: NDArray[np.float64] = waves * (self.bend_um / self.mpp / np.sqrt(2))
        return bent
