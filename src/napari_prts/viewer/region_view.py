"""A rectangle or a lasso that the user draws to say where to work, or what to ask of."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.study.state import Region

REGION_NAME = "Region"
# With hardly any opacity: cells inside it must still be seen.
_EDGE, _FACE = "#1f77ff", "#1a66ff14"
_LEFT = 1
# Pixels of the screen: a hand that clicks moves less; and as far apart are a lasso's points.
_STILL = 4.0


class RegionView:
    """The region layer, and the view as a region.

    Parameters
    ----------
    book : LayerBook
        Where the layer goes.
    study : Study
        Whose slide.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self._viewer: Any = book.viewer
        self._done: Callable[[NDArray[np.float64]], None] | None = None
        self._host: Any = None
        self._before: Any = None

    def start_drawing(self) -> None:
        """Let the user draw a rectangle with the mouse."""
        self.stop()
        layer = self._ensure()
        self._viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"

    def start_lasso(self, done: Callable[[NDArray[np.float64]], None]) -> None:
        """Let the user draw around a region with the mouse held down; Escape ends it.

        napari's own lasso goes on after the button is let go, until another click.

        Parameters
        ----------
        done : callable
            Called once with the line, (row, column) in level-0 pixels, shape (k, 2).
        """
        self.stop()
        self._before = self._viewer.layers.selection.active
        layer = self._host = self._ensure()
        self._done = done
        self._viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        layer.mouse_pan, layer.cursor = False, "cross"
        layer.bind_key("Escape", lambda _: self.stop(), overwrite=True)
        self._viewer.mouse_drag_callbacks.append(self._on_press)

    @property
    def drawing(self) -> bool:
        """Whether the next drag draws a lasso."""
        return self._done is not None

    def stop(self) -> None:
        """Draw no lasso; what is drawn stays."""
        if self._done is None:
            return
        self._done = None
        self._viewer.mouse_drag_callbacks.remove(self._on_press)
        layer, self._host = self._host, None
        layer.mouse_pan, layer.cursor = True, "standard"
        layer.bind_key("Escape", None)
        before, self._before = self._before, None
        if before in self._viewer.layers and self._viewer.layers.selection.active is layer:
            self._viewer.layers.selection.active = before

    def close(self) -> None:
        """Stop listening to the mouse."""
        self.stop()

    def drawn(self) -> Region:
        """Return the last region drawn: (row, column, height, width) in level-0 pixels.

        Of a lasso it is the rectangle around it.

        Raises
        ------
        NucleiError
            If nothing is drawn, or only outside the slide.
        """
        layer = self._book.get(Role.REGION)
        if layer is None or not layer.nshapes:
            raise NucleiError("No region is drawn: choose Draw region and drag a rectangle.")
        corners = np.asarray(layer.data[-1])
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
        return self._clipped(top, left, bottom, right)

    def in_view(self) -> Region:
        """Return what the canvas shows: (row, column, height, width) in level-0 pixels.

        Raises
        ------
        NucleiError
            If the slide is out of view.
        """
        return self._clipped(*view_rectangle(self._book.viewer, self._study.slide.mpp))

    def _ensure(self) -> Shapes:
        self._book.revive(Role.REGION)
        layer = self._book.get(Role.REGION)
        if layer is None:
            layer = Shapes(
                name=REGION_NAME,
                ndim=2,
                edge_color=_EDGE,
                edge_width=3 / (self._study.slide.mpp or 1.0),
                face_color=_FACE,
                **geometry(self._study.slide),
            )
            self._book.add(Role.REGION, layer)
        return layer

    def _on_press(self, _: Any, event: Any) -> Generator[None, None, None]:
        if self._viewer.layers.selection.active is not self._host:
            # The user turned to another layer: the mouse is that layer's again.
            self.stop()
            return
        if event.button != _LEFT:
            return
        line, last = [self._place(event)], np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            here = np.asarray(event.pos, float)
            if np.hypot(*(here - last)) >= _STILL:
                line.append(self._place(event))
                last = here
                self._draw(line, "path")
            yield
        done = self._done
        if done is None or len(line) < 3:
            return
        self._draw(line, "polygon")
        self.stop()
        done(np.array(line))

    def _draw(self, line: list[tuple[float, float]], kind: str) -> None:
        layer = self._host
        if layer.nshapes:
            layer.remove(list(range(layer.nshapes)))
        width = 3 / (self._viewer.scene.camera.zoom * (self._study.slide.mpp or 1.0))
        layer.add([np.array(line)], shape_type=kind, edge_width=width)
        layer.selected_data = set()

    def _place(self, event: Any) -> tuple[float, float]:
        row, column = event.position[-2:]
        pixel = self._study.slide.mpp or 1.0
        return float(row) / pixel, float(column) / pixel

    def _clipped(self, top: float, left: float, bottom: float, right: float) -> Region:
        rows, columns = self._study.slide.shape
        top, left = max(top, 0.0), max(left, 0.0)
        bottom, right = min(bottom, float(rows)), min(right, float(columns))
        if bottom - top < 1 or right - left < 1:
            raise NucleiError("The region lies outside the slide: move it onto the tissue.")
        return (float(top), float(left), float(bottom - top), float(right - left))
