"""Progress and cancelling of work that a library does with dask in one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

from napari_prts.jobs import Progress

# Seconds between two looks at how far it is.
_LOOK = 0.1


class _Stopped(Exception):
    """Ends a computation that nobody wants any more."""


class _Count:
    """Counts the tasks of a computation, and ends it when asked."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def begin(self, graph: Any, state: Any) -> None:
        self.done, self.total = 0, sum(len(state[name]) for name in ("ready", "waiting"))

    def step(self, *_: Any) -> None:
        self.done += 1
        if self.stop.is_set():
            raise _Stopped

    def run(self, work: Callable[[], object]) -> None:
        from dask.callbacks import Callback

        try:
            with Callback(start_state=self.begin, posttask=self.step):
                work()
        # Handed on to the thread that waits.
        except BaseException as error:
            self.error = error


def computing(work: Callable[[], object], unit: str) -> Generator[Progress, None, None]:
    """Do something in a thread of its own; tell how far dask is with it.

    Parameters
    ----------
    work : callable
        Calls dask's threaded scheduler, once or more often.
    unit : str
        What is counted.

    Yields
    ------
    Progress
        Ten times a second. Closing the generator ends the computation after the tasks that
        run now, and waits for that.
    """
    count = _Count()
    thread = threading.Thread(target=count.run, args=(work,), name="computing", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK)
            yield Progress(min(count.done, count.total), count.total, unit)
    finally:
        count.stop.set()
        thread.join()
    if count.error is not None:
        raise count.error
