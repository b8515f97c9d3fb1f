"""A hand on the canvas: real Qt mouse and key events at places of the slide."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_prts.widgets import Workspace

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
NO_KEY, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


class Hand:
    """Clicks, drags and types on the canvas of a window; places are (row, column) of level 0."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.viewer = workspace.session.viewer
        self.native = self.viewer.window._qt_viewer.canvas.native

    def look(self, row: float, column: float, pixels: float) -> None:
        """Show so many slide pixels around a place."""
        camera = self.viewer.scene.camera
        camera.zoom = min(self.viewer.canvas.size) / (pixels * self._mpp)
        camera.center = (0.0, row * self._mpp, column * self._mpp)

    @property
    def _mpp(self) -> float:
        study = self.workspace.session.study
        assert study is not None
        return study.slide.mpp or 1.0

    def _position(self, place: Any) -> QPointF:
        camera = self.viewer.scene.camera
        height, width = self.viewer.canvas.size
        row, column = float(place[0]) * self._mpp, float(place[1]) * self._mpp
        x = (column - camera.center[-1]) * camera.zoom + width / 2
        y = (row - camera.center[-2]) * camera.zoom + height / 2
        return QPointF(x, y)

    def _send(self, kind: QEvent.Type, place: Any, button: Any, held: Any, keys: Any) -> None:
        if kind == QEvent.Type.MouseMove:
            # vispy leaves out moves in quicker succession than a hand's.
            QTest.qWait(12)
        position = self._position(place)
        event = QMouseEvent(kind, position, position, button, held, keys)
        QApplication.sendEvent(self.native, event)

    def click(self, place: Any, keys: Any = NO_KEY) -> None:
        self.drag([place], keys)

    def move(self, place: Any) -> None:
        self._send(QEvent.Type.MouseMove, place, NONE, NONE, NO_KEY)

    def drag(self, places: Any, keys: Any = NO_KEY) -> None:
        self.move(places[0])
        self._send(QEvent.Type.MouseButtonPress, places[0], LEFT, LEFT, keys)
        # The last twice: where a busy machine is slow, vispy may leave one out.
        for place in [*places[1:], places[-1]] if len(places) > 1 else []:
            self._send(QEvent.Type.MouseMove, place, NONE, LEFT, keys)
        self._send(QEvent.Type.MouseButtonRelease, places[-1], LEFT, NONE, keys)

    def press(self, key: Any, keys: Any = NO_KEY) -> None:
        QTest.keyClick(self.native, key, keys)
        QApplication.processEvents()
