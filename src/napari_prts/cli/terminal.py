"""What a command says: progress and notes on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from napari_prts.jobs import Progress

Report = Callable[[Progress], None]
StepReport = Callable[[str, Progress | None], None]


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """Show the progress of one job on stderr, if stderr is a terminal.

    Parameters
    ----------
    title : str
        What is done, for example ``"Finding nuclei"``.

    Yields
    ------
    callable
        To be given to :func:`napari_prts.jobs.run` as ``report``.
    """
    with step_bars() as show:
        yield lambda progress: show(title, progress)


@contextmanager
def step_bars() -> Iterator[StepReport]:
    """Show the progress of several steps on stderr, if stderr is a terminal.

    Yields
    ------
    callable
        Takes the step's name and its progress, or None when the step begins.
    """
    if not sys.stderr.isatty():
        yield lambda step, progress: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[count]}"),
        bars.TimeRemainingColumn(),
        bars.TextColumn("[dim]{task.fields[note]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as display:
        lines: dict[tuple[str, str], bars.TaskID] = {}

        def show(step: str, progress: Progress | None) -> None:
            if progress is None:
                return
            # A job may count nuclei first and epochs later: each unit has its own line.
            line = lines.get((step, progress.unit))
            if line is None:
                line = display.add_task(step, total=None, count="", note="")
                lines[step, progress.unit] = line
            display.update(
                line,
                completed=progress.done,
                total=progress.total or None,
                count=_count(progress),
                note=progress.note,
            )

        yield show


def _count(progress: Progress) -> str:
    of = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.done:,}{of} {progress.unit}"


def note(text: str) -> None:
    """Say on stderr something that the user should know but need not act on."""
    typer.echo(f"napari-prts: note: {text}", err=True)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __str__(self) -> str:
        return spoken_seconds(time.monotonic() - self._start)


def spoken_seconds(seconds: float) -> str:
    """Write a duration as a person would: ``"4.2 s"``, ``"48 s"``, ``"3 min 05 s"``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


def wrote(path: Path, what: str, watch: Stopwatch) -> None:
    """Print the closing line of a command that wrote something."""
    typer.echo(f"wrote {path}: {what} in {watch}")


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Write a number with its noun: ``"1 nucleus"``, ``"2,214 nuclei"``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
