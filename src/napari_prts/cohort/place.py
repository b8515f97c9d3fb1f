"""Where slides are done: on this computer, or on a cluster."""

from __future__ import annotations

from typing import Protocol

from napari_prts.cohort.outcome import SlideOutcome, StepProgress
from napari_prts.cohort.request import SlideTask

Event = StepProgress | SlideOutcome


class Place(Protocol):
    """Does several slides at once."""

    def capacity(self) -> int:
        """Slides that can be done at once now; may change."""

    def start(self, task: SlideTask) -> None:
        """Begin a slide, without waiting."""

    def next_event(self, timeout_s: float) -> Event | None:
        """Wait for the next event; None if there was none in so many seconds."""

    def close(self) -> None:
        """End all slides that are not done, and wait until their processes are gone."""
