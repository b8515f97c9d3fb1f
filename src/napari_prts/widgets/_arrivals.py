"""Redraws a slide's layer when its pixels arrive from the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from superqt.utils import QSignalThrottler

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_prts.slide.screen import Screen

# Milliseconds between two redraws: quicker than the eye, slower than blocks are decoded.
_PAUSE = 60


class Arrivals(QObject):
    """Redraws one layer; made on the window's thread, called from any.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    screen : Screen
        What reads its pixels.
    """

    _came = Signal()

    def __init__(self, layer: Image, screen: Screen) -> None:
        super().__init__()
        self._layer: Image | None = layer
        self._screen = screen
        self._throttler = QSignalThrottler(parent=self)
        self._throttler.setTimeout(_PAUSE)
        # A signal across threads is queued by Qt, so that layers are touched on one thread only.
        self._came.connect(self._throttler.throttle)
        self._throttler.triggered.connect(self._redraw)
        screen.arrived.connect(self._on_arrived)
        # The layer may have been drawn, and its pixels have come, before this was made.
        self._throttler.throttle()

    def close(self) -> None:
        """Stop redrawing."""
        self._layer = None
        self._throttler.cancel()
        self._screen.arrived.disconnect(self._on_arrived)

    def _on_arrived(self) -> None:
        self._came.emit()

    def _redraw(self) -> None:
        if self._layer is not None:
            self._layer.refresh(extent=False, highlight=False)
