"""The cell under the mouse: told in napari's status bar, and opened by a click."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_prts.nuclei.selection import at_point
from napari_prts.widgets.explore._figures import SIDES, number, side_word
from napari_prts.widgets.explore._hover_lookup import CellLookup

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session

_LEFT = 1
# Pixels of the screen: a hand that clicks moves less.
_STILL = 4.0


class Hover:
    """Follows the mouse over the canvas of a session's window.

    napari writes its own status line after each move; while a cell is under the mouse, ours
    takes its place.

    Parameters
    ----------
    session : Session
        Whose study.
    owner : QWidget
        With whose end it stops listening.

    Attributes
    ----------
    clicked : psygnal.Signal
        Emitted with a nucleus's id when it, or its cell's dot, was clicked and no tool was on.
    words : str
        What is told of the cell under the mouse; empty if none is.
    """

    clicked = Signal(int)

    def __init__(self, session: Session, owner: QWidget) -> None:
        self._session = session
        self._viewer: Any = session.viewer
        self._lookup: CellLookup | None = None
        self.words = ""
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_drag_callbacks.append(self._on_press)
        self._viewer.events.status.connect(self._on_status)
        owner.destroyed.connect(self.close)

    def close(self, _: object = None) -> None:
        """Stop following the mouse."""
        for callbacks, ours in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_press),
        ):
            if ours in callbacks:
                callbacks.remove(ours)
                self._viewer.events.status.disconnect(self._on_status)

    @property
    def lookup(self) -> CellLookup | None:
        """Looks cells of the study on screen up; None without a study."""
        study = self._session.study
        if study is None:
            self._lookup = None
        elif self._lookup is None or self._lookup.study is not study:
            self._lookup = CellLookup(study)
        return self._lookup

    def painted_at(self, row: float, column: float) -> int | None:
        """Find the id of the painted cell at a place in level-0 pixels, if one is there."""
        view = self._session.view
        if view is None or view.expression.painting is None:
            return None
        for side in SIDES:
            seen = view.expression.cell_at(side, row, column)
            if seen is not None:
                return int(seen.id)
        return None

    def words_at(self, row: float, column: float) -> str:
        """Tell of the painted cell at a place in level-0 pixels; nothing if none is there."""
        id_, lookup = self.painted_at(row, column), self.lookup
        if id_ is None or lookup is None:
            return ""
        study = lookup.study
        words = [f"Nucleus {id_:,}", *lookup.shape_words(id_)]
        for side, name in lookup.clusters(id_).items():
            words.append(f"cluster {name} ({side_word(study, side)})")
        gene = self._session.brush.gene
        if gene is not None:
            words.append(self._gene_words(lookup, id_, gene, row, column))
        return "  ·  ".join(word for word in words if word)

    def _gene_words(
        self, lookup: CellLookup, id_: int, gene: str, row: float, column: float
    ) -> str:
        said = []
        for side in SIDES:
            value = lookup.value(side, id_, gene)
            if value is None and side == "predicted":
                value = self._arriving_value(row, column)
            if value is not None:
                said.append(f"{side_word(lookup.study, side)} {number(value)}")
        return f"{gene}: {', '.join(said)}" if said else ""

    def _arriving_value(self, row: float, column: float) -> float | None:
        """The value on screen of a cell whose prediction has only just arrived."""
        view = self._session.view
        if view is None or view.study.arriving is None:
            return None
        seen = view.expression.cell_at("predicted", row, column)
        return None if seen is None else seen.value

    def _on_move(self, _: Any, event: Any) -> None:
        if self._session.study is None or getattr(event, "is_dragging", False):
            return
        before, self.words = self.words, self.words_at(*self._place(event))
        if self.words:
            self._tell()
        elif before and self._viewer.status == before:
            self._viewer.status = ""

    def _tell(self) -> None:
        if self._viewer.status != self.words:
            self._viewer.status = self.words
        if self._viewer.tooltip.visible:
            self._viewer.tooltip.text = self.words.replace("  ·  ", "\n")

    def _on_status(self) -> None:
        if not self.words or self._viewer.status == self.words:
            return
        if self._viewer.mouse_over_canvas:
            self._tell()
        else:
            self.words = ""

    def _on_press(self, _: Any, event: Any) -> Generator[None, None, None]:
        if self._session.study is None or event.button != _LEFT or self._tool_on():
            return
        start, place, still = np.asarray(event.pos, float), self._place(event), True
        yield
        while event.type == "mouse_move":
            still = still and float(np.hypot(*(np.asarray(event.pos) - start))) < _STILL
            yield
        if still and (id_ := self._cell_at(self._session.study, *place)) is not None:
            # Whoever listens may start a job, which lets the next mouse event pass: napari
            # cannot take it before this one is over.
            QTimer.singleShot(0, lambda: self.clicked.emit(id_))

    def _cell_at(self, study: Study | None, row: float, column: float) -> int | None:
        """The nucleus at a place, or else the cell whose dot covers it."""
        if study is None:
            return None
        position = at_point(study.nuclei, row, column)
        if position is not None:
            return int(study.nuclei.ids[position])
        return self.painted_at(row, column)

    def _tool_on(self) -> bool:
        """Whether the mouse does something else than moving the view."""
        layer = self._viewer.layers.selection.active
        if layer is None:
            return False
        moves = str(layer.mode) in ("pan_zoom", "transform") and layer.mouse_pan
        return not moves or str(layer.cursor) not in ("standard", "CursorStyle.STANDARD")

    def _place(self, event: Any) -> tuple[float, float]:
        study = self._session.study
        assert study is not None
        pixel = study.slide.mpp or 1.0
        row, column = event.position[-2:]
        return float(row) / pixel, float(column) / pixel
