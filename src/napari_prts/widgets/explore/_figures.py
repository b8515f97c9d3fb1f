"""Figures as a person reads them, and the word that stands beside each value of expression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_prts.viewer.expression_view import is_simulated

if TYPE_CHECKING:
    from napari_prts.study import Study

SIDES = ("predicted", "measured")


def number(value: float) -> str:
    """Write a value with three digits; nothing if it is not known.

    Parameters
    ----------
    value : float
        Expression, a score or a mean; NaN where it is not known.
    """
    if math.isnan(value):
        return ""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.0e}"
    # Whole counts have no decimals.
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def share(value: float) -> str:
    """Write a share as per cent; nothing if it is not known."""
    return "" if math.isnan(value) else f"{100 * value:.0f} %"


def pcc(value: float) -> str:
    """Write a correlation with two decimals, or three near 1; nothing if it is not known."""
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if abs(value) >= 0.95 else f"{value:.2f}"


def side_word(study: Study, side: str) -> str:
    """Name a side: ``"predicted"``, ``"measured"`` or ``"simulated"``.

    Parameters
    ----------
    study : Study
        Whose tables.
    side : str
        ``"predicted"`` or ``"measured"``.
    """
    if side == "measured" and is_simulated(study.measured, side):
        return "simulated"
    return side
