"""Lines drawn over the slide while a tool is used: the stroke, what is picked, what is reviewed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study

Outline = NDArray[np.floating]

MARKS_NAME = "Marked"
MARKS_KEY = "prts_marks"
# Blue-green and violet are in neither stain, nor in an outline's colour.
PICKED = (0.0, 0.9, 1.0, 1.0)
CUTTING = (0.45, 0.1, 0.9, 1.0)
# On the screen, whatever the zoom.
_WIDTH = 3.0


@dataclass(frozen=True, eq=False)
class _Mark:
    outlines: tuple[Outline, ...]
    closed: bool
    colour: tuple[float, float, float, float]


class Marks:
    """One layer above ours that nobody edits; hidden while nothing is marked.

    It is added when it is first needed and stays until :meth:`close`: napari collects all
    garbage whenever a layer is removed, which would be felt after each stroke.

    Parameters
    ----------
    book : LayerBook
        Whose viewer gets the layer.
    study : Study
        Whose slide is drawn on.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self._marks: dict[str, _Mark] = {}
        self._layer: Shapes | None = None

    @property
    def layer(self) -> Shapes | None:
        """The layer, while there is one."""
        if self._layer is not None and self._layer not in self._book.viewer.layers:
            self._layer = None
        return self._layer

    def show(
        self,
        kind: str,
        outlines: Sequence[Outline],
        closed: bool = True,
        colour: tuple[float, float, float, float] = PICKED,
    ) -> None:
        """Draw outlines in the place of those of the same kind.

        Parameters
        ----------
        kind : str
            ``"stroke"``, ``"picked"`` or ``"review"``.
        outlines : sequence of ndarray, shape (k, 2)
            (row, column) in level-0 pixels; none takes the kind away.
        closed : bool
            Whether the last point is joined to the first.
        colour : tuple of float
            Red, green, blue and opacity, 0 to 1.
        """
        if not outlines and kind not in self._marks:
            return
        if outlines:
            self._marks[kind] = _Mark(tuple(outlines), closed, colour)
        else:
            del self._marks[kind]
        self._draw()

    def prepare(self) -> None:
        """Add the layer, still hidden, before the hand moves: adding one takes a moment."""
        if self.layer is None:
            self._add().visible = False

    def close(self) -> None:
        """Take everything away, the layer too."""
        self._marks.clear()
        layer, self._layer = self.layer, None
        if layer is not None:
            with self._same_active():
                self._book.viewer.layers.remove(layer)
            self._balance()

    def _draw(self) -> None:
        layer = self.layer or self._add()
        # Where the layer ends is nobody's concern; telling napari costs thrice the drawing.
        with layer.events.data.blocker(), layer.events.extent.blocker():
            if layer.nshapes:
                layer.remove(list(range(layer.nshapes)))
            for mark in self._marks.values():
                self._add_mark(layer, mark)
            layer.selected_data = set()
        # napari draws anew even where nothing changes.
        if layer.visible != bool(self._marks):
            layer.visible = bool(self._marks)

    def _add_mark(self, layer: Shapes, mark: _Mark) -> None:
        layer.add(
            [_drawable(outline) for outline in mark.outlines],
            shape_type="polygon" if mark.closed else "path",
            edge_width=self._width(),
            edge_color=np.array([mark.colour]),
            face_color=np.zeros((1, 4)),
        )

    def rescale(self) -> None:
        """Move the layer to the slide's present pixel size."""
        if (layer := self.layer) is not None:
            place = geometry(self._study.slide)
            layer.scale, layer.units = place["scale"], place["units"]

    def _width(self) -> float:
        zoom = float(self._book.viewer.scene.camera.zoom)
        return _WIDTH / (zoom * (self._study.slide.mpp or 1.0))

    def _add(self) -> Shapes:
        viewer = self._book.viewer
        layer = Shapes(
            name=MARKS_NAME, ndim=2, metadata={MARKS_KEY: True}, **geometry(self._study.slide)
        )
        copy = self._book.get(Role.SLIDE_COPY)
        top = len(viewer.layers)
        with self._same_active():
            viewer.layers.insert(top if copy is None else viewer.layers.index(copy), layer)
        layer.editable = False
        self._layer = layer
        self._balance()
        return layer

    @contextmanager
    def _same_active(self) -> Iterator[None]:
        """Leave the user's layer active: napari turns to one that is added."""
        layers = self._book.viewer.layers
        active = layers.selection.active
        yield
        if active is not None and active in layers:
            layers.selection.active = active

    def _balance(self) -> None:
        """Keep the left half of a comparison the left half: the grid counts layers."""
        viewer: Any = self._book.viewer
        copy = self._book.get(Role.SLIDE_COPY)
        if viewer.canvas.grid.enabled and copy is not None:
            viewer.canvas.grid.stride = viewer.layers.index(copy)


def halo(bounds: tuple[float, float, float, float], points: int = 48) -> Outline:
    """Make a circle around a nucleus that leaves its outline free to be judged.

    Parameters
    ----------
    bounds : tuple of float
        First row and column, last row and column, in level-0 pixels.
    points : int
        How many points the circle has.

    Returns
    -------
    ndarray of float32, shape (points, 2)
        (row, column) in level-0 pixels.
    """
    r0, c0, r1, c1 = bounds
    radius = 0.65 * float(np.hypot(r1 - r0, c1 - c0)) + 1.0
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    middle = np.array([(r0 + r1) / 2, (c0 + c1) / 2])
    circle = middle + radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return np.asarray(circle, np.float32)


def _drawable(outline: Outline) -> Outline:
    # napari wants two points at least, also of a stroke that has only begun.
    return np.repeat(outline, 2, axis=0) if len(outline) == 1 else outline
