"""Colours of cells: expression values and clusters, readable on H&E."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.utils.colormaps import ensure_colormap
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


@dataclass(frozen=True)
class Limits:
    """Values shown as the lowest and the highest colour."""

    low: float
    high: float


def percentile_limits(
    *values: NDArray[np.floating], low: float = 1.0, high: float = 99.0
) -> Limits:
    """Measure colour limits, shared by all given arrays.

    Parameters
    ----------
    *values : ndarray
        Expression of one gene; only values above zero count, since zeros are
        drawn in a colour of their own.
    low, high : float
        Percentiles; the paper cuts its maps at the 99th.
    """
    positive = np.concatenate([v[v > 0] for v in values]) if values else np.empty(0)
    if not positive.size:
        return Limits(0.0, 1.0)
    bottom, top = (float(v) for v in np.percentile(positive, [low, high]))
    return Limits(bottom, top if top > bottom else bottom + 1e-6)


def expression_colours(
    values: NDArray[np.floating], limits: Limits, colormap: str
) -> NDArray[np.float32]:
    """Colour cells by one gene.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Expression.
    limits : Limits
        Values of the lowest and highest colour.
    colormap : str
        Name of a napari colormap.

    Returns
    -------
    ndarray of float32, shape (n, 4)
        RGBA; cells without expression are a faint grey, unlike low expression.
    """
    share = np.clip((values - limits.low) / (limits.high - limits.low), 0, 1)
    colours: NDArray[np.float32] = np.asarray(ensure_colormap(colormap).map(share), np.float32)
    colours[values <= 0] = ZERO_COLOUR
    return colours


def category_colours(names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Give each category a colour; the twenty-first starts again with the first."""
    palette = _palette()
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def _palette() -> NDArray[np.float32]:
    channels = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for c in _CATEGORIES]
    return np.asarray(channels, np.float32)
