"""Label images of another resolution than their slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError

# A label image is no more than so many times coarser, or finer, than its slide.
_MOST_COARSE, _MOST_FINE = 64.0, 8.0


@dataclass(frozen=True)
class Scale:
    """Level-0 pixels per pixel of a label image.

    Attributes
    ----------
    rows, columns : float
        Along each axis.
    labels, slide : tuple of int
        Rows and columns of both.
    """

    rows: float
    columns: float
    labels: tuple[int, ...]
    slide: tuple[int, ...]

    @property
    def is_one(self) -> bool:
        """Whether a pixel of the labels is a pixel of the slide."""
        return self.rows == self.columns == 1

    def sentence(self) -> str:
        """Say it to the user."""
        factor = f"{self.rows:.4g}" + ("" if self.rows == self.columns else f", {self.columns:.4g}")
        return (
            f"The label image has {self.labels[0]} x {self.labels[1]} pixels (rows x columns) and "
            f"the slide {self.slide[0]} x {self.slide[1]}: outlines were scaled by {factor}."
        )


def scale_of(shape: tuple[int, ...], slide_shape: tuple[int, int] | None, origin: str) -> Scale:
    """Find the scale of a label image, if it has the slide's shape at some resolution.

    Both axes must have the same scale within the rounding of a pyramid's levels, one
    pixel of the label image. A whole number that fits, or one over a whole number, is
    taken as the scale, as pyramids have it; else each axis has its own ratio.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the label image.
    slide_shape : tuple of int or None
        Rows and columns of level 0; None stands for those of the label image.
    origin : str
        For the message.

    Raises
    ------
    NucleiError
        If the shapes do not fit.
    """
    if slide_shape is None or tuple(shape) == tuple(slide_shape[:2]):
        return Scale(1.0, 1.0, shape, shape)
    slide = tuple(int(length) for length in slide_shape[:2])
    sizes, full = np.array(shape, float), np.array(slide, float)
    if not sizes.all():
        return Scale(1.0, 1.0, shape, slide)
    ratios = full / sizes
    # One pixel more or less of the coarser of the two images.
    slack = np.maximum(1.0, ratios)
    low, high = (full - slack) / sizes, (full + slack) / sizes
    fits = low.max() <= high.min() and 1 / _MOST_FINE <= ratios.min() <= _MOST_COARSE
    if not fits:
        raise NucleiError(
            f"{origin} has {shape[0]} x {shape[1]} pixels (rows x columns) and the slide "
            f"{slide[0]} x {slide[1]}: labels must have the slide's shape, at its full or "
            "another resolution."
        )
    mean = float(ratios.mean())
    even = float(round(mean)) if mean >= 1 else 1 / round(1 / mean)
    if low.max() <= even <= high.min():
        return Scale(even, even, shape, slide)
    return Scale(float(ratios[0]), float(ratios[1]), shape, slide)


def scaled(vertices: NDArray[np.floating], scale: Scale) -> NDArray[Any]:
    """Turn pixels of a label image into level-0 pixels, the first pixel's centre (0, 0) in both."""
    factors = np.array([scale.rows, scale.columns])
    return np.asarray((vertices.astype(np.float64) + 0.5) * factors - 0.5, np.float32)
