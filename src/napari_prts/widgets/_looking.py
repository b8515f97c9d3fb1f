"""Tells jobs where the user looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_prts.errors import NucleiError
from napari_prts.focus import Focus, View

if TYPE_CHECKING:
    from napari import Viewer

    from napari_prts.viewer import StudyView

# Milliseconds: sooner than a job looks again, rarer than a camera moves.
_PAUSE = 100


class Looking:
    """Makes a focus follow the camera of a window.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    view : callable
        Gives the study's layers that are on screen now, or None.

    Attributes
    ----------
    focus : Focus
        What is on screen.
    """

    def __init__(self, viewer: Viewer, view: Callable[[], StudyView | None]) -> None:
        self.focus = Focus()
        self._view = view
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self.look)
        camera, canvas = viewer.scene.camera.events, viewer.canvas
        # Side by side, each canvas shows a part of what one alone would show.
        grid = canvas.grid.events
        self._moves = (camera.center, camera.zoom, canvas.events.size, grid.enabled, grid.shape)
        for move in self._moves:
            move.connect(self._on_move)

    def look(self) -> None:
        """Take what is on screen now."""
        view = self._view()
        try:
            self.focus.look_at(None if view is None else View(*view.region.in_view()))
        except NucleiError:
            # The slide is out of view.
            self.focus.look_at(None)

    def close(self) -> None:
        """Stop following."""
        self._timer.stop()
        for move in self._moves:
            move.disconnect(self._on_move)

    def _on_move(self) -> None:
        if not self._timer.isActive():
            self._timer.start()
