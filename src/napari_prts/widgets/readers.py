"""napari's doors to slides: the reader contribution and the sample data.

They stand in this room because a slide that is dropped on a window opens the
panels too, which is where its pixel size is shown and mended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LayerTuple = tuple[Any, dict[str, Any], str]


def get_slide_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerTuple]] | None:
    """Return a reader for one slide (npe2 reader contribution).

    A folder is taken only if it looks like a slide: the pattern of its name
    says little.
    """
    if not isinstance(path, str):
        if len(path) != 1:
            return None
        path = path[0]
    folder = Path(path)
    if folder.is_dir() and not any(
        (folder / name).exists() for name in (".zattrs", "zarr.json", ".zgroup")
    ):
        return None
    return read_slide


def read_slide(path: str | Sequence[str]) -> list[LayerTuple]:
    """Open a slide lazily, and the panels in the window that asks for it.

    Returns
    -------
    list of tuple
        One image layer; see :func:`napari_prts.viewer.readers.read_slide`.
    """
    from napari_prts.viewer import readers

    layers = readers.read_slide(path if isinstance(path, str) else path[0])
    _open_panels()
    return layers


def demo_slide() -> list[LayerTuple]:
    """Open the embedded slide (npe2 sample data contribution)."""
    from napari_prts.sample_data import demo_slide_path

    return read_slide(str(demo_slide_path()))


def _open_panels() -> None:
    """Open the panels once the layer is there, so that the slide is seen before them."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return
    from qtpy.QtCore import QTimer

    def open_them() -> None:
        from napari_prts.widgets._workspace import open_workspace

        open_workspace(viewer)

    QTimer.singleShot(0, open_them)
