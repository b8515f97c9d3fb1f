"""Which cells train, which stop the training, and which are kept for the score.

Neighbouring cells share image context, so the parts are strips across the
tissue's longer axis with a gap of one tile between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

TRAIN, VALIDATION, TEST, GAP = "train", "validation", "test", "gap"
FEWEST_CELLS = 20

# One tile of 256 px at 0.5 um (the paper).
TILE_UM = 128.0


@dataclass(frozen=True)
class SplitRequest:
    """How cells are divided.

    Parameters
    ----------
    test : float
        Share of all cells kept for the score; 0 for none.
    validation : float
        Share of all cells that tell when to stop.
    gap_um : float
        Width of the strips between the parts, whose cells are not used.

    Raises
    ------
    ExpressionError
        If the shares leave nothing to train on, or the gap is negative.
    """

    test: float = 0.25
    validation: float = 0.15
    gap_um: float = TILE_UM

    def __post_init__(self) -> None:
        if not (self.test >= 0 and self.validation > 0 and self.test + self.validation < 1):
            raise ExpressionError(
                f"Shares of {self.test:g} for test and {self.validation:g} for validation do not "
                "work: validation must be above 0, and both together below 1."
            )
        if not self.gap_um >= 0:
            raise ExpressionError(f"The gap is {self.gap_um:g} um; it must be 0 or more.")


@dataclass(frozen=True)
class SplitPlan:
    """Where the parts lie along one axis: test first, then training, then validation.

    Parameters
    ----------
    axis : int
        0 for rows, 1 for columns.
    test_end, train_start, train_end, validation_start : float
        um from the slide's first pixel; the starts belong to their part, the ends
        do not. Without a test part ``test_end`` and ``train_start`` are minus infinity.
    """

    axis: int
    test_end: float
    train_start: float
    train_end: float
    validation_start: float

    def label(self, centroids_um: NDArray[np.floating]) -> NDArray[np.str_]:
        """Tell the part of each cell.

        Parameters
        ----------
        centroids_um : ndarray, shape (n, 2)
            (row, column) in um.

        Returns
        -------
        ndarray of str, shape (n,)
            ``"train"``, ``"validation"``, ``"test"`` or ``"gap"``.
        """
        place = np.asarray(centroids_um, np.float64)[:, self.axis]
        parts = np.full(len(place), GAP, dtype="<U10")
        parts[place < self.test_end] = TEST
        parts[(place >= self.train_start) & (place < self.train_end)] = TRAIN
        parts[place >= self.validation_start] = VALIDATION
        return parts

    def as_dict(self) -> dict[str, Any]:
        """Give the plan as JSON values; infinity becomes None."""
        edges = {name: getattr(self, name) for name in _OPEN}
        finite = {name: edge if math.isfinite(edge) else None for name, edge in edges.items()}
        return {"axis": ("row", "column")[self.axis], **finite}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SplitPlan:
        """Read what :meth:`as_dict` gave."""
        edges = {
            name: towards if values[name] is None else float(values[name])
            for name, towards in _OPEN.items()
        }
        return cls(("row", "column").index(values["axis"]), **edges)


@dataclass(frozen=True)
class WholePlan:
    """A section that belongs to one part as a whole.

    Parameters
    ----------
    part : str
        ``"train"``, ``"validation"`` or ``"test"``.
    """

    part: str

    def label(self, centroids_um: NDArray[np.floating]) -> NDArray[np.str_]:
        """Tell the part of each cell, shape (n,), as :meth:`SplitPlan.label` does."""
        return np.full(len(centroids_um), self.part, dtype="<U10")

    def as_dict(self) -> dict[str, Any]:
        """Give the plan as JSON values."""
        return {"whole": self.part}


Plan = SplitPlan | WholePlan

# Where an edge that is None in a card lies: there is no such part beyond it.
_OPEN = {
    "test_end": -math.inf,
    "train_start": -math.inf,
    "train_end": math.inf,
    "validation_start": math.inf,
}


def plan_from_dict(values: dict[str, Any]) -> Plan:
    """Read what a plan's ``as_dict`` gave.

    Raises
    ------
    ValueError
        If it names no part.
    KeyError
        If an edge is missing.
    """
    if "whole" not in values:
        return SplitPlan.from_dict(values)
    if values["whole"] not in (TRAIN, VALIDATION, TEST):
        raise ValueError(f"{values['whole']!r} is no part")
    return WholePlan(values["whole"])


def plan_split(
    centroids_um: NDArray[np.floating],
    request: SplitRequest,
    *,
    test: bool = True,
    validation: bool = True,
) -> SplitPlan:
    """Place the parts so that they hold the wanted shares of the cells.

    The gaps are taken from the training part.

    Parameters
    ----------
    centroids_um : ndarray, shape (n, 2)
        (row, column) in um.
    request : SplitRequest
        Shares and gap.
    test, validation : bool
        False where whole other sections are that part.

    Raises
    ------
    ExpressionError
        If a part would hold fewer than 20 cells.
    """
    centroids_um = np.asarray(centroids_um, np.float64)
    test = test and request.test > 0
    count = len(centroids_um)
    if count < FEWEST_CELLS:
        raise ExpressionError(
            f"{count} measured cells are too few to train on: {FEWEST_CELLS} are needed for each "
            "of training, validation and test. Use a larger section or loosen the filters."
        )
    axis = int(np.argmax(np.ptp(centroids_um, axis=0)))
    place = np.sort(centroids_um[:, axis])
    test_end = train_start = -math.inf
    train_end = validation_start = math.inf
    if test:
        test_end = float(place[min(round(request.test * count), count - 1)])
        train_start = test_end + request.gap_um
    if validation:
        validation_start = float(place[count - max(round(request.validation * count), 1)])
        train_end = validation_start - request.gap_um
    plan = SplitPlan(axis, test_end, train_start, train_end, validation_start)
    wanted = [TRAIN] + ([VALIDATION] if validation else []) + ([TEST] if test else [])
    _check(plan.label(centroids_um), wanted, request.gap_um, float(place[-1] - place[0]))
    return plan


def split_spatially(
    centroids_um: NDArray[np.floating], request: SplitRequest | None = None
) -> NDArray[np.str_]:
    """Divide cells into strips with gaps between them.

    Parameters
    ----------
    centroids_um : ndarray, shape (n, 2)
        (row, column) in um.
    request : SplitRequest, optional
        Shares and gap; 25 % test, 15 % validation and 128 um by default.

    Returns
    -------
    ndarray of str, shape (n,)
        ``"train"``, ``"validation"``, ``"test"`` or ``"gap"``.

    Raises
    ------
    ExpressionError
        If a part would hold fewer than 20 cells.
    """
    return plan_split(centroids_um, request or SplitRequest()).label(centroids_um)


def _check(parts: NDArray[np.str_], wanted: list[str], gap_um: float, length_um: float) -> None:
    counts = {part: int((parts == part).sum()) for part in wanted}
    if min(counts.values()) >= FEWEST_CELLS:
        return
    found = ", ".join(f"{number} for {part}" for part, number in counts.items())
    raise ExpressionError(
        f"Too few of the {len(parts)} measured cells remain ({found}; {FEWEST_CELLS} are needed "
        f"for each) beside gaps of {gap_um:g} um on a section {length_um:.0f} um long: use "
        "a larger section, more cells, or a smaller gap."
    )
