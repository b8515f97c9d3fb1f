"""Pixel sizes that the user corrected, remembered by slide from one session to the next."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

import platformdirs

from napari_prts.errors import SlideError
from napari_prts.files import written_aside
from napari_prts.slide.pixel_size import check_mpp

_SAFE = re.compile(r"[0-9A-Za-z_-]{1,128}")


def data_folder() -> Path:
    """Folder for what the user said and cannot be made again.

    The environment variable ``NAPARI_PRTS_DATA`` overrides the platform's own.
    It is no cache: nobody may empty it to free space. It is made when something
    is first written to it.
    """
    chosen = os.environ.get("NAPARI_PRTS_DATA")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("napari-prts"))


class PixelSizeMemory:
    """What the user said about the pixel size of slides.

    One small JSON file a slide, replaced as a whole, so that two processes
    can write at the same time: the later one of the same slide holds.

    Parameters
    ----------
    folder : Path, optional
        Where the files are; ``pixel_sizes`` in :func:`data_folder` by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = data_folder() / "pixel_sizes" if folder is None else folder

    def get(self, fingerprint: str) -> float | None:
        """Return um per level-0 pixel of a slide, None if nothing is known.

        A damaged file counts as nothing; the next :meth:`remember` replaces it.

        Parameters
        ----------
        fingerprint : str
            Of the slide, by content: a moved or renamed file keeps its size.
        """
        try:
            entry = json.loads(self._file(fingerprint).read_text(encoding="utf-8"))
            if entry["fingerprint"] != fingerprint:
                return None
            return check_mpp(float(entry["mpp"]))
        # ValueError is bad JSON, bad UTF-8 and a bad number alike.
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        except SlideError:
            return None

    def remember(self, fingerprint: str, mpp: float, name: str) -> None:
        """Remember the size that the user gives for a slide.

        Parameters
        ----------
        fingerprint : str
            Of the slide.
        mpp : float
            um per level-0 pixel, 0.05 to 20.
        name : str
            File name, for a person who looks into the folder.

        Raises
        ------
        SlideError
            If the number is impossible, or the file cannot be written.
        """
        entry = {"fingerprint": fingerprint, "mpp": check_mpp(mpp), "name": name}
        target = self._file(fingerprint)
        try:
            with written_aside(target) as aside:
                aside.write_text(json.dumps(entry, indent=1), encoding="utf-8")
        except OSError as error:
            raise SlideError(
                f"The pixel size of {name} cannot be remembered in {self._folder} "
                f"({error.strerror or error}); it holds until the slide is closed. Make the "
                "folder writable, or name another with NAPARI_PRTS_DATA."
            ) from error

    def forget(self, fingerprint: str) -> None:
        """Forget what was said about a slide; nothing happens if there was nothing.

        Raises
        ------
        SlideError
            If the file cannot be removed.
        """
        target = self._file(fingerprint)
        try:
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
        except OSError as error:
            raise SlideError(
                f"{target} cannot be removed ({error.strerror or error}). Make its folder "
                "writable, or remove the file by hand."
            ) from error

    def _file(self, fingerprint: str) -> Path:
        # A fingerprint becomes a file name: nothing in it may lead out of the folder.
        if not _SAFE.fullmatch(fingerprint):
            raise SlideError(
                f"{fingerprint!r} is no fingerprint of a slide: take the one that the slide has."
            )
        return self._folder / f"{fingerprint}.json"
