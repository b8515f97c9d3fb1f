"""A session in one file: the slide's place, all that is known of it, and what was on screen."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import PrtsError
from napari_prts.files import written_aside
from napari_prts.jobs import Job, Progress, run
from napari_prts.study.session_parts import SessionParts, read_part, write_part

if TYPE_CHECKING:
    from napari_prts.features import FeatureStore
    from napari_prts.slide import Slide
    from napari_prts.study.study import Study

__all__ = ["SessionCard", "SessionParts", "open_session", "save_session"]

FORMAT = "napari-prts-session"
FORMAT_VERSION = 1
ENDING = ".prts"
_CARD = "session.json"


@dataclass(frozen=True)
class SessionCard:
    """What a session file says of itself, read without its tables.

    Parameters
    ----------
    path : Path
        The session file.
    slide : mapping
        ``path``, ``relative`` (to the session file), ``name``, ``fingerprint``, ``mpp`` and
        ``mpp_source`` of the slide.
    parts : tuple of str
        What the file holds besides: ``"nuclei"``, ``"measured"``, ``"predicted"``,
        ``"model"``, ``"clusters-predicted"``, ``"clusters-measured"``.
    chosen : tuple of int
        Ids of the chosen cells.
    view : mapping
        What was on screen, as the window wrote it.
    """

    path: Path
    slide: Mapping[str, Any]
    parts: tuple[str, ...]
    chosen: tuple[int, ...]
    view: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path | str) -> SessionCard:
        """Read the card of a session file.

        Raises
        ------
        PrtsError
            If it is none, is damaged, or was written by a newer version.
        """
        path = Path(path)
        with _opened(path) as archive:
            try:
                card = json.loads(archive.read(_CARD))
            except (KeyError, ValueError) as error:
                raise PrtsError(_no_session(path)) from error
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise PrtsError(_no_session(path))
        if card.get("format_version", 0) > FORMAT_VERSION:
            raise PrtsError(f"{path} was written by a newer napari-prts: update napari-prts.")
        return cls(path, card["slide"], tuple(card["parts"]), tuple(card["chosen"]), card["view"])

    def slide_path(self) -> Path | None:
        """Find the slide: where it lay from the session file, where it was, or beside the file.

        Returns
        -------
        Path or None
            None if it is at none of these places: ask for its new one.
        """
        relative, absolute = self.slide.get("relative"), self.slide.get("path")
        # The relative one first: session and slide may have been copied together.
        places = [self.path.parent / relative] if relative else []
        places += [Path(absolute), self.path.parent / Path(absolute).name] if absolute else []
        return next((place.resolve() for place in places if place.exists()), None)

    def missing_slide(self) -> str:
        """Say in a sentence that the slide is not where it was."""
        known = self.slide.get("path")
        if known is None:
            return (
                f"{self.path.name} was made on an image in memory ({self.slide['name']}), not on "
                "a file: give the slide."
            )
        return (
            f"The slide of {self.path.name} is not at {known} any more, nor beside the session "
            "file: say where it is now."
        )


def save_session(parts: SessionParts, path: Path | str) -> Job[Path]:
    """Write a session as one file, a zip archive; an existing file is replaced once it is whole.

    Parameters
    ----------
    parts : SessionParts
        What to save, see :meth:`SessionParts.of`.
    path : path
        Where; the ending should be .prts.

    Yields
    ------
    Progress
        In parts.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    PrtsError
        If it cannot be written.
    """
    path = Path(path)
    names = parts.names
    try:
        with written_aside(path) as aside, zipfile.ZipFile(aside, "w") as archive:
            for number, name in enumerate(names):
                yield Progress(number, len(names), "parts", name.replace("-", " of "))
                with tempfile.TemporaryDirectory(dir=aside.parent) as folder:
                    _pack(archive, write_part(parts, name, Path(folder)), Path(folder))
            archive.writestr(_CARD, json.dumps(_card(parts, path), indent=1))
    except OSError as error:
        raise PrtsError(
            f"{path} cannot be written ({error.strerror or error}): choose another folder, or "
            "free some space."
        ) from error
    yield Progress(len(names), len(names), "parts")
    return path


def open_session(
    card: SessionCard, slide: Slide | Path | str | None = None, *, wait: bool = True
) -> Job[SessionParts]:
    """Read a session file.

    Parameters
    ----------
    card : SessionCard
        Of the file.
    slide : Slide or path, optional
        The slide, or where it is now; by default where the file says, see
        :meth:`SessionCard.slide_path`.
    wait : bool
        Build missing levels of the slide before going on, see
        :func:`napari_prts.slide.open_slide`.

    Yields
    ------
    Progress
        In parts.

    Returns
    -------
    SessionParts
        Of which :meth:`SessionParts.study` makes a study.

    Raises
    ------
    PrtsError
        If the file is damaged, the slide is not found, or it is another one.
    SlideError
        If the slide cannot be opened.
    """
    found: dict[str, Any] = {}
    yield Progress(0, len(card.parts), "parts", "slide")
    opened = _open_slide(card, slide, wait)
    with _opened(card.path) as archive, tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(card.parts):
            yield Progress(number, len(card.parts), "parts", name.replace("-", " of "))
            _unpack(archive, name, Path(folder), card.path)
            found |= read_part(name, Path(folder), opened, found)
    yield Progress(len(card.parts), len(card.parts), "parts")
    return SessionParts(slide=opened, chosen=card.chosen, view=card.view, **found)


def open_session_study(
    path: Path | str, slide: Slide | Path | str | None = None, store: FeatureStore | None = None
) -> Study:
    """Open the study of a session file, without a window.

    Parameters
    ----------
    path : path
        File that :func:`save_session` wrote.
    slide : Slide or path, optional
        The slide, or where it is now, if it was moved.
    store : FeatureStore, optional
        Where features are kept.

    Raises
    ------
    PrtsError
        As :func:`open_session`.
    """
    return run(open_session(SessionCard.read(path), slide)).study(store)


def _card(parts: SessionParts, path: Path) -> dict[str, Any]:
    slide = parts.slide
    place = None if slide.path is None else slide.path.resolve()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "slide": {
            "path": None if place is None else str(place),
            "relative": None if place is None else _relative(place, path.resolve().parent),
            "name": slide.name,
            "fingerprint": slide.fingerprint,
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
        },
        "parts": list(parts.names),
        "chosen": [int(id_) for id_ in parts.chosen],
        "view": dict(parts.view),
    }


def _relative(place: Path, folder: Path) -> str | None:
    try:
        return Path(os.path.relpath(place, folder)).as_posix()
    except ValueError:
        # On Windows, from one drive to another there is no relative path.
        return None


def _open_slide(card: SessionCard, given: Slide | Path | str | None, wait: bool) -> Slide:
    from napari_prts.slide import Slide, open_slide

    if isinstance(given, Slide):
        slide, where = given, given.name
    else:
        path = card.slide_path() if given is None else Path(given)
        if path is None:
            raise PrtsError(card.missing_slide())
        stated = str(card.slide["mpp_source"]).startswith("user")
        slide = open_slide(path, card.slide["mpp"] if stated else None, wait=wait)
        where = str(path)
    if slide.fingerprint != card.slide["fingerprint"]:
        raise PrtsError(
            f"{where} is not the slide that {card.path} was made on ({card.slide['name']}): give "
            "the right slide."
        )
    return slide


def _pack(archive: zipfile.ZipFile, written: Path, folder: Path) -> None:
    """Put a file or a folder of files into the archive."""
    files = sorted(written.rglob("*")) if written.is_dir() else [written]
    for file in files:
        if file.is_file():
            # Tables and weights are compressed already, or would not become smaller.
            text = file.suffix in (".geojson", ".json")
            how = zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED
            name = file.relative_to(folder).as_posix()
            archive.write(file, name, compress_type=how, compresslevel=1 if text else None)


def _unpack(archive: zipfile.ZipFile, part: str, folder: Path, path: Path) -> None:
    # A part is a file with an ending, or a folder.
    names = [name for name in archive.namelist() if name.split("/")[0].split(".")[0] == part]
    if not names:
        raise PrtsError(f"{path} is damaged: its {part} is missing. Use a copy, or make it again.")
    for name in names:
        try:
            archive.extract(name, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise PrtsError(
                f"{path} is damaged: its {part} cannot be read. Use a copy, or make it again."
            ) from error


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.exists():
        raise PrtsError(f"{path} does not exist: give a session file ({ENDING}).")
    if path.is_dir():
        raise PrtsError(f"{path} is a folder: give a session file ({ENDING}).")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise PrtsError(_no_session(path)) from error
    except OSError as error:
        raise PrtsError(f"{path} cannot be read ({error.strerror or error}).") from error
    with archive:
        yield archive


def _no_session(path: Path) -> str:
    if path.suffix.lower() == ".h5ad":
        return (
            f"{path} is a table of cells and does not hold the slide: give a session file "
            f"({ENDING}), or the folder of a study, such as batch makes for each slide."
        )
    return (
        f"{path} is not a session file, or is damaged: choose a {ENDING} file that Save session "
        "wrote."
    )
