"""Several layers that come and go as one change, which is not felt."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel

# A layer taken away holds some 10 MB of the graphics card until garbage is collected.
_MOST_LEFT = 24


class LayerChanges:
    """Changes a viewer's list of layers and lets napari arrange its canvas once for all of them.

    napari collects all garbage whenever a layer is removed: with all libraries loaded that takes
    0.1 to 0.4 s. Here that is put off: :meth:`collect` does it at a time when nobody waits.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Whose layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._inside = False
        self._left = 0

    @property
    def left(self) -> int:
        """How many layers were taken away whose memory is not free yet."""
        return self._left

    def note_removed(self) -> None:
        """Count one more layer that was taken away."""
        self._left += 1

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Arrange the canvas after all that is changed inside; within another one, with that."""
        if self._inside:
            yield
            return
        self._inside = True
        frozen = False
        try:
            with self._viewer.layers.batched_update():
                try:
                    yield
                finally:
                    # What is frozen is not looked through. If someone else froze objects for
                    # good, they stay so, and there is little to look through anyway.
                    frozen = self._left < _MOST_LEFT and not gc.get_freeze_count()
                    if frozen:
                        gc.freeze()
                    else:
                        self._left = 0
        finally:
            self._inside = False
            if frozen:
                gc.unfreeze()

    def collect(self) -> None:
        """Free what layers held that were taken away; nothing if there were none."""
        if self._left:
            self._left = 0
            gc.collect()
