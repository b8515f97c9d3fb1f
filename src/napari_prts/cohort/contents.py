"""What files hold, in a few characters: to tell whether something has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import xxhash


def key_of(*parts: Any) -> str:
    """Give the key of JSON values, 32 characters."""
    text = json.dumps(parts, sort_keys=True, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_of(path: Path | str) -> str:
    """Give the key of a file's content, or of a folder's names, sizes and times.

    Parameters
    ----------
    path : path
        A file is read whole. A folder (zarr, a Space Ranger run) may take gigabytes: of its
        files only name, size and time of change count.

    Raises
    ------
    OSError
        If it is not there or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        stats = [(str(file.relative_to(path)), file.stat()) for file in files]
        return key_of([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()  # type: ignore[arg-type]
