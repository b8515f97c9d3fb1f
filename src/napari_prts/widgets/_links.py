"""Connections that end with the widget that made them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtWidgets import QWidget


class Links:
    """Remembers what a widget listens to, and stops when Qt deletes the widget.

    Parameters
    ----------
    owner : QWidget
        The widget. Studies, jobs and viewers outlive it.
    """

    def __init__(self, owner: QWidget) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []
        # A method of the owner itself would no longer be called once it is deleted.
        owner.destroyed.connect(self.close)

    def connect(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Connect a psygnal signal or a napari event."""
        signal.connect(slot)
        self._made.append((signal, slot))

    def close(self, _: object = None) -> None:
        """Disconnect everything."""
        for signal, slot in self._made:
            with suppress(ValueError):
                signal.disconnect(slot)
        self._made.clear()
