"""Over the pages of Explore: how predicted and measured are compared on the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_prts.study import Study
from napari_prts.viewer.compare_difference import DIFFERENCE_WORDS
from napari_prts.viewer.compare_modes import why_not
from napari_prts.viewer.compare_stage import Stage
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button
from napari_prts.widgets._session import Session
from napari_prts.widgets.explore._compare_bins import MeasuredAs

WORDS = {
    "beside": "Side by side",
    "swipe": "Swipe",
    "blink": "Blink",
    "difference": "Difference",
    "one": "On one canvas",
}
_TOOLTIPS = {
    "beside": "Two canvases that move together, measured left and predicted right",
    "swipe": "One canvas: measured left of a line and predicted right of it. Drag the line, or "
    "move it with Shift+Left and Shift+Right.",
    "blink": "One canvas: measured and predicted by turns; the word in the corner says which",
    "difference": DIFFERENCE_WORDS,
    "one": "One canvas: predicted drawn over measured",
}
# Slow enough to see each picture, quick enough to see what jumps between them.
_TURN_MS = 700
# After a change of mode: by then the hand rests, or has chosen the mode that it looked for.
_REST_MS = 3000


class CompareBar(QWidget):
    """Chooses the mode of comparison, swaps the sides, and takes the painting away.

    Parameters
    ----------
    session : Session
        Whose brush.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._listened: Study | None = None
        self._turns = QTimer(self)
        self._turns.setInterval(_TURN_MS)
        self._turns.timeout.connect(self._on_turn)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._on_rest)
        self._build()
        self._links = Links(self)
        self._links.connect(session.brush.changed, self.refresh)
        self._links.connect(session.study_changed, self._on_study)
        self._on_study()

    def _build(self) -> None:
        self.mode = QComboBox()
        for mode, words in WORDS.items():
            self.mode.addItem(words, mode)
        self.swap_button = button("Swap", "Exchange the sides: predicted left, measured right")
        self.swap_button.setCheckable(True)
        self.clear_button = button("H&&E only", "Take the painting away")
        self.bins = MeasuredAs(self._session)
        row = QHBoxLayout()
        row.addWidget(self.mode, 1)
        row.addWidget(self.swap_button)
        row.addWidget(self.clear_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.bins)
        brush = self._session.brush
        self.mode.currentIndexChanged.connect(lambda _: brush.restyle(mode=self.mode.currentData()))
        self.swap_button.toggled.connect(lambda on: brush.restyle(swapped=on))
        self.clear_button.clicked.connect(brush.clear)

    @property
    def blinking(self) -> bool:
        """Whether the sides alternate."""
        return self._turns.isActive()

    @property
    def possible(self) -> list[str]:
        """Modes that can be used now, in their order."""
        return [mode for mode in WORDS if not self._why_not(mode)]

    def next_mode(self) -> None:
        """Turn to the next mode that can be used; after the last one comes the first."""
        modes = self.possible
        now = self._session.brush.style.mode
        after = modes.index(now) + 1 if now in modes else 0
        self._session.brush.restyle(mode=modes[after % len(modes)])

    def swap(self) -> None:
        """Exchange the sides."""
        if self.swap_button.isEnabled():
            self.swap_button.toggle()

    def refresh(self) -> None:
        """Show the mode, and which others can be used."""
        style = self._session.brush.style
        model: Any = self.mode.model()
        for place, mode in enumerate(WORDS):
            reason = self._why_not(mode)
            model.item(place).setEnabled(not reason)
            self.mode.setItemData(place, reason or _TOOLTIPS[mode], Qt.ItemDataRole.ToolTipRole)
        self.mode.setCurrentIndex(self.mode.findData(style.mode))
        reason = self._why_not(style.mode)
        self.mode.setToolTip(reason or _TOOLTIPS[style.mode])
        self.swap_button.setChecked(style.swapped)
        self.swap_button.setEnabled(len(self._sides()) == 2 and style.mode != "difference")
        stage = self._stage()
        self.clear_button.setEnabled(stage is not None and bool(stage.sides))
        self._blink(stage is not None and stage.mode == "blink" and not stage.peeking)
        self.bins.refresh()
        self._rest.start()

    def _on_study(self) -> None:
        study, view = self._session.study, self._session.view
        if study is not None and view is not None and study is not self._listened:
            self._listened = study
            for signal in (
                study.predicted_changed,
                study.measured_changed,
                study.clusters_changed,
                study.arriving_changed,
                view.expression.stage.changed,
            ):
                self._links.connect(signal, self.refresh)
        self.refresh()

    def _stage(self) -> Stage | None:
        view = self._session.view
        return None if view is None else view.expression.stage

    def _sides(self) -> tuple[str, ...]:
        """Sides that are painted or, while nothing is, that a gene could be painted on."""
        study, stage = self._session.study, self._stage()
        if study is None or stage is None:
            return ()
        if self._session.brush.painting is not None:
            return stage.sides
        known = {
            "measured": study.measured is not None,
            "predicted": study.predicted is not None or study.arriving is not None,
        }
        return tuple(side for side, there in known.items() if there)

    def _why_not(self, mode: str) -> str:
        study, painting = self._session.study, self._session.brush.painting
        return why_not(
            mode,
            self._sides(),
            painting,
            arriving=study is not None and study.arriving is not None,
        )

    def _blink(self, on: bool) -> None:
        if on and not self._turns.isActive():
            self._turns.start()
        elif not on:
            self._turns.stop()

    def _on_turn(self) -> None:
        stage = self._stage()
        if stage is not None and _on_screen(self):
            stage.alternate()

    def _on_rest(self) -> None:
        """Free what layers held that were taken away; it would be felt in a drag."""
        view = self._session.view
        if view is None:
            return
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._rest.start()
        else:
            view.book.changes.collect()


def _on_screen(widget: QWidget) -> bool:
    """Whether the window is seen that a widget is docked to, also while its dock floats."""
    outer: QWidget | None = widget
    while outer is not None:
        window = outer.window() or outer
        outer = window.parentWidget()
    return bool(window.isVisible() and not window.isMinimized())
