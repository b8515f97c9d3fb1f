"""Colours of cells: expression values and clusters, readable on H&E."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap
from numpy.typing import NDArray

# Perceptually even, and without the pink and purple of H&E at the end that matters.
COLORMAPS = ("viridis", "cividis", "turbo", "magma", "gray")

# Twenty categories: Trubetskoy's "simple distinct colours", darkest greys left out.
_CATEGORIES = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#008080",
    "#ffe119",
    "#f032e6",
    "#9a6324",
    "#42d4f4",
    "#800000",
    "#bfef45",
    "#000075",
    "#fabed4",
    "#469990",
    "#dcbeff",
    "#808000",
    "#ffd8b1",
    "#aaffc3",
    "#a9a9a9",
)

ZERO_COLOUR = (0.55, 0.55, 0.58, 0.35)

# Of a colormap on the graphics card; and the least share of a value that limits span.
_COLOURS = 256
_LEAST_SPAN = 1e-3


@dataclass(frozen=True)
class Limits:
    """Values shown as the lowest and the highest colour."""

    low: float
    high: float

    def widened(self, other: Limits | None) -> Limits:
        """Return limits that span these and others."""
        if other is None:
            return self
        return Limits(min(self.low, other.low), max(self.high, other.high))


def percentile_limits(
    *values: NDArray[np.floating], low: float = 1.0, high: float = 99.0
) -> Limits:
    """Measure colour limits, shared by all given arrays.

    Parameters
    ----------
    *values : ndarray
        Expression of one gene; only values above zero count, since zeros are
        drawn in a colour of their own, and unknown ones (NaN) not at all.
    low, high : float
        Percentiles; the paper cuts its maps at the 99th.
    """
    positive = np.concatenate([v[v > 0] for v in values]) if values else np.empty(0)
    if not positive.size:
        return Limits(0.0, 1.0)
    bottom, top = (float(v) for v in np.percentile(positive, [low, high]))
    return Limits(bottom, max(top, bottom + max(_LEAST_SPAN * bottom, 1e-6)))


def shown_values(values: NDArray[np.float32], limits: Limits) -> NDArray[np.float32]:
    """Prepare one gene for a layer with these limits and :func:`expression_colormap`.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        Expression; NaN where it is not known.
    limits : Limits
        Contrast limits of the layer.

    Returns
    -------
    ndarray of float32, shape (n,)
        Values below the limits are lifted into the lowest colour: what lies at the lower
        limit or under it is drawn as having no expression at all. Zeros stay.
    """
    lowest = np.float32(limits.low + (limits.high - limits.low) / _COLOURS)
    return np.where(values > 0, np.maximum(values, lowest), values)


def expression_colormap(name: str) -> Colormap:
    """Return a colormap for expression: zeros are a faint grey, unlike low expression.

    Parameters
    ----------
    name : str
        Name of a napari colormap.

    Returns
    -------
    napari.utils.Colormap
        With colours of its own for what is not above the lower limit, and none for NaN.
    """
    plain = ensure_colormap(name)
    return Colormap(
        plain.colors,
        name=f"{name}, zeros faint",
        controls=plain.controls,
        interpolation=plain.interpolation,
        low_color=ZERO_COLOUR,
        nan_color=(0, 0, 0, 0),
    )


def category_colormap(names: list[str]) -> Colormap:
    """Return a colormap for numbers of categories, from 0 on, in a layer whose limits are
    half a number below the first and half a number above the last.
    """
    colours = np.stack(list(category_colours(names).values()))
    return Colormap(
        colours,
        name=f"{len(names)} clusters",
        interpolation="zero",
        nan_color=(0, 0, 0, 0),
    )


def category_colours(names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Give each category a colour; the twenty-first starts again with the first."""
    palette = _palette()
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def _palette() -> NDArray[np.float32]:
    channels = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for c in _CATEGORIES]
    return np.asarray(channels, np.float32)
