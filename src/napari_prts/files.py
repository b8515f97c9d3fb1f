"""Writing outputs whole or not at all, and where the user's cache is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Folder for what can be made again: weights, pyramids, features.

    The environment variable ``NAPARI_PRTS_CACHE`` overrides the platform's own.
    """
    chosen = os.environ.get("NAPARI_PRTS_CACHE")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("napari-prts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def written_aside(target: Path | str) -> Iterator[Path]:
    """Give a path beside ``target`` to write to; move it into place on success.

    Works for a file and for a folder. If the block raises, what was written is
    removed and an existing ``target`` stays as it was.

    Parameters
    ----------
    target : path
        Where the output shall be. Its parent folder is made if need be.

    Yields
    ------
    Path
        Path with the same file ending on the same file system.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    aside = holder / target.name
    try:
        yield aside
        _move_into_place(aside, target, holder)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _move_into_place(aside: Path, target: Path, holder: Path) -> None:
    if aside.is_dir() and target.exists():
        old = holder / "replaced"
        os.replace(target, old)
        try:
            os.replace(aside, target)
        except OSError:
            os.replace(old, target)
            raise
    else:
        os.replace(aside, target)
