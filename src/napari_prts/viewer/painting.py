"""Colours of cells: expression values and clusters, readable on H&E."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

# Ours, chosen by looking at pink tissue: all but the lowest quarter of viridis, whose purple is
# that of nuclei. What is left is as even, and as safe for the colour-blind, as the whole.
BLUE_TO_YELLOW = "blue to yellow"
_PARTS = {BLUE_TO_YELLOW: ("viridis", 0.25)}
# Readable on H&E; viridis because people know it, turbo because it tells most steps apart.
COLORMAPS = (BLUE_TO_YELLOW, "cividis", "turbo", "viridis", "gray")

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
NO_COLOUR = (0.0, 0.0, 0.0, 0.0)

# Of a colormap on the graphics card; and the least share of a value that limits span.
_COLOURS = 256
_LEAST_SPAN = 1e-3
# Half powers of two between which colours are bent: an eighth is straight to the eye.
_BENDS = (-6, 60)


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


def expression_colormap(
    name: str, *, log: Limits | None = None, hide_zeros: bool = False
) -> Colormap:
    """Return a colormap for expression: zeros are a faint grey, unlike low expression.

    Parameters
    ----------
    name : str
        One of :data:`COLORMAPS`, or of any napari colormap.
    log : Limits, optional
        Limits of the layer; colours then go with the logarithm of one plus the value. The
        values stay what they are, so that the colour bar's numbers remain true.
    hide_zeros : bool
        Zeros have no colour at all.

    Returns
    -------
    napari.utils.Colormap
        With colours of its own for what is not above the lower limit, and none for NaN.
    """
    return _expression_colormap(name, None if log is None else log_bend(log), hide_zeros)


def log_bend(limits: Limits) -> float:
    """Tell how much log1p bends the colours between limits.

    The logarithm of one plus the value, from 0 at the lower to 1 at the upper limit, is
    ``log1p(bend * s) / log1p(bend)`` of the value's share ``s`` between the limits, where
    ``bend`` is the span over one plus the lower limit.

    Returns
    -------
    float
        Rounded to a half power of two, which moves no colour by more than two in a hundred:
        napari keeps each colormap that it has ever seen, so there must be few.
    """
    bend = (limits.high - limits.low) / (1 + max(limits.low, 0.0))
    return float(2.0 ** (np.clip(np.rint(2 * np.log2(bend)), *_BENDS) / 2))


def log_controls(bend: float, count: int) -> NDArray[np.float64]:
    """Find where even steps of the logarithm lie between two limits.

    Parameters
    ----------
    bend : float
        Of :func:`log_bend`.
    count : int
        Number of steps.

    Returns
    -------
    ndarray of float64, shape (count,)
        Shares of the span, from 0 at the lower to 1 at the upper limit, ascending.
    """
    shares = np.expm1(np.linspace(0, np.log1p(bend), count)) / bend
    # Rounding must not take the end off 1.
    shares[-1] = 1.0
    return np.minimum(shares, 1.0)


@lru_cache(maxsize=64)
def _expression_colormap(name: str, bend: float | None, hide_zeros: bool) -> Colormap:
    colours = _even_colours(name)
    said = [name] if bend is None else [name, f"log {bend:.3g}"]
    controls = np.linspace(0, 1, len(colours)) if bend is None else log_controls(bend, len(colours))
    return Colormap(
        colours,
        name=", ".join([*said, "zeros hidden" if hide_zeros else "zeros faint"]),
        controls=controls,
        low_color=NO_COLOUR if hide_zeros else ZERO_COLOUR,
        nan_color=NO_COLOUR,
    )


@lru_cache(maxsize=16)
def _even_colours(name: str) -> NDArray[np.float32]:
    """Colours of a napari colormap at even steps."""
    whole, first = _PARTS.get(name, (name, 0.0))
    shares = np.linspace(first, 1, _COLOURS)
    colours = np.asarray(ensure_colormap(whole).map(shares), np.float32)
    colours.setflags(write=False)
    return colours


def category_colormap(names: list[str], colours: Sequence[str] = ()) -> Colormap:
    """Return a colormap for numbers of categories, from 0 on, in a layer whose limits are
    half a number below the first and half a number above the last.

    Parameters
    ----------
    names : list of str
        The categories.
    colours : sequence of str
        Of each, ``"#1f77b4"``; by default those of :func:`category_colours`.
    """
    if len(colours):
        shown = np.asarray(transform_color(list(colours)), np.float32)
    else:
        shown = np.stack(list(category_colours(names).values()))
    return Colormap(
        shown,
        name=f"{len(names)} clusters",
        interpolation="zero",
        nan_color=NO_COLOUR,
    )


def category_colours(names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Give each category a colour; the twenty-first starts again with the first."""
    palette = _palette()
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def _palette() -> NDArray[np.float32]:
    channels = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for c in _CATEGORIES]
    return np.asarray(channels, np.float32)
