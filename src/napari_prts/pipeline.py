"""Steps of work that run side by side, each in threads of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

# How long a cancelled run waits for work in progress. What takes longer, such as a pass of the
# network on a slow machine, ends by itself and its result is thrown away.
_PATIENCE_S = 0.3


@dataclass(frozen=True)
class Step:
    """One step of the work.

    Parameters
    ----------
    work : callable
        Takes what the step before gives. Most of it should be compiled code that
        lets other threads run.
    threads : int
        How many do it at the same time; with more than one, the order may change.
    """

    work: Callable[[Any], Any]
    threads: int = 1


def overlapped(
    items: Iterable[Any],
    *steps: Step,
    ahead: int = 1,
    pulse: float | None = None,
    patience: float = _PATIENCE_S,
) -> Generator[Any, None, None]:
    """Send items through steps that work at the same time.

    Closing the generator stops all threads: nothing new is begun, and what waits is
    dropped. It returns at once, though a step in the middle of its work still ends
    that one item in its thread.

    Parameters
    ----------
    items : iterable
        Taken in the first step's threads, one at a time.
    steps : Step
        The first takes an item, each other what the one before gives.
    ahead : int
        Results that may wait between two steps: memory does not grow with the items.
    pulse : float, optional
        Seconds after which :data:`PULSE` is yielded if nothing else is there, so that
        whoever waits can close the generator.
    patience : float
        Seconds that closing waits for the threads to end their steps.

    Yields
    ------
    object
        What the last step gives, or :data:`PULSE`.

    Raises
    ------
    Exception
        The first that an item or a step raises, once; all threads are stopped then.
    """
    run = _Run()
    lanes = [_Lane(run, ahead) for _ in steps]
    threads = []
    source: _Source = _Supply(run, iter(items))
    for number, (step, lane) in enumerate(zip(steps, lanes, strict=True)):
        lane.writers = step.threads
        for _ in range(step.threads):
            work = _Worker(run, source, step.work, lane)
            threads.append(threading.Thread(target=work, name=f"step {number + 1}"))
        source = lane
    for thread in threads:
        thread.start()
    try:
        while (found := source.take(pulse)) is not _END:
            yield found
        if run.error is not None:
            raise run.error
    finally:
        run.stop()
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


PULSE: Any = object()
_END: Any = object()


class _Run:
    """What all threads of a run share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.stopped = False
        self.error: BaseException | None = None

    def stop(self, error: BaseException | None = None) -> None:
        with self.changed:
            if not self.stopped:
                self.error = error
            self.stopped = True
            self.changed.notify_all()


class _Source:
    def take(self, patience: float | None = None) -> Any:
        """Return the next item, ``_END``, or ``PULSE`` after so many seconds."""
        raise NotImplementedError


class _Supply(_Source):
    """The items, safe to take from several threads."""

    def __init__(self, run: _Run, items: Any) -> None:
        self._run, self._items = run, items
        self._lock = threading.Lock()

    def take(self, patience: float | None = None) -> Any:
        with self._lock:
            return _END if self._run.stopped else next(self._items, _END)


class _Lane(_Source):
    """A short queue between two steps; it ends when all its writers have."""

    def __init__(self, run: _Run, room: int) -> None:
        self._run, self._room = run, room
        self._waiting: deque[Any] = deque()
        self.writers = 0

    def put(self, item: Any) -> None:
        with self._run.changed:
            self._run.changed.wait_for(lambda: self._run.stopped or len(self._waiting) < self._room)
            if not self._run.stopped:
                self._waiting.append(item)
                self._run.changed.notify_all()

    def take(self, patience: float | None = None) -> Any:
        with self._run.changed:
            came = self._run.changed.wait_for(
                lambda: self._run.stopped or self._waiting or not self.writers, patience
            )
            if not came:
                return PULSE
            if self._run.stopped or not self._waiting:
                return _END
            item = self._waiting.popleft()
            self._run.changed.notify_all()
            return item

    def leave(self) -> None:
        """Tell that a writer has no more."""
        with self._run.changed:
            self.writers -= 1
            self._run.changed.notify_all()


class _Worker:
    """What a thread does: take, work, put."""

    def __init__(self, run: _Run, source: _Source, work: Callable[[Any], Any], lane: _Lane) -> None:
        self._run, self._source, self._work, self._lane = run, source, work, lane

    def __call__(self) -> None:
        try:
            while (item := self._source.take()) is not _END:
                result = self._work(item)
                # A large item shall not stay while the thread waits for room.
                del item
                self._lane.put(result)
                del result
        except BaseException as error:
            # It is raised where the run is awaited.
            self._run.stop(error)
        finally:
            self._lane.leave()
