"""Histogram of what is painted, with the two limits of the colours as lines to be dragged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_prts.viewer.painting import Limits
from napari_prts.widgets.explore._limits_drawing import (
    HEIGHT,
    Axis,
    draw_bars,
    draw_limits,
    draw_own_limits,
    draw_ramp,
    draw_words,
)

# Told apart by people who see colours differently (Okabe and Ito 2008), on dark and light.
SIDE_COLOURS = {"measured": "#E69F00", "predicted": "#56B4E9"}
_BINS = 64
# More values would not change the shape; finding bins for 500,000 would be felt.
_MOST_VALUES = 50_000
# A few outliers must not press all others into the first bin.
_SHOWN_PERCENTILE = 99.8
# Pixels from a line within which it is taken hold of.
_REACH = 9
_DIFFERENCE = (
    "How many cells differ by how much, and from which difference on the colour is the strongest,\n"
    "on both sides of zero. Drag the line to change it; double click for the percentile again."
)
# Milliseconds between two repaints of the tissue while a limit is dragged.
_PAUSE = 40


@dataclass(frozen=True, eq=False)
class Shown:
    """What the histogram shows.

    Parameters
    ----------
    values : mapping of ndarray
        Expression by side, in the words that the user reads; NaN where it is not known.
    colours : mapping of str
        Of each of these.
    limits : Limits
        Of the colours; the lines.
    own : mapping of Limits
        Limits of each side, where they are not the same; then there are no lines to drag.
    log : bool
        The axis goes with the logarithm of one plus the value.
    ramp : ndarray of float, shape (steps, 4) or (rows, steps, 4)
        Colours from the lower to the upper limit, evenly over the axis.
    difference : bool
        The values are how far the sides differ, by which of them is higher: only the upper line
        can be dragged, and both are drawn to one scale.
    """

    values: Mapping[str, NDArray[np.float32]]
    colours: Mapping[str, str]
    limits: Limits
    own: Mapping[str, Limits] = field(default_factory=dict)
    log: bool = False
    ramp: NDArray[np.float64] = field(default_factory=lambda: np.ones((1, 4)))
    difference: bool = False


class LimitsHistogram(QWidget):
    """Draws values above zero, each side as high as the other, and the limits.

    Attributes
    ----------
    dragged : qtpy.QtCore.Signal
        Emitted with the lower and the upper limit while one of them is dragged.
    reset : qtpy.QtCore.Signal
        Emitted at a double click.
    """

    dragged = QtSignal(float, float)
    reset = QtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        self.setMouseTracking(True)
        self.setToolTip(
            "How many cells have which value (zeros left out), and which values the colours span.\n"
            "Drag a line to change it; double click for the percentiles again."
        )
        self._usual_tooltip = self.toolTip()
        self.shown: Shown | None = None
        self.limits = Limits(0.0, 1.0)
        self._top = 1.0
        self._heights: dict[str, NDArray[np.float64]] = {}
        self._held: str | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE)
        self._later.timeout.connect(self._tell)

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(240, self.height())

    def show_values(self, shown: Shown | None) -> None:
        """Show values and limits; None shows nothing."""
        self.shown = shown
        difference = shown is not None and shown.difference
        self.setToolTip(_DIFFERENCE if difference else self._usual_tooltip)
        if shown is not None:
            if self._held is None:
                self.limits = shown.limits
            self._measure(shown)
        self.update()

    def place_of(self, value: float) -> float:
        """Where a value lies, in pixels from the left edge."""
        return self._axis.place_of(value)

    def value_at(self, place: float) -> float:
        """Which value lies at a place; see :meth:`place_of`."""
        return self._axis.value_at(place)

    @property
    def _axis(self) -> Axis:
        return Axis(self.width(), self._top, self.shown is not None and self.shown.log)

    def _measure(self, shown: Shown) -> None:
        positive = {}
        for words, values in shown.values.items():
            some = values[:: max(len(values) // _MOST_VALUES, 1)]
            positive[words] = some[some > 0]
        tops = [float(np.percentile(v, _SHOWN_PERCENTILE)) for v in positive.values() if len(v)]
        if self._held is None:
            every = [*tops, shown.limits.high, *(each.high for each in shown.own.values())]
            self._top = max(every) * 1.04
        edges = np.linspace(0, self._axis.bent(self._top), _BINS + 1)
        counts = {
            words: np.histogram(np.log1p(values) if shown.log else values, edges)[0]
            for words, values in positive.items()
        }
        most = max((each.max() for each in counts.values()), default=1)
        self._heights = {
            words: each / max(most if shown.difference else each.max(), 1)
            for words, each in counts.items()
        }

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw everything."""
        shown, axis = self.shown, self._axis
        if shown is None:
            return
        ink = self.palette().windowText().color()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for words, heights in self._heights.items():
            draw_bars(painter, axis, heights, shown.colours[words])
        draw_words(painter, axis, shown.colours, ink)
        if shown.own:
            draw_own_limits(painter, axis, shown.own, shown.colours, ink)
        else:
            draw_ramp(painter, axis, self.limits, shown.ramp)
            draw_limits(painter, axis, self.limits, ink)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of the nearer line."""
        if event is None or self.shown is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._held = self._near(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Draw the line that is held along."""
        if event is None or self.shown is None:
            return
        place = event.position().x()
        if self._held is None:
            near = self._near(place) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)
            return
        value, least = self.value_at(place), self._top / 1000
        if self._held == "low":
            self.limits = Limits(min(value, self.limits.high - least), self.limits.high)
        else:
            self.limits = Limits(self.limits.low, max(value, self.limits.low + least))
        self.update()
        if not self._later.isActive():
            self._later.start()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let the line go."""
        if self._held is not None and self._later.isActive():
            self._later.stop()
            self._tell()
        self._held = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Ask for the percentiles again."""
        self._held = None
        self._later.stop()
        self.reset.emit()

    def _near(self, place: float) -> str | None:
        if self.shown is None or self.shown.own:
            return None
        ways = {n: abs(place - self.place_of(getattr(self.limits, n))) for n in ("low", "high")}
        # Where both lie together at the left, only the upper one can go anywhere.
        upper = self.shown.difference or ways["high"] <= ways["low"]
        name = "high" if upper else "low"
        return name if ways[name] <= _REACH else None

    def _tell(self) -> None:
        self.dragged.emit(self.limits.low, self.limits.high)
