"""The folder of built pyramids: what was used last stays, up to a limit."""

from __future__ import annotations

import os
import shutil
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder
from napari_prts.slide.pyramid import StoredPyramid, open_pyramid

_GIB = 2**30
LIMIT_VARIABLE = "NAPARI_PRTS_PYRAMIDS_GIB"
# Some ten 10x full-resolution images, or hundreds of JPEG sections.
_DEFAULT_GIB = 20.0
# Seconds after which a folder that is still being written was left behind by a killed process.
_LEFT_BEHIND = 24 * 3600.0


@dataclass(frozen=True)
class PyramidCache:
    """Pyramids by the fingerprint of their slide.

    Beside each folder ``FINGERPRINT.zarr`` lies an empty ``FINGERPRINT.used``,
    whose date says when it was last opened, and for each process that has it
    open an empty ``FINGERPRINT.PID.ID.open``.

    Parameters
    ----------
    folder : Path
        Where they are.
    limit : float
        Bytes that all together may take.
    """

    folder: Path
    limit: float

    @classmethod
    def of_user(cls) -> PyramidCache:
        """Return the user's cache.

        The environment variable ``NAPARI_PRTS_PYRAMIDS_GIB`` sets its limit, 20 GiB by
        default.

        Raises
        ------
        SlideError
            If the variable is not a number above 0.
        """
        given = os.environ.get(LIMIT_VARIABLE, "")
        try:
            gib = float(given) if given else _DEFAULT_GIB
        except ValueError:
            gib = 0.0
        if not gib > 0:
            raise SlideError(
                f"{LIMIT_VARIABLE} is {given!r}: give the gibibytes that pyramids may take in "
                f"{cache_folder()}, for example 20."
            )
        return cls(cache_folder() / "pyramids", gib * _GIB)

    def path(self, fingerprint: str) -> Path:
        """Return the folder of a slide's pyramid, whether it is there or not."""
        return self.folder / f"{fingerprint}.zarr"

    def find(self, fingerprint: str, shape: tuple[int, int]) -> StoredPyramid | None:
        """Open a slide's pyramid, if it was built before.

        Parameters
        ----------
        fingerprint : str
            Of the slide.
        shape : tuple of int
            Rows and columns of the level that it shall be built from.
        """
        folder = self.path(fingerprint)
        if not folder.is_dir():
            return None
        try:
            stored = open_pyramid(folder)
        except (OSError, KeyError, ValueError, TypeError):
            # Something of the cache was removed or cut short: it is built again.
            return None
        return stored if stored.shape == shape else None

    def hold(self, fingerprint: str, owner: object) -> None:
        """Keep a pyramid from being removed as long as ``owner`` lives, and note its use.

        Does nothing in a cache that cannot be written to: nothing can be removed from it.

        Parameters
        ----------
        fingerprint : str
            Of the slide.
        owner : object
            What reads it.
        """
        # One file an owner: the same slide may be open twice.
        mark = self.folder / f"{fingerprint}.{os.getpid()}.{id(owner):x}.open"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{fingerprint}.used").touch()
            mark.touch()
        except OSError:
            return
        weakref.finalize(owner, mark.unlink, missing_ok=True)

    def make_room(self, needed: float) -> None:
        """Remove pyramids, the longest unused first, until so many bytes more fit the limit.

        Those that are open in any process stay, even if the limit is passed.

        Parameters
        ----------
        needed : float
            Bytes that will be written.
        """
        for left in self.folder.glob(".*.zarr.*"):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(left, ignore_errors=True)
        sizes = {path: _size(path) for path in self.folder.glob("*.zarr")}
        over = sum(sizes.values()) + needed - self.limit
        for path in sorted(sizes, key=self._last_use):
            if over <= 0:
                return
            if self._is_open(path.stem):
                continue
            shutil.rmtree(path, ignore_errors=True)
            (self.folder / f"{path.stem}.used").unlink(missing_ok=True)
            over -= sizes[path]

    def _last_use(self, path: Path) -> float:
        try:
            return (self.folder / f"{path.stem}.used").stat().st_mtime
        except FileNotFoundError:
            return time.time()

    def _is_open(self, fingerprint: str) -> bool:
        import psutil

        for mark in self.folder.glob(f"{fingerprint}.*.open"):
            if psutil.pid_exists(int(mark.name.split(".")[-3])):
                return True
            # Left behind by a process that was killed.
            mark.unlink(missing_ok=True)
        return False


def _size(folder: Path) -> int:
    size = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            # Another process may be removing it.
            with suppress(FileNotFoundError):
                size += (Path(parent) / name).stat().st_size
    return size
