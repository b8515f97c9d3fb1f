"""Draws the parts of a histogram of expression: bars, words, colours, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRect, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPolygonF

from napari_prts.viewer.painting import Limits

# Pixels: what is left free at both sides, then from top to bottom.
_SIDE, WORDS, _BARS, _RAMP, _NUMBERS = 8, 16, 44, 7, 15
HEIGHT = WORDS + _BARS + _RAMP + _NUMBERS
# Half the width of a line's grip.
_GRIP = 5
_OTHER_COLOUR = "#999999"


@dataclass(frozen=True)
class Axis:
    """Where values lie in the histogram.

    Parameters
    ----------
    width : int
        Of the whole widget, in pixels.
    top : float
        Value at the right end; 0 is at the left.
    log : bool
        Places go with the logarithm of one plus the value.
    """

    width: int
    top: float
    log: bool

    @property
    def span(self) -> int:
        """Pixels from 0 to the top."""
        return max(self.width - 2 * _SIDE, 1)

    @property
    def right(self) -> int:
        """Where the top lies, in pixels from the left edge."""
        return self.width - _SIDE

    def bent(self, value: float) -> float:
        """The value, or its logarithm."""
        return float(np.log1p(value)) if self.log else value

    def place_of(self, value: float) -> float:
        """Where a value lies, in pixels from the left edge."""
        return _SIDE + self.bent(value) / max(self.bent(self.top), 1e-12) * self.span

    def value_at(self, place: float) -> float:
        """Which value lies at a place; see :meth:`place_of`."""
        bent = min(max((place - _SIDE) / self.span, 0.0), 1.0) * self.bent(self.top)
        return float(np.expm1(bent)) if self.log else float(bent)


def draw_bars(painter: QPainter, axis: Axis, heights: NDArray[np.float64], colour: str) -> None:
    """Draw bars of heights from 0 to 1 as one outline, filled lightly."""
    floor, step = WORDS + _BARS, axis.span / len(heights)
    corners = [QPointF(_SIDE, floor)]
    for number, top in enumerate(floor - heights * (_BARS - 2)):
        corners.append(QPointF(_SIDE + number * step, top))
        corners.append(QPointF(_SIDE + (number + 1) * step, top))
    corners.append(QPointF(axis.right, floor))
    ink = _colour(colour)
    painter.setPen(ink)
    ink.setAlphaF(0.35)
    painter.setBrush(ink)
    painter.drawPolygon(QPolygonF(corners))


def draw_words(painter: QPainter, axis: Axis, colours: Mapping[str, str], ink: QColor) -> None:
    """Write the sides' words at the upper right, each after a square of its colour."""
    right = axis.right
    middle = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
    for words, colour in reversed(list(colours.items())):
        width = painter.fontMetrics().horizontalAdvance(words)
        painter.setPen(ink)
        painter.drawText(QRect(right - width, 0, width, WORDS), middle, words)
        painter.fillRect(QRectF(right - width - 12, WORDS / 2 - 4, 8, 8), _colour(colour))
        right -= width + 22


def draw_ramp(painter: QPainter, axis: Axis, limits: Limits, ramp: NDArray[np.float64]) -> None:
    """Draw the colours between the limits; what lies above has the highest colour too.

    Parameters
    ----------
    painter : QPainter
        Of the widget.
    axis : Axis
        Where values lie.
    limits : Limits
        Of the colours.
    ramp : ndarray of float, shape (steps, 4) or (rows, steps, 4)
        Colours from the lower to the upper limit; rows are drawn one below the other.
    """
    rows = ramp.reshape(-1, *ramp.shape[-2:])
    left, right = axis.place_of(limits.low), axis.place_of(limits.high)
    high = _RAMP / len(rows)
    for row, shares in enumerate(rows):
        colours = np.ascontiguousarray(np.rint(shares * 255).astype(np.uint8))
        strip = QImage(
            colours.tobytes(), len(colours), 1, 4 * len(colours), QImage.Format.Format_RGBA8888
        )
        top = WORDS + _BARS + row * high
        painter.drawImage(QRectF(left, top, max(right - left, 1), high), strip)
        rest = QRectF(right, top, max(axis.right - right, 0), high)
        painter.fillRect(rest, QColor.fromRgb(*(int(v) for v in colours[-1])))


def draw_limits(painter: QPainter, axis: Axis, limits: Limits, ink: QColor) -> None:
    """Draw the limits as lines with grips, their values below, none covering the other."""
    painter.setPen(ink)
    painter.setBrush(ink)
    for value in (limits.low, limits.high):
        place = axis.place_of(value)
        painter.drawLine(QPointF(place, WORDS), QPointF(place, WORDS + _BARS + _RAMP))
        corners = [(place - _GRIP, WORDS), (place + _GRIP, WORDS), (place, WORDS + _GRIP + 2)]
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
    texts = [number(limits.low), number(limits.high)]
    first, second = (painter.fontMetrics().horizontalAdvance(text) for text in texts)
    left = max(axis.place_of(limits.low) - first / 2, 0)
    right = max(axis.place_of(limits.high) - second / 2, left + first + 8)
    right = min(right, axis.width - second)
    left = min(left, right - first - 8)
    for place, width, text in ((left, first, texts[0]), (right, second, texts[1])):
        box = QRectF(place, WORDS + _BARS + _RAMP, width + 2, _NUMBERS)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), text)


def draw_own_limits(
    painter: QPainter,
    axis: Axis,
    limits: Mapping[str, Limits],
    colours: Mapping[str, str],
    ink: QColor,
) -> None:
    """Draw each side's limits as a bar of its colour, with words and values below."""
    for row, (words, own) in enumerate(limits.items()):
        left, right = axis.place_of(own.low), axis.place_of(own.high)
        bar = QRectF(left, WORDS + _BARS + 2 + 4 * row, max(right - left, 2), 3)
        painter.fillRect(bar, _colour(colours[words]))
    text = "   ".join(
        f"{words} {number(own.low)} to {number(own.high)}" for words, own in limits.items()
    )
    painter.setPen(ink)
    box = QRect(0, WORDS + _BARS + _RAMP + 2, axis.width, _NUMBERS)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


def number(value: float) -> str:
    """Write a value with two to three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _colour(name: str) -> QColor:
    return QColor(name or _OTHER_COLOUR)
