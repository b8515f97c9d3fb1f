"""Driving a batch in tests, and laying hands on the processes of its slides."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from napari_prts.cohort import BatchRequest, LocalPlace, SlideOutcome, run_batch
from napari_prts.cohort.outcome import StepProgress
from napari_prts.jobs import Progress, run


def do(
    request: BatchRequest, report: Callable[[Progress], None] | None = None, jobs: int = 1
) -> dict[str, SlideOutcome]:
    """Run a batch on this computer; outcomes by the slide's name."""
    outcomes = run(run_batch(request, lambda: LocalPlace(jobs)), report)
    return {outcome.name: outcome for outcome in outcomes}


def slide_processes(of: psutil.Process | None = None) -> list[psutil.Process]:
    """Processes that do slides, begun by this one or by those that it began."""
    found = (of or psutil.Process()).children(recursive=True)
    return [process for process in found if "napari_prts.cohort.child" in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def once_begun(name: str, act: Callable[[psutil.Process], None], times: int = 1) -> Callable:
    """Act on a slide's process when the slide first tells how far it is; with one slide at once."""
    done: set[int] = set()

    def report(progress: Progress) -> None:
        said = progress.partial
        if not isinstance(said, StepProgress) or said.name != name or len(done) >= times:
            return
        for process in slide_processes():
            if process.pid not in done:
                done.add(process.pid)
                act(process)

    return report


def started(*arguments: object) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    code = (
        # A test run in the background inherits that Ctrl-C is ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from napari_prts.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(true: Callable[[], object]) -> None:
    while not true():
        time.sleep(0.1)


def provenance(folder: Path) -> dict:
    return json.loads((folder / "done.json").read_text())
