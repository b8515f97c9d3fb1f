"""Which values the colours span: a histogram, percentiles, the same on both sides or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_prts.viewer.cell_names import is_simulated
from napari_prts.viewer.compare_difference import difference_colormap
from napari_prts.viewer.painting import Limits, expression_colormap
from napari_prts.widgets._panel import button
from napari_prts.widgets.explore._limits_drawing import number
from napari_prts.widgets.explore._limits_histogram import SIDE_COLOURS, LimitsHistogram, Shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_prts.viewer.expression_view import Painting
    from napari_prts.widgets._session import Session

_STEPS = 64
PERCENTILES = (1.0, 99.0)


class ColourLimits(QWidget):
    """Controls of the brush's limits; it shows what the brush has, and sets it.

    Parameters
    ----------
    session : Session
        Whose brush it is.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.histogram = LimitsHistogram()
        self.low = _percentile(0, 49, "Values below this percentile have the lowest colour")
        self.high = _percentile(51, 100, "Values above this percentile have the highest colour")
        self.reset = button("Reset", "Percentiles 1 to 99 again, and limits not drawn by hand")
        self.log = QCheckBox("Log")
        self.log.setToolTip(
            "Colours go with log(1 + value): tells low values apart.\n"
            "The colour bar's numbers stay values."
        )
        self.shared = QCheckBox("Same both sides")
        self.shared.setToolTip(
            "One meaning of the colours for predicted and measured; otherwise each\n"
            "side spans its own values, and there are no lines to drag in the histogram.\n"
            "Bins hold other counts than cells: their percentiles are their own, but limits\n"
            "that are drawn by hand hold for cells and bins alike."
        )
        self.hide_zeros = QCheckBox("Hide zeros")
        self.hide_zeros.setToolTip("Do not draw cells without expression; otherwise they are grey")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.histogram)
        layout.addLayout(_row(QLabel("Percentiles"), self.low, QLabel("to"), self.high, self.reset))
        layout.addLayout(_row(self.log, self.shared, self.hide_zeros))
        self.low.valueChanged.connect(self._set_percentiles)
        self.high.valueChanged.connect(self._set_percentiles)
        self.reset.clicked.connect(self._reset)
        self.histogram.reset.connect(self._reset)
        self.histogram.dragged.connect(self._set_limits)
        self.log.toggled.connect(self._set_log)
        self.shared.toggled.connect(self._set_shared)
        self.hide_zeros.toggled.connect(self._set_hide_zeros)

    def refresh(self) -> None:
        """Show the brush's style and what is painted."""
        style = self._session.brush.style
        for box, on in (
            (self.log, style.log),
            (self.shared, style.shared_limits),
            (self.hide_zeros, style.hide_zeros),
        ):
            before = box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(before)
        for spin, value in zip((self.low, self.high), style.percentiles, strict=True):
            before = spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(before)
        drawn = style.limits is not None or style.difference_limit is not None
        self.reset.setEnabled(drawn or style.percentiles != PERCENTILES)
        view = self._session.view
        # A difference has one limit, on both sides of zero, and neither zeros nor logarithms.
        difference = view is not None and view.expression.stage.mode == "difference"
        for widget in (self.low, self.log, self.shared, self.hide_zeros):
            widget.setEnabled(not difference)
        self.histogram.show_values(self._shown())

    def _shown(self) -> Shown | None:
        view, painting = self._session.view, self._session.brush.painting
        if view is None or painting is None:
            return None
        expression = view.expression
        if expression.stage.mode == "difference":
            found = expression.difference_painted
            return None if found is None else of_difference(found[0], found[1], self._word())
        limits, bins = expression.limits, expression.bins_painted
        values = {side: v for side, v in expression.values.items() if side in limits}
        if not values:
            return None
        words = {side: self._word() if side == "measured" else side for side in values}
        if bins is not None and "measured" in values:
            values["measured"], own = bins
            words["measured"] += " bins"
            if painting.shared_limits and painting.limits is None and "predicted" in values:
                # The lines are those of the cells; common ones are drawn by hand.
                words["measured"] += f" ({number(own.low)} to {number(own.high)})"
            else:
                limits["measured"] = own
        common = limits[next(iter(values))]
        apart = any(limits[side] != common for side in values)
        return Shown(
            {words[side]: v for side, v in values.items()},
            {words[side]: SIDE_COLOURS.get(side, "") for side in values},
            common,
            {words[side]: limits[side] for side in values} if apart else {},
            painting.log,
            ramp(painting, common),
        )

    def _word(self) -> str:
        """``"measured"`` or ``"simulated"``."""
        study = self._session.study
        table = None if study is None else study.measured
        return "simulated" if is_simulated(table, "measured") else "measured"

    def _set_percentiles(self) -> None:
        percentiles = self.low.value(), self.high.value()
        self._session.brush.restyle(percentiles=percentiles, limits=None, difference_limit=None)

    def _set_limits(self, low: float, high: float) -> None:
        shown = self.histogram.shown
        if shown is not None and shown.difference:
            self._session.brush.restyle(difference_limit=high)
            return
        self._session.brush.restyle(limits=Limits(max(low, 0.0), high))

    def _set_shared(self, on: bool) -> None:
        self._session.brush.restyle(shared_limits=on, limits=None)

    def _set_log(self, on: bool) -> None:
        self._session.brush.restyle(log=on)

    def _set_hide_zeros(self, on: bool) -> None:
        self._session.brush.restyle(hide_zeros=on)

    def _reset(self) -> None:
        self._session.brush.restyle(percentiles=PERCENTILES, limits=None, difference_limit=None)


def of_difference(values: NDArray[np.float32], limit: float, word: str) -> Shown:
    """Show how far predicted and measured differ, by which of them is higher.

    Parameters
    ----------
    values : ndarray of float32, shape (cells,)
        Predicted minus measured; NaN where there is none.
    limit : float
        Of the colours, on both sides of zero.
    word : str
        ``"measured"`` or ``"simulated"``.
    """
    colormap, shares = difference_colormap(), np.linspace(0, 0.5, _STEPS)
    higher, lower = (
        np.asarray(colormap.map(at), np.float64) for at in (0.5 + shares, 0.5 - shares)
    )
    sides = {f"{word} higher": -values, "predicted higher": values}
    colours = {side: _hex(ends[-1]) for side, ends in zip(sides, (lower, higher), strict=True)}
    both = np.stack([higher, lower])
    return Shown(sides, colours, Limits(0.0, limit), ramp=both, difference=True)


def _hex(colour: NDArray[np.float64]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def ramp(painting: Painting, limits: Limits) -> NDArray[np.float64]:
    """Colours of a painting from its lower to its upper limit, even steps of the axis."""
    colormap = expression_colormap(painting.colormap, log=limits if painting.log else None)
    shares = np.linspace(0, 1, _STEPS)
    shares[0] = shares[1] / 2
    if painting.log:
        low, high = np.log1p([limits.low, limits.high])
        values = np.expm1(low + shares * (high - low))
        shares = (values - limits.low) / (limits.high - limits.low)
    return np.asarray(colormap.map(shares), np.float64)


def _percentile(least: float, most: float, tooltip: str) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(least, most)
    spin.setDecimals(1)
    spin.setSingleStep(0.5)
    # The dock is narrow; arrow keys and the wheel do what the buttons would.
    spin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    spin.setStyleSheet("QDoubleSpinBox { min-width: 44px; max-width: 52px }")
    spin.setToolTip(f"{tooltip} (of cells above zero)")
    # Typing 99.9 must not paint 9 first.
    spin.setKeyboardTracking(False)
    return spin


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    return row
