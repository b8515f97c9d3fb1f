"""A batch on stderr: a bar for the cohort and for each slide that runs, a line for each ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from napari_prts.cli.terminal import counted, spoken_seconds
from napari_prts.cohort.outcome import SlideOutcome, StepProgress
from napari_prts.jobs import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

Show = Callable[[Progress], None]

_DOING = {
    "segment": "finding nuclei",
    "measure": "summing bins",
    "predict": "predicting",
    "cluster": "clustering",
    "report": "report",
}


@contextmanager
def batch_display() -> Iterator[Show]:
    """Show a batch; without a terminal only a line for each slide that has ended.

    Yields
    ------
    callable
        Takes what :func:`napari_prts.cohort.run_batch` yields.
    """
    if not sys.stderr.isatty():
        # A batch runs overnight into a log: a line a slide is what is looked for there.
        yield lambda progress: _say_ended(progress, lambda line: typer.echo(line, err=True))
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[count]}"),
        bars.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, transient=True) as display:
        shown = _Shown(display)

        def show(progress: Progress) -> None:
            shown.update(progress)
            _say_ended(progress, lambda line: console.print(line, markup=False, highlight=False))

        yield show


def ended_line(outcome: SlideOutcome) -> str:
    """Say in one line how a slide has ended."""
    if not outcome.done:
        return f"napari-prts: {outcome.name} failed: {outcome.error}"
    parts = [counted(outcome.nuclei or 0, "nucleus", "nuclei")]
    if outcome.mean_confidence is not None:
        parts.append(f"mean confidence {outcome.mean_confidence:.2f}")
    if outcome.pcc_mean is not None:
        parts.append(f"mean PCC {outcome.pcc_mean:.3f}")
    kept = set(outcome.kept)
    fresh = sum(seconds for step, seconds in outcome.seconds.items() if step not in kept)
    parts.append(f"in {spoken_seconds(fresh)}" if fresh else "done before")
    return f"napari-prts: {outcome.name}: {', '.join(parts)}"


def _say_ended(progress: Progress, say: Callable[[str], Any]) -> None:
    outcome = progress.partial
    if isinstance(outcome, SlideOutcome):
        say(f"{ended_line(outcome)} ({progress.done} of {progress.total})")
        for warning in outcome.warnings:
            say(f"napari-prts: {outcome.name}: note: {warning}")


class _Shown:
    """The bars on the terminal."""

    def __init__(self, display: Bars) -> None:
        self._display = display
        self._cohort = display.add_task("Slides", total=None, count="")
        self._slides: dict[str, tuple[str, Any]] = {}

    def update(self, progress: Progress) -> None:
        """Take in what has happened."""
        failed = f", {progress.note}" if progress.note else ""
        count = f"{progress.done:,} of {progress.total:,} slides{failed}"
        self._display.update(
            self._cohort, completed=progress.done, total=progress.total, count=count
        )
        if isinstance(progress.partial, StepProgress):
            self._step(progress.partial)
        elif isinstance(progress.partial, SlideOutcome):
            self._remove(progress.partial.name)

    def _step(self, said: StepProgress) -> None:
        # A step may count tiles first and nuclei later: what is left of one says nothing of both.
        what = f"{said.step} {said.unit}"
        if self._slides.get(said.name, ("", None))[0] != what:
            self._remove(said.name)
            title = f"  {said.name}: {_DOING.get(said.step, said.step)}"
            self._slides[said.name] = what, self._display.add_task(title, total=None, count="")
        of = f" of {said.total:,}" if said.total else ""
        self._display.update(
            self._slides[said.name][1],
            completed=said.done,
            total=said.total or None,
            count=f"{said.done:,}{of} {said.unit}" if said.unit else "",
        )

    def _remove(self, name: str) -> None:
        if name in self._slides:
            self._display.remove_task(self._slides.pop(name)[1])
