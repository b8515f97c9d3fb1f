"""Keys on the canvas, as QuPath's and Cellpose's users have them in their fingers.

They are bound on our layers and not on the viewer, so that layers of the user's own keep
the keys that napari gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari_prts.viewer.layer_book import ROLE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_prts.study import Study

UNDO = ("Z", "Control-Z")
REDO = ("Control-Shift-Z",)
DELETE = ("Delete", "Backspace")

Action = Callable[[], Any]


def bind(layer: Any, actions: Mapping[str, Action]) -> None:
    """Bind keys on one layer, in the place of napari's own there.

    Parameters
    ----------
    layer : napari.layers.Layer
        The layer.
    actions : mapping of str to callable
        By key, as napari writes them: ``"Control-Z"``. A generator function's second
        half runs when the key is let go.
    """
    for key, action in actions.items():
        layer.bind_key(key, _for_layer(action), overwrite=True)


def unbind(layer: Any, keys: tuple[str, ...]) -> None:
    """Give napari's own keys back to a layer."""
    for key in keys:
        layer.bind_key(key, None)


class LayerKeys:
    """Keeps keys bound on all our layers, those that come later too.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose layers.
    actions : mapping of str to callable
        By key; see :func:`bind`.
    """

    def __init__(self, viewer: ViewerModel, actions: Mapping[str, Action]) -> None:
        self._viewer = viewer
        self._actions = dict(actions)
        for layer in viewer.layers:
            self._bind(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Give the keys back."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for layer in self._viewer.layers:
            if ROLE_KEY in layer.metadata:
                unbind(layer, tuple(self._actions))

    def _on_inserted(self, event: Any) -> None:
        self._bind(event.value)

    def _bind(self, layer: Any) -> None:
        if ROLE_KEY in layer.metadata:
            bind(layer, self._actions)


def bind_basic_keys(layer: Any, study: Study) -> None:
    """Bind drawing, undo and redo on the editing layer, for a window without our panels."""

    def draw() -> None:
        layer.mode = "add_polygon"

    bind(
        layer,
        {"D": draw, **dict.fromkeys(UNDO, study.undo), **dict.fromkeys(REDO, study.redo)},
    )


def _for_layer(action: Action) -> Callable[[Any], Any]:
    """Let napari call an action with the layer, which it does not need."""
    from inspect import isgeneratorfunction

    if isgeneratorfunction(action):

        def held(_: Any) -> Any:
            yield from action()

        return held

    def pressed(_: Any) -> None:
        action()

    return pressed
