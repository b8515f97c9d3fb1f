"""Slides done by processes on this computer."""

from __future__ import annotations

import os
import queue
from concurrent.futures import ThreadPoolExecutor

from napari_prts.cohort.failure import sentence
from napari_prts.cohort.outcome import SlideOutcome, StepProgress
from napari_prts.cohort.request import SlideTask
from napari_prts.cohort.supervising import Supervisor
from napari_prts.errors import PrtsError


class LocalPlace:
    """Does several slides at once, each in a process of its own.

    The processor's cores are shared out evenly, unless ``OMP_NUM_THREADS`` is set.

    Parameters
    ----------
    jobs : int
        How many at once.

    Raises
    ------
    PrtsError
        If it is not positive.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise PrtsError(f"{jobs} slides cannot be done at once: give 1 or more jobs.")
        self._jobs = jobs
        self._threads = None
        if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
            self._threads = max(1, _cores() // jobs)
        self._events: queue.Queue[StepProgress | SlideOutcome] = queue.Queue()
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="slide")
        self._running: dict[str, Supervisor] = {}

    def capacity(self) -> int:
        """Slides that can be done at once."""
        return self._jobs

    def start(self, task: SlideTask) -> None:
        """Begin a slide."""
        supervisor = Supervisor(task, self._threads)
        self._running[task.entry.name] = supervisor
        self._pool.submit(self._supervise, supervisor)

    def next_event(self, timeout_s: float) -> StepProgress | SlideOutcome | None:
        """Wait for the next event."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(event, SlideOutcome):
            self._running.pop(event.name, None)
        return event

    def close(self) -> None:
        """End what is running."""
        # Side by side: each may take seconds to leave.
        with ThreadPoolExecutor(max(1, len(self._running))) as stopping:
            list(stopping.map(Supervisor.stop, self._running.values()))
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _supervise(self, supervisor: Supervisor) -> None:
        try:
            outcome = supervisor.run(self._events.put)
        # A thread's exception would be seen by nobody, and the batch wait forever.
        except Exception as error:
            entry = supervisor.task.entry
            outcome = SlideOutcome(entry.name, entry.path, *sentence(error))
        self._events.put(outcome)


def _cores() -> int:
    """Cores that this process may use; a batch system may have given it a few only."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
