"""Percentile normalisation of H&E pixels, the same in training and at prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.8


@dataclass(frozen=True)
class Normalisation:
    """Per-channel limits: ``low`` becomes 0 and ``high`` becomes 1.

    Parameters
    ----------
    low, high : tuple of float
        Grey values of red, green and blue.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def from_pixels(
        cls,
        pixels: NDArray[np.uint8],
        low: float = LOW_PERCENTILE,
        high: float = HIGH_PERCENTILE,
    ) -> Normalisation:
        """Measure the limits on pixels.

        The percentiles (1 and 99.8) are those that StarDist's own examples use.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (..., 3)
            Pixels of tissue.
        low, high : float
            Percentiles, 0 to 100.
        """
        flat = pixels.reshape(-1, 3)
        limits = np.percentile(flat, [low, high], axis=0)
        return cls(_triple(limits[0]), _triple(limits[1]))

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scale an image (..., 3) so that the limits become 0 and 1, without clipping."""
        low = np.asarray(self.low, np.float32)
        # One grey value at least, so that an even image does not divide by nothing.
        span = np.maximum(np.asarray(self.high, np.float32) - low, 1.0)
        scaled: NDArray[np.float32] = (image.astype(np.float32) - low) / span
        return scaled


def _triple(values: NDArray[np.floating]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
