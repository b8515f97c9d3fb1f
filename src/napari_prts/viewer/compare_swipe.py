"""Swipe: measured on one side of an upright line, predicted on the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from psygnal import Signal

from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study

LINE_NAME = "Swipe line"
# Black, white, black: to be seen on tissue, on glass and on the canvas.
_PIXELS = np.array([[[0, 0, 0, 255], [255, 255, 255, 255], [0, 0, 0, 255]]], np.uint8)
# Of the screen: a third of the line's width, from where a hand takes it, and of the view's
# width, how far a key moves it.
_PIXEL = 1.5
_REACH = 8.0
_STEP = 1 / 24


class SwipeLine:
    """The line across the slide that the mouse and keys move.

    Parameters
    ----------
    book : LayerBook
        Where its layer goes.
    study : Study
        Whose slide.

    Attributes
    ----------
    moved : psygnal.Signal
        Emitted without arguments after the line has moved.
    """

    moved = Signal()

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self._viewer: Any = book.viewer
        self._column: float | None = None
        self._listening = False
        self._near = False

    @property
    def column(self) -> float:
        """Where it stands, in level-0 pixels; in the middle of the view at first."""
        if self._column is None:
            self._column = self._middle()
        return self._column

    @property
    def place(self) -> float | None:
        """Where it stands, in level-0 pixels; None if it was never looked for."""
        return self._column

    @property
    def shown(self) -> bool:
        """Whether it is in use."""
        return self._listening

    def show(self) -> None:
        """Let the mouse take the line. Out of view it comes to the middle."""
        if not self._listening:
            self._listening = True
            _, left, _, right = view_rectangle(self._viewer, self._study.slide.mpp)
            if self._column is None or not left < self._column < right:
                self._column = self._middle()
            self._viewer.mouse_drag_callbacks.append(self._on_press)
            self._viewer.mouse_move_callbacks.append(self._on_move)
            self._viewer.scene.camera.events.zoom.connect(self._place)
        self._place()

    def draw(self) -> None:
        """Put the line's layer into the viewer."""
        if self._book.bring_back(Role.SWIPE_LINE) is None and not self._book.get(Role.SWIPE_LINE):
            layer = Image(_PIXELS, rgb=True, name=LINE_NAME, **geometry(self._study.slide))
            self._book.add(Role.SWIPE_LINE, layer)
        self._place()

    def hide(self) -> None:
        """Let go of the mouse; the line keeps its place, and its layer is put away by others."""
        if not self._listening:
            return
        self._listening = False
        self._leave()
        self._viewer.mouse_drag_callbacks.remove(self._on_press)
        self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._viewer.scene.camera.events.zoom.disconnect(self._place)

    def move_to(self, column: float) -> None:
        """Move the line.

        Parameters
        ----------
        column : float
            In level-0 pixels; no farther than the slide.
        """
        column = float(np.clip(column, 0, self._study.slide.shape[1]))
        if column != self._column:
            self._column = column
            self._place()
            self.moved.emit()

    def step(self, by: int) -> None:
        """Move the line by parts of the view; out of view it comes to its middle first.

        Parameters
        ----------
        by : int
            How many; to the left if negative.
        """
        _, left, _, right = view_rectangle(self._viewer, self._study.slide.mpp)
        inside = left < self.column < right
        start = self.column if inside else self._middle()
        self.move_to(start + (by * _STEP * (right - left) if inside else 0))

    def _middle(self) -> float:
        _, left, _, right = view_rectangle(self._viewer, self._study.slide.mpp)
        return float(np.clip((left + right) / 2, 0, self._study.slide.shape[1]))

    def _place(self) -> None:
        layer = self._book.get(Role.SWIPE_LINE)
        if layer is None:
            return
        pixel = self._study.slide.mpp or 1.0
        rows = self._study.slide.shape[0] * pixel
        width = _PIXEL / float(self._viewer.scene.camera.zoom)
        # A pixel's middle is where it stands: the first row's is half the slide down.
        layer.scale = (rows, width)
        layer.translate = (rows / 2, self.column * pixel - width)

    def _is_near(self, event: Any) -> bool:
        """Whether the mouse is at the line, and no tool wants it."""
        active = self._viewer.layers.selection.active
        if active is not None and (str(active.mode) != "pan_zoom" or not active.mouse_pan):
            return False
        zoom = float(self._viewer.scene.camera.zoom)
        place = self.column * (self._study.slide.mpp or 1.0)
        return bool(abs(event.position[-1] - place) * zoom <= _REACH)

    def _on_press(self, _: Any, event: Any) -> Iterator[None]:
        if event.button != 1 or not self._is_near(event):
            return
        with self._held():
            yield
            while event.type == "mouse_move":
                self.move_to(event.position[-1] / (self._study.slide.mpp or 1.0))
                yield

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the view still while the line is dragged."""
        camera = self._viewer.scene.camera
        camera.mouse_pan = False
        try:
            yield
        finally:
            active = self._viewer.layers.selection.active
            camera.mouse_pan = active is None or bool(active.mouse_pan)

    def _on_move(self, _: Any, event: Any) -> None:
        if self._is_near(event):
            self._near = True
            self._viewer.cursor.style = "pointing"
        else:
            self._leave()

    def _leave(self) -> None:
        if self._near:
            self._near = False
            active = self._viewer.layers.selection.active
            self._viewer.cursor.style = "standard" if active is None else active.cursor
