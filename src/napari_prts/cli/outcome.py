"""How a command ends: its exit status, and one line for each thing that can go wrong."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from napari_prts.errors import PrtsError

WRONG = 2
CANCELLED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def debugging() -> bool:
    """Whether the user asked for tracebacks (``NAPARI_PRTS_DEBUG=1``)."""
    return os.environ.get("NAPARI_PRTS_DEBUG", "") not in ("", "0")


class OneLineGroup(TyperGroup):
    """A group of commands that says what went wrong in one line."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; in stand-alone mode end the process with its status."""
        if debugging() or not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            # Typer returns the status of its own early ends (--help, Ctrl-C) here.
            status = super().main(*args, **{**options, "standalone_mode": False}) or 0
        except (KeyboardInterrupt, typer.Abort):
            status = CANCELLED
        except Exception as error:
            typer.echo(f"napari-prts: {one_line(error)}", err=True)
            status = WRONG
        if status == CANCELLED:
            typer.echo("napari-prts: cancelled; no half-written output is left.", err=True)
        sys.exit(status)


def one_line(error: Exception) -> str:
    """Say in one line what is wrong and what to do.

    Parameters
    ----------
    error : Exception
        What ended the command.

    Returns
    -------
    str
        Without line breaks.
    """
    if isinstance(error, PrtsError):
        text = str(error)
    elif hasattr(error, "format_message"):
        text = _usage(error)
    elif isinstance(error, OSError):
        text = _system(error)
    elif isinstance(error, MemoryError):
        text = "Out of memory: close other programs, or work on a part (segment --region)."
    else:
        text = (
            f"Internal error ({type(error).__name__}: {error}). This is a bug in napari-prts: "
            "run again with NAPARI_PRTS_DEBUG=1 and report what it prints."
        )
    return " ".join(text.split())


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    hint = f" Try '{context.command_path} --help'." if context is not None else ""
    return f"{str(error.format_message()).rstrip('.')}.{hint}"


def _system(error: OSError) -> str:
    what = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    todo = {
        errno.ENOSPC: "Free some space or choose another folder.",
        errno.EDQUOT: "Free some space or choose another folder.",
        errno.EACCES: "Change its permissions or choose another file or folder.",
        errno.EPERM: "Change its permissions or choose another file or folder.",
        errno.EROFS: "Choose a folder that can be written to.",
        errno.ENOENT: "Check the path.",
        errno.ENOTDIR: "Check the path.",
        errno.EISDIR: "Name a file, not a folder.",
    }.get(error.errno or 0, "Check the file and the disk, then try again.")
    return f"{what}{where}. {todo}"


def prepare_process() -> None:
    """Keep other libraries off stderr and let a polite kill clean up.

    stderr belongs to the progress bar and to the one line about what is wrong;
    SIGTERM becomes an exception so that files written aside are removed.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if debugging():
        return
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(TERMINATED)
