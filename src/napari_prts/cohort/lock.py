"""One batch at a time in a folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_prts.errors import PrtsError

# The second stays, and tells that a folder is a batch's.
LOCK_FILE, HOLDER_FILE = ".batch.lock", ".batch.txt"


@contextmanager
def only_batch(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder; the system frees it however the process ends.

    Parameters
    ----------
    folder : Path
        Made if need be.

    Raises
    ------
    PrtsError
        If another batch is writing there.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK_FILE, blocking=False), folder / HOLDER_FILE
    try:
        lock.acquire()
    except Timeout:
        raise PrtsError(
            f"Another batch{_holder(holder)} is writing to {folder}: wait until it has ended, or "
            "choose another folder."
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return f" ({path.read_text(encoding='utf-8').strip()})"
    except OSError:
        return ""
