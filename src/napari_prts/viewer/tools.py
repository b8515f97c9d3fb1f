"""The tools on the canvas with which a person corrects nuclei."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_prts.errors import PrtsError
from napari_prts.nuclei.selection import at_point
from napari_prts.study.correcting import (
    delete_in_lasso,
    delete_nuclei,
    merge_nuclei,
    split_across,
)
from napari_prts.viewer.layer_book import Role
from napari_prts.viewer.tools_keys import DELETE, REDO, UNDO, LayerKeys, bind, unbind
from napari_prts.viewer.tools_list import MODES, STROKES, WORDS, Tool
from napari_prts.viewer.tools_marks import CUTTING, PICKED, Marks
from napari_prts.viewer.tools_review import ReviewTour

if TYPE_CHECKING:
    from napari_prts.viewer.study_view import StudyView

# Pixels of the screen: a hand that clicks moves less.
_STILL = 4.0
_LEFT = 1


class NucleiTools:
    """What mouse and keys do to the nuclei on screen.

    Selecting, reshaping and drawing are modes of the editing layer. All else works on the
    study itself, also where too many nuclei are in view for the editing layer.

    Parameters
    ----------
    view : StudyView
        The study on screen.
    grow : callable
        Called with row and column, in level-0 pixels, where a nucleus is to be grown.
    say : callable
        Called with a sentence for the user.
    complain : callable
        Called with a sentence when something cannot be done.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted without arguments when another tool is on.
    marks : Marks
        What is drawn over the slide meanwhile.
    tour : ReviewTour
        The review of uncertain nuclei.
    """

    changed = Signal()

    def __init__(
        self,
        view: StudyView,
        grow: Callable[[float, float], None],
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._view = view
        self._study = view.study
        self._viewer: Any = view.book.viewer
        self._grow, self._say, self._complain = grow, say, complain
        self._tool = Tool.NONE
        self._host: Any = None
        self._followed: Any = None
        self._bound: tuple[Any, tuple[str, ...]] | None = None
        self._starting = False
        self._panning = False
        self._picked: list[int] = []
        self.marks = Marks(view.book, view.study)
        self.tour = ReviewTour(view, self.marks, say)
        self._keys = LayerKeys(self._viewer, self._actions())
        self._viewer.mouse_drag_callbacks.append(self._on_press)
        self._study.nuclei_changed.connect(self._on_nuclei)
        self._study.slide_changed.connect(self.marks.rescale)

    def close(self) -> None:
        """Put the tool away, end the review and stop listening."""
        self.stop()
        self.tour.end()
        self.marks.close()
        self._keys.close()
        self._follow(None)
        self._viewer.mouse_drag_callbacks.remove(self._on_press)
        self._study.nuclei_changed.disconnect(self._on_nuclei)
        self._study.slide_changed.disconnect(self.marks.rescale)

    @property
    def tool(self) -> Tool:
        """The tool that is on."""
        return self._tool

    @property
    def picked(self) -> tuple[int, ...]:
        """Ids of the nuclei clicked outside the editing layer."""
        return tuple(self._picked)

    def selected(self) -> list[int]:
        """Ids of the nuclei selected in the editing layer or by clicks."""
        window = self._view.nuclei.window
        chosen: list[int] = []
        if window is not None and window.layer in self._viewer.layers:
            ids = window.ids
            # The shape that is being drawn is selected too, and is no nucleus yet.
            chosen = [ids[index] for index in window.layer.selected_data if index < len(ids)]
        return sorted({*chosen, *self._picked})

    def start(self, tool: Tool) -> None:
        """Take a tool; NONE puts it away."""
        if tool is Tool.NONE:
            self.stop()
            return
        if tool is not self._tool:
            self._put_away(quietly=tool in MODES)
            self._starting = True
            try:
                taken = self._take_mode(tool) if tool in MODES else self._take_own(tool)
            finally:
                self._starting = False
            self._tool = tool if taken else Tool.NONE
        self.changed.emit()

    def stop(self) -> None:
        """Put the tool away: the mouse moves the view again."""
        self._put_away()
        self.changed.emit()

    def settle(self) -> None:
        """Put the tool away if the user turned to another layer or mode meanwhile."""
        if self._starting:
            return
        before = self._tool
        active = self._viewer.layers.selection.active
        window = self._view.nuclei.window
        if self._tool not in (Tool.NONE, *MODES) and not self._hosted(active):
            self._put_away(quietly=True)
        if self._tool in (Tool.NONE, *MODES):
            layer = window.layer if window is not None else None
            self._follow(layer)
            mode = str(layer.mode) if layer is not None and active is layer else ""
            self._tool = next((tool for tool, name in MODES.items() if name == mode), Tool.NONE)
        if self._tool is not before:
            self.changed.emit()

    def merge(self) -> None:
        """Join the selected nuclei; with fewer than two, wait for clicks on them."""
        chosen = self.selected()
        if len(chosen) < 2:
            self.start(Tool.MERGE)
            self._pick(chosen)
            return
        self._pick([])
        self._try(lambda: merge_nuclei(self._study, chosen))

    def delete_selected(self) -> None:
        """Delete the selected nuclei, as one step."""
        chosen = self.selected()
        self._pick([])
        self._try(lambda: delete_nuclei(self._study, chosen))

    def undo(self) -> None:
        """Take back the last correction; a review goes back with it."""
        with self.tour.following():
            self._try(self._study.undo)

    def redo(self) -> None:
        """Do the last undone correction again."""
        with self.tour.following():
            self._try(self._study.redo)

    def _actions(self) -> dict[str, Callable[[], Any]]:
        tools = {words.key: self._starter(tool) for tool, words in WORDS.items()}
        return {
            **tools,
            WORDS[Tool.MERGE].key: self.merge,
            **dict.fromkeys(DELETE, self.delete_selected),
            **dict.fromkeys(UNDO, self.undo),
            **dict.fromkeys(REDO, self.redo),
            "N": self.tour.next,
            "P": self.tour.previous,
            "A": lambda: self._try(self.tour.accept),
            "R": lambda: self._try(self.tour.reject),
        }

    def _starter(self, tool: Tool) -> Callable[[], None]:
        return lambda: self.start(tool)

    def _take_mode(self, tool: Tool) -> bool:
        self._view.nuclei.start_editing(needs_shapes=tool is Tool.RESHAPE)
        window = self._view.nuclei.window
        if window is None or window.layer not in self._viewer.layers:
            return False
        self._viewer.layers.selection.active = window.layer
        window.layer.mode = MODES[tool]
        self._follow(window.layer)
        if tool is not Tool.DRAW:
            # There napari's own Escape closes the polygon.
            self._bind(window.layer, {"Escape": self.stop})
        return True

    def _take_own(self, tool: Tool) -> bool:
        window = self._view.nuclei.window
        host = self._view.book.get(Role.EDITING) if window is not None else None
        host = host or self._view.book.get(Role.SLIDE)
        if host is None:
            return False
        self._host = host
        self._viewer.layers.selection.active = host
        host.mode = "pan_zoom"
        host.cursor = "cross"
        actions: dict[str, Callable[[], Any]] = {"Escape": self.stop}
        if tool in STROKES:
            host.mouse_pan = False
            actions["Space"] = self._hold_to_pan
        self._bind(host, actions)
        if tool is not Tool.GROW:
            self.marks.prepare()
        return True

    def _bind(self, layer: Any, actions: dict[str, Callable[[], Any]]) -> None:
        bind(layer, actions)
        self._bound = (layer, tuple(actions))

    def _hosted(self, active: Any) -> bool:
        return active is self._host and str(self._host.mode) == "pan_zoom"

    def _put_away(self, quietly: bool = False) -> None:
        """Quietly: the layer's mode stays, as the user has set it or the next tool sets it."""
        host, self._host = self._host, None
        tool, self._tool = self._tool, Tool.NONE
        self._panning = False
        self._pick([])
        if self._bound is not None:
            unbind(*self._bound)
            self._bound = None
        if host is not None:
            if str(host.mode) == "pan_zoom":
                host.mouse_pan, host.cursor = True, "standard"
            self.marks.show("stroke", [])
        window = self._view.nuclei.window
        if tool in MODES and window is not None and not quietly:
            self._starting, before = True, self._starting
            window.layer.mode = "pan_zoom"
            self._starting = before

    def _follow(self, layer: Any) -> None:
        if layer is self._followed:
            return
        if self._followed is not None:
            self._followed.events.mode.disconnect(self._on_mode)
        self._followed = layer
        if layer is not None:
            layer.events.mode.connect(self._on_mode)

    def _on_mode(self, _: Any) -> None:
        self.settle()

    def _hold_to_pan(self) -> Generator[None, None, None]:
        host, self._panning = self._host, True
        host.mouse_pan = True
        yield
        self._panning = False
        if host is self._host:
            host.mouse_pan = False

    def _on_press(self, _: Any, event: Any) -> Generator[None, None, None]:
        self.settle()
        tool = self._tool
        clicks = tool in (Tool.GROW, Tool.MERGE) or (tool is Tool.SELECT and self._nothing_shown())
        if event.button != _LEFT or self._panning or not (clicks or tool in STROKES):
            return
        start = np.asarray(event.pos, float)
        points, still = [self._place(event)], True
        more = "Shift" in event.modifiers
        yield
        while True:
            still = still and float(np.hypot(*(np.asarray(event.pos) - start))) < _STILL
            points.append(self._place(event))
            # Where the button is let go belongs to the stroke: the last move may be left out.
            if event.type != "mouse_move":
                break
            if tool in STROKES:
                self._draw_stroke(tool, points)
            yield
        self.marks.show("stroke", [])
        if clicks and still:
            self._click(tool, *points[0], more)
        elif tool in STROKES and not still:
            self._end_stroke(tool, np.array(points))

    def _place(self, event: Any) -> tuple[float, float]:
        row, column = event.position[-2:]
        pixel = self._study.slide.mpp or 1.0
        return float(row) / pixel, float(column) / pixel

    def _nothing_shown(self) -> bool:
        window = self._view.nuclei.window
        return window is None or not window.layer.nshapes

    def _draw_stroke(self, tool: Tool, points: list[tuple[float, float]]) -> None:
        # An area of fewer than three points cannot be drawn.
        closed = tool is Tool.LASSO and len(points) > 2
        colour = PICKED if tool is Tool.LASSO else CUTTING
        self.marks.show("stroke", [np.array(points, np.float32)], closed, colour)

    def _end_stroke(self, tool: Tool, points: NDArray[np.float64]) -> None:
        if tool is Tool.SPLIT:
            self._try(lambda: split_across(self._study, points))
            return
        deleted = self._try(lambda: delete_in_lasso(self._study, points))
        if deleted is not None and not len(deleted):
            self._say("No nucleus has its middle in the lasso: nothing was deleted.")

    def _click(self, tool: Tool, row: float, column: float, more: bool) -> None:
        if tool is Tool.GROW:
            self._grow(row, column)
            return
        nuclei = self._study.nuclei
        place = at_point(nuclei, row, column)
        here = [] if place is None else [int(nuclei.ids[place])]
        if tool is Tool.SELECT and not more:
            self._pick(here)
            return
        self._pick(sorted(set(self._picked) ^ set(here)))
        if tool is Tool.MERGE and not more and len(self._picked) > 1:
            self.merge()

    def _pick(self, ids: list[int]) -> None:
        if not ids and not self._picked:
            return
        self._picked = list(ids)
        nuclei = self._study.nuclei
        places = nuclei.positions_of(ids).tolist() if ids else []
        self.marks.show("picked", [nuclei.polygon(place) for place in places])

    def _on_nuclei(self) -> None:
        if self._picked:
            there = np.isin(self._picked, self._study.nuclei.ids)
            self._pick([id_ for id_, kept in zip(self._picked, there, strict=True) if kept])

    def _try(self, action: Callable[[], Any]) -> Any:
        """Do it; what cannot be done is told in a sentence."""
        try:
            return action()
        except PrtsError as error:
            self._complain(str(error))
            return None
