"""Which modes of comparison can be used with what is painted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.viewer.cell_values import SCORE, CellTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_prts.viewer.painted_side import PaintedSide, Painting


def possible_mode(painting: Painting, painted: Mapping[str, PaintedSide]) -> str:
    """Say how sides are seen: as the painting asks, if that can be done.

    Parameters
    ----------
    painting : Painting
        What is asked for.
    painted : mapping of PaintedSide
        The sides there are.

    Returns
    -------
    str
        ``"one"`` where there is one side only; ``"beside"`` for the difference of what has
        none: clusters, or cells that are still being predicted.
    """
    if len(painted) < 2:
        return "one"
    if painting.mode != "difference":
        return painting.mode
    whole = all(isinstance(side.cells, CellTable) for side in painted.values())
    return "difference" if whole and _counted(painting) else "beside"


def why_not(mode: str, sides: Collection[str], painting: Painting | None, *, arriving: bool) -> str:
    """Say why a mode cannot be used now.

    Parameters
    ----------
    mode : str
        One of :data:`~napari_prts.viewer.painted_side.MODES`.
    sides : collection of str
        The sides that are painted or, while nothing is, that there are cells of.
    painting : Painting or None
        What is painted.
    arriving : bool
        Whether a prediction is running.

    Returns
    -------
    str
        A sentence; empty if it can be used.
    """
    if mode == "one":
        return ""
    if len(sides) < 2:
        there = next(iter(sides), "nothing")
        if painting is None:
            return f"Needs predicted and measured cells; there is {there} so far (Predict panel)."
        return f"Needs both sides, but {painting.what} is known of one side only: {there}."
    if mode == "difference" and painting is not None and not _counted(painting):
        return "Only of a gene: clusters, totals and scores have no difference in counts."
    if mode == "difference" and arriving:
        return "Comes when the prediction is complete."
    return ""


def _counted(painting: Painting) -> bool:
    """Whether a gene's counts are painted, and no score of several genes."""
    return painting.gene is not None and not painting.gene.startswith(SCORE)
