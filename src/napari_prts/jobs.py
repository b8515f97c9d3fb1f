"""Long work as plain generators.

A job takes a frozen request, yields :class:`Progress` and returns its result.
The command line drives it with :func:`run` under a progress bar, the window in
a thread; closing the generator cancels it between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Parameters
    ----------
    done, total : int
        Steps done and to do, ``done <= total``; total 0 while it is unknown.
    unit : str
        What is counted, in the plural: ``"tiles"``, ``"nuclei"``, ``"epochs"``.
    note : str
        A few words for the user; may be empty.
    partial : object
        What has been found so far or since the last report; its type is
        stated by the job.
    """

    done: int
    total: int
    unit: str
    note: str = ""
    partial: Any = None


Job = Generator[Progress, None, Result]


def run(job: Job[Result], report: Callable[[Progress], None] | None = None) -> Result:
    """Run a job to its end.

    Parameters
    ----------
    job : generator
        The job; it is closed if ``report`` raises.
    report : callable, optional
        Called with each :class:`Progress`.

    Returns
    -------
    object
        What the job returns.
    """
    try:
        while True:
            progress = next(job)
            if report is not None:
                report(progress)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        job.close()
