"""A cohort, slide by slide: what is waiting, what runs, what is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace

from napari_prts.cohort.lock import only_batch
from napari_prts.cohort.outcome import FAILED, LOST, SlideOutcome
from napari_prts.cohort.place import Event, Place
from napari_prts.cohort.request import BatchRequest, SlideEntry, SlideTask
from napari_prts.cohort.summary import write_summary
from napari_prts.jobs import Job, Progress

_PULSE_S = 0.5


def run_batch(
    request: BatchRequest, make_place: Callable[[], Place]
) -> Job[tuple[SlideOutcome, ...]]:
    """Do all slides of a cohort.

    A slide that fails stops no other. One whose process ends without a word or has too
    little memory is tried once more, at the end and with no other beside it. Closing the
    job ends what is running; what is done is kept, and the same request goes on from there.

    Parameters
    ----------
    request : BatchRequest
        The slides, how, and where the results go.
    make_place : callable
        Gives where they are done, once the output folder is ours: a
        :class:`~napari_prts.cohort.LocalPlace` or :class:`~napari_prts.cohort.ClusterPlace`.

    Yields
    ------
    Progress
        In slides; ``partial`` is a StepProgress, the SlideOutcome of a slide that has ended,
        or None.

    Returns
    -------
    tuple of SlideOutcome
        In the order of the request.

    Raises
    ------
    PrtsError
        If another batch is writing to the folder, or there is no place to work at.
    OSError
        If the summary cannot be written in the end.
    """
    with only_batch(request.output), closing(make_place()) as place:
        cohort = _Cohort(request, place)
        yield cohort.progress(None)
        while not cohort.is_over():
            cohort.start_some()
            event = place.next_event(_PULSE_S)
            if event is not None:
                event = cohort.take(event)
            # Without an event too: whoever drives the job may want to end it.
            yield cohort.progress(event)
        write_summary(request.output, cohort.outcomes(), waiting=())
        return cohort.outcomes()


class _Cohort:
    """Slides that wait, run, have ended."""

    def __init__(self, request: BatchRequest, place: Place) -> None:
        self._request = request
        self._place = place
        self._waiting = deque(request.slides)
        self._again: deque[SlideEntry] = deque()
        self._running: dict[str, SlideEntry] = {}
        self._lost: set[str] = set()
        self._ended: dict[str, SlideOutcome] = {}

    def is_over(self) -> bool:
        """Whether all have ended."""
        return not (self._waiting or self._again or self._running)

    def progress(self, event: Event | None) -> Progress:
        """How far the cohort is."""
        failed = sum(not outcome.done for outcome in self._ended.values())
        note = f"{failed} failed" if failed else ""
        return Progress(len(self._ended), len(self._request.slides), "slides", note, event)

    def outcomes(self) -> tuple[SlideOutcome, ...]:
        """Those that have ended, in the order of the request."""
        names = (entry.name for entry in self._request.slides)
        return tuple(self._ended[name] for name in names if name in self._ended)

    def start_some(self) -> None:
        """Begin as many slides as there is room for."""
        while self._waiting and len(self._running) < self._place.capacity():
            self._start(self._waiting.popleft())
        # Alone: what did not fit beside others may fit now.
        if self._again and not self._running:
            self._start(self._again.popleft())

    def take(self, event: Event) -> Event | None:
        """Take in what has happened; None if the user need not know."""
        if not isinstance(event, SlideOutcome):
            return event
        entry = self._running.pop(event.name)
        if event.status == LOST and event.name not in self._lost:
            self._lost.add(event.name)
            self._again.append(entry)
            return None
        attempts = 2 if event.name in self._lost else 1
        status = FAILED if event.status == LOST else event.status
        self._ended[event.name] = outcome = replace(event, status=status, attempts=attempts)
        # A full disk is told at the end, if it is still full then; slides elsewhere go on.
        with suppress(OSError):
            write_summary(self._request.output, self.outcomes(), self._unfinished())
        return outcome

    def _unfinished(self) -> tuple[SlideEntry, ...]:
        return tuple(entry for entry in self._request.slides if entry.name not in self._ended)

    def _start(self, entry: SlideEntry) -> None:
        folder = self._request.output / entry.name
        self._running[entry.name] = entry
        self._place.start(SlideTask(entry, self._request.settings, str(folder)))
