"""How fast a job goes now, and so how long it still takes."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

# What is looked back on, in seconds: long enough to be steady, short enough to forget
# another part of the slide, or another load of the machine.
_BACK = 10.0
# Reports closer than this are taken together: a busy window handles several at once,
# and their times then say nothing.
_APART = 0.5
_FEWEST = 4


class Pace:
    """The speed of the last ten seconds of work.

    It is the median over time: what is had at once, because it was computed before,
    says nothing about the rest. Time while the job is paused does not count.

    All times are seconds of one steady clock, given by the caller.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._held_since: float | None = None
        self._held = 0.0

    def add(self, now: float, done: int) -> None:
        """Take a report.

        Parameters
        ----------
        now : float
            When it came.
        done : int
            Steps done by then. Fewer than before begin a new count.
        """
        at = self._worked(now)
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()
        if not self._samples or self._is_news(at, done):
            self._samples.append((at, done))
        while len(self._samples) > _FEWEST and self._samples[1][0] < at - _BACK:
            self._samples.popleft()

    def hold(self, now: float) -> None:
        """Stop the clock."""
        if self._held_since is None:
            self._held_since = now

    def go_on(self, now: float) -> None:
        """Let the clock go on."""
        if self._held_since is not None:
            self._held += now - self._held_since
            self._held_since = None

    def seconds_left(self, done: int, total: int) -> float | None:
        """Say how long the rest takes.

        Parameters
        ----------
        done, total : int
            Steps done and to do.

        Returns
        -------
        float or None
            Seconds; None while nothing can be said.
        """
        speed = self._speed()
        return (total - done) / speed if speed is not None and total else None

    def _is_news(self, at: float, done: int) -> bool:
        before, so_far = self._samples[-1]
        return done > so_far and at - before >= _APART

    def _worked(self, now: float) -> float:
        return (now if self._held_since is None else self._held_since) - self._held

    def _speed(self) -> float | None:
        spans = [
            ((after - before) / (late - early), late - early)
            for (early, before), (late, after) in pairwise(self._samples)
        ]
        # The first half second may be all that was computed before.
        worked = sum(span for _, span in spans)
        if not spans or (len(spans) == 1 and worked < 2.0):
            return None
        passed = 0.0
        for speed, span in sorted(spans):
            passed += span
            if passed >= worked / 2:
                return speed
        return None
