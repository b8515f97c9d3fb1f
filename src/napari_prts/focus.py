"""Where the user looks, told by the window to jobs that run beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """A rectangle of the slide.

    Parameters
    ----------
    row, column, height, width : float
        Level-0 pixels.
    """

    row: float
    column: float
    height: float
    width: float

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of its middle."""
        return self.row + self.height / 2, self.column + self.width / 2

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which points, shape (n, 2), lie inside."""
        low = np.array([self.row, self.column])
        high = low + np.array([self.height, self.width])
        inside: NDArray[np.bool_] = ((points >= low) & (points < high)).all(axis=1)
        return inside


class Focus:
    """What is on screen now.

    One thread sets it, others read it: what they read is always one whole view.

    Parameters
    ----------
    view : View, optional
        None before anything is shown.
    """

    def __init__(self, view: View | None = None) -> None:
        self._view = view

    @property
    def view(self) -> View | None:
        """The part of the slide on screen."""
        return self._view

    def look_at(self, view: View | None) -> None:
        """Tell that another part is on screen."""
        self._view = view
