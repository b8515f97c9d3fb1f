"""The files of a journal: one folder a session, on a shelf for each slide."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xxhash
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.study import records
from napari_prts.study.changes import Arrays, Change

JOURNAL = "journal"
LOCK = "lock"
# Much unwritten data at once would hold up the small records that are synced meanwhile.
_SYNC_EVERY = 16 * 2**20


@dataclass(frozen=True)
class Contents:
    """A journal as it was read.

    Parameters
    ----------
    changes : tuple of Change
        From the first up to the last that is whole.
    ends : int
        Bytes of the file up to the end of the last of them.
    problem : str
        What was damaged; empty if nothing was, or only a last record torn.
    """

    changes: tuple[Change, ...]
    ends: int
    problem: str


def new_session(shelf: Path) -> Path:
    """Name the folder of a new session: by its time, for a person who looks for one."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%f")
    return shelf / f"{now}-{os.getpid()}-{secrets.token_hex(3)}"


def sessions(shelf: Path) -> list[Path]:
    """Folders that hold a journal."""
    with contextlib.suppress(OSError):
        return [folder for folder in shelf.iterdir() if (folder / JOURNAL).is_file()]
    return []


def payload_of(change: Change) -> bytes:
    """Bytes of a change; without its arrays, where these lie in a file aside."""
    head = {
        "what": change.what,
        "at": change.at.isoformat(),
        "facts": change.facts,
        "size": change.size,
    }
    if change.aside is None:
        return records.pack(head, change.arrays())
    return records.pack({**head, "aside": change.aside.name}, {})


def read_journal(session: Path) -> Contents:
    """Read a journal; it may be one that is being written.

    Raises
    ------
    NucleiError
        If there is none, or it cannot be read at all.
    """
    path = session / JOURNAL
    try:
        found = records.scan(path.read_bytes())
    except OSError as error:
        raise NucleiError(
            f"The saved corrections in {path} cannot be read ({error.strerror or error})."
        ) from error
    if found is None:
        raise NucleiError(f"{path} is no journal of napari-prts, or its beginning is damaged.")
    problem = ""
    if found.unread:
        problem = (
            f"{path} is damaged: {len(found.payloads):,} corrections before the damage can be "
            f"restored, {found.unread:,} behind it cannot. The file is kept."
        )
    changes = tuple(_change_of(payload, session) for payload in found.payloads)
    return Contents(changes, found.ends, problem)


def _change_of(payload: bytes, session: Path) -> Change:
    head, arrays = records.unpack(payload)
    aside = session / Path(head["aside"]).name if "aside" in head else None
    return Change(
        head["what"],
        head["facts"],
        (lambda: arrays) if aside is None else (lambda: read_aside(aside)),
        head["size"],
        aside,
        datetime.fromisoformat(head["at"]),
    )


def write_journal(session: Path, changes: Iterable[Change]) -> int:
    """Write a journal from its beginning, beside the one that is there.

    Returns
    -------
    int
        Its length in bytes.

    Raises
    ------
    OSError
        If it cannot be written; the one that is there is as it was.
    """
    content = records.MAGIC + _frames(changes, 0)
    with _beside(session).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return len(content)


def take_into_use(session: Path, later: Iterable[Change] = (), number: int = 0) -> int:
    """Put the journal that :func:`write_journal` wrote in the place of the one before.

    Parameters
    ----------
    session : Path
        The folder of both.
    later : iterable of Change
        What was done in the meantime.
    number : int
        How many changes stand before these.

    Returns
    -------
    int
        How many bytes they take.
    """
    added = _frames(later, number)
    with _beside(session).open("ab") as file:
        file.write(added)
    os.replace(_beside(session), session / JOURNAL)
    return len(added)


def _beside(session: Path) -> Path:
    return session / f"{JOURNAL}.new"


def _frames(changes: Iterable[Change], number: int) -> bytes:
    payloads = (payload_of(change) for change in changes)
    return b"".join(records.framed(payload, i) for i, payload in enumerate(payloads, number))


def write_aside(path: Path, arrays: Arrays) -> None:
    """Write the arrays of a large change; the file is there when it is whole.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    digest, pending = xxhash.xxh3_64(), 0
    beside = path.with_suffix(".part")
    with beside.open("wb", buffering=0) as file:
        for piece in _pieces(arrays):
            digest.update(piece)
            while piece:
                written = file.write(piece)
                piece, pending = piece[written:], pending + written
            if pending > _SYNC_EVERY:
                os.fsync(file.fileno())
                pending = 0
        file.write(digest.digest())
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def _pieces(arrays: Arrays) -> Iterator[memoryview]:
    yield memoryview(records.opening({}, arrays))
    for array in arrays.values():
        whole = memoryview(records.raw(array))
        for start in range(0, len(whole), _SYNC_EVERY):
            yield whole[start : start + _SYNC_EVERY]


def read_aside(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_aside` wrote.

    Raises
    ------
    NucleiError
        If the file is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NucleiError(
            f"The nuclei in {path} were not wholly written when the program ended "
            f"({error.strerror or error}): what came before them can be restored."
        ) from error
    body = memoryview(content)[:-8]
    if xxhash.xxh3_64_digest(body) != content[-8:]:
        raise NucleiError(f"{path} is damaged: what came before these nuclei can be restored.")
    return records.unpack(body)[1]


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no such names."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        beside = target.with_suffix(".part")
        shutil.copyfile(source, beside)
        os.replace(beside, target)


def sync_folder(folder: Path) -> None:
    """Make sure that a file's name is on disk, where the system can."""
    with contextlib.suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def lock(session: Path) -> int:
    """Say that a session is being written; holds until the returned file is closed.

    Returns
    -------
    int
        The open file's descriptor; the system closes it when the process ends, however.
    """
    place = os.open(session / LOCK, os.O_RDWR | os.O_CREAT)
    _try_lock(place)
    return place


def in_use(session: Path) -> bool:
    """Whether a running program writes this journal."""
    try:
        place = os.open(session / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _try_lock(place)
    finally:
        os.close(place)


def _try_lock(place: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(place, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
