"""Starting the process of one slide, listening to it, ending it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from napari_prts.cohort.failure import sentence
from napari_prts.cohort.outcome import FAILED, LOST, SlideOutcome, StepProgress
from napari_prts.cohort.record import LOG_FILE, check_folder
from napari_prts.cohort.request import SlideTask
from napari_prts.errors import PrtsError

# Time to remove what is half written.
_POLITE_S = 3.0
# What numpy, PyTorch and ncnn look at when they start their threads.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

Tell = Callable[[StepProgress], None]


class Supervisor:
    """Does one slide in a process of its own.

    Parameters
    ----------
    task : SlideTask
        The slide.
    threads : int or None
        How many the process may use; None leaves that to the libraries.
    """

    def __init__(self, task: SlideTask, threads: int | None = None) -> None:
        self.task = task
        self._threads = threads
        self._process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()

    def run(self, tell: Tell) -> SlideOutcome:
        """Do the slide and wait for its end; nothing is raised for what happens to it.

        Parameters
        ----------
        tell : callable
            Called with each StepProgress, in this thread.

        Returns
        -------
        SlideOutcome
            ``"lost"`` if the process ended without a word.
        """
        entry, folder = self.task.entry, Path(self.task.folder)
        try:
            # Before the log is opened: nothing is written in a folder that is not ours.
            check_folder(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOG_FILE).open("a", encoding="utf-8") as log:
                return self._listen(log, tell)
        except (PrtsError, OSError) as error:
            status, reason = sentence(error)
            return SlideOutcome(entry.name, entry.path, status, reason)

    def stop(self) -> None:
        """End the process, from any thread: first politely, then not."""
        self._stopped.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLITE_S)
        process.kill()

    def _listen(self, log: IO[str], tell: Tell) -> SlideOutcome:
        entry = self.task.entry
        with _started(log, self._threads) as process:
            self._process = process
            if self._stopped.is_set():
                process.kill()
            outcome: SlideOutcome | None = None
            with contextlib.suppress(BrokenPipeError):
                _write(process, self.task.as_dict())
            for values in _lines(process):
                if "outcome" in values:
                    outcome = SlideOutcome.from_dict(values["outcome"])
                    break
                tell(StepProgress(entry.name, **values["progress"]))
            status = process.wait()
        if outcome is not None:
            return outcome
        return SlideOutcome(entry.name, entry.path, *_without_a_word(status, Path(log.name)))


@contextlib.contextmanager
def _started(log: IO[str], threads: int | None) -> Iterator[subprocess.Popen[str]]:
    """Start the process; it does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_prts.cohort.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=_environment(threads),
        # Ctrl-C in a terminal goes to the whole group; these are ended by stop().
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def _write(process: subprocess.Popen[str], values: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(values) + "\n")
    # Left open: its closing tells the process that we are gone.
    process.stdin.flush()


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        # A process that is killed may leave half a line.
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _environment(threads: int | None) -> dict[str, str]:
    given = dict(os.environ)
    if threads is not None:
        given |= {name: str(threads) for name in _THREADS}
    return given


def _without_a_word(status: int, log: Path) -> tuple[str, str]:
    if status < 0:
        number = -status
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        why = f"was ended by the system ({name})"
        if number == signal.SIGKILL:
            why += ", most likely for lack of memory"
        return LOST, f"The process of this slide {why}: run with fewer --jobs, or see {log}."
    return FAILED, f"The process of this slide ended with status {status}: see {log}."
