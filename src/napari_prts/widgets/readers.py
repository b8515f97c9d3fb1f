"""napari's doors: the readers of slides and of sessions, and the sample data.

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


def get_session_reader(path: str | Sequence[str]) -> Callable[[Any], list[Any]] | None:
    """Return a reader for one session file (npe2 reader contribution)."""
    single = isinstance(path, str) or len(path) == 1
    return read_session if single else None


def read_session(path: str | Sequence[str]) -> list[Any]:
    """Open a session in the window that asks for it.

    Returns
    -------
    list
        napari's word for "read, but no layer to add": the panels add the session's layers.
    """
    from qtpy.QtCore import QTimer

    viewer = _open_panels()
    file = path if isinstance(path, str) else path[0]

    def open_it() -> None:
        from napari.utils.notifications import show_error

        from napari_prts.errors import PrtsError
        from napari_prts.widgets._workspace import open_workspace

        try:
            open_workspace(viewer).save.sessions.open(file)
        except PrtsError as error:
            show_error(str(error))

    if viewer is not None:
        # A question must not come while napari is still reading.
        QTimer.singleShot(0, open_it)
    return [(None,)]


def demo_slide() -> list[LayerTuple]:
    """Open the embedded slide (npe2 sample data contribution)."""
    from napari_prts.sample_data import demo_slide_path

    return read_slide(str(demo_slide_path()))


def _open_panels() -> Any:
    """Open the panels once the layer is there, so that the slide is seen before them.

    Returns
    -------
    napari.Viewer or None
        The window; None if there is none.
    """
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    from qtpy.QtCore import QTimer

    def open_them() -> None:
        from napari_prts.widgets._workspace import open_workspace

        open_workspace(viewer)

    QTimer.singleShot(0, open_them)
    return viewer
