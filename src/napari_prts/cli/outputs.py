"""Whether an output can be written, asked before the work and not after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_prts.errors import PrtsError


class OutputError(PrtsError):
    """An output cannot be written where the user wants it."""


def check_output_file(path: Path, endings: tuple[str, ...], inputs: Iterable[Path]) -> None:
    """Refuse an output file that cannot be written or would destroy an input.

    Parameters
    ----------
    path : Path
        Where the output shall be.
    endings : tuple of str
        File endings that readers recognise, the preferred one first.
    inputs : iterable of Path
        Files and folders that the command reads.

    Raises
    ------
    OutputError
        If it would fail, with what to do instead.
    """
    if path.suffix.lower() not in endings:
        raise OutputError(f"The output {path} must end in {endings[0]}: rename it.")
    if path.is_dir():
        raise OutputError(f"The output {path} is a folder: name a file.")
    _check_not_an_input(path, inputs)
    _check_writable(path)


def check_output_folder(path: Path, marker: str, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that cannot be written or holds something else.

    A folder is replaced as a whole, so one that this command did not write
    must be empty.

    Parameters
    ----------
    path : Path
        Where the output shall be.
    marker : str
        File that only this command's folders hold.
    inputs : iterable of Path
        Files and folders that the command reads.

    Raises
    ------
    OutputError
        If it would fail or destroy something, with what to do instead.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"The output {path} is a file: name a folder.")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise OutputError(f"The folder {path} holds other things: name a new or an empty folder.")
    _check_not_an_input(path, inputs)
    _check_writable(path)


def _check_not_an_input(path: Path, inputs: Iterable[Path]) -> None:
    target = path.resolve()
    for source in (given.resolve() for given in inputs if given.exists()):
        if target == source or target in source.parents:
            raise OutputError(f"The output {path} would overwrite the input {source}: rename it.")


def _check_writable(path: Path) -> None:
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(f"{parent} is a file, so {path} cannot be made in it: name a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"The folder {parent} cannot be written to: choose another or change its permissions."
        )
