"""The curves of a training as it goes on: losses and correlation, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_prts.expression import EpochReport

_HEIGHT = 150
# Told apart by people who see colours differently (Okabe and Ito 2008), on dark and light.
_TRAINING, _VALIDATION, _BEST = "#E69F00", "#56B4E9", "#009E73"


class TrainingCurves(QWidget):
    """Training and validation loss above, validation PCC below; a line marks the best epoch.

    Hidden until there is something to show. matplotlib is loaded with the first epoch.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.reports: list[EpochReport] = []
        self.canvas: Any = None
        self._lines: dict[str, Any] = {}
        self._marks: list[Any] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.setVisible(False)

    def clear(self) -> None:
        """Forget the epochs of an earlier training."""
        self.reports.clear()
        self.setVisible(False)

    def add(self, report: EpochReport) -> None:
        """Show one more epoch.

        They may come in any order: the window handles a report while it is still busy with
        the one before.
        """
        self.reports.append(report)
        self.reports.sort(key=lambda each: each.epoch)
        if self.canvas is None:
            self._build()
        self._draw()
        self.setVisible(True)

    def _build(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

        colour = self.palette().windowText().color().name()
        figure = Figure()
        figure.patch.set_alpha(0.0)
        figure.subplots_adjust(left=0.2, right=0.97, top=0.97, bottom=0.27, hspace=0.15)
        loss, pcc = figure.subplots(2, 1, sharex=True)
        for axes, label in ((loss, "loss"), (pcc, "PCC")):
            axes.set_ylabel(label, color=colour)
            axes.patch.set_alpha(0.0)
            axes.tick_params(which="both", colors=colour, labelsize=8)
            for spine in axes.spines.values():
                spine.set_color(colour)
            self._marks.append(axes.axvline(1, color=_BEST, linewidth=1, linestyle=":"))
        # The first epochs' losses dwarf what comes after them.
        loss.set_yscale("log")
        loss.yaxis.set_major_formatter(ScalarFormatter())
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_minor_formatter(NullFormatter())
        pcc.set_xlabel("epoch", color=colour)
        pcc.xaxis.set_major_locator(MaxNLocator(integer=True))
        style = {"marker": ".", "linewidth": 1.2}
        self._lines = {
            "train_loss": loss.plot([], [], color=_TRAINING, label="training", **style)[0],
            "validation_loss": loss.plot([], [], color=_VALIDATION, label="validation", **style)[0],
            "validation_pcc": pcc.plot([], [], color=_VALIDATION, **style)[0],
        }
        loss.legend(fontsize=8, labelcolor=colour, framealpha=0.0)
        self.canvas = FigureCanvasQTAgg(figure)
        self.canvas.setFixedHeight(_HEIGHT)
        self.canvas.setStyleSheet("background: transparent")
        self.canvas.setToolTip("Losses and PCC by epoch; the dotted line is the epoch kept.")
        self._layout.addWidget(self.canvas)

    def _draw(self) -> None:
        epochs = [report.epoch for report in self.reports]
        for name, line in self._lines.items():
            line.set_data(epochs, [getattr(report, name) for report in self.reports])
        # Gone on with, a training may be past its best epoch.
        best = next((report.epoch for report in reversed(self.reports) if report.best), None)
        for mark in self._marks:
            mark.set_visible(best is not None)
            mark.set_xdata([best or 0, best or 0])
        for axes in self.canvas.figure.axes:
            axes.relim()
            axes.autoscale_view()
        self.canvas.draw_idle()
