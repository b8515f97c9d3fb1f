"""What the benchmarks share: the form of a figure, a fresh process, the folder of shared data."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

Result = TypeVar("Result")

# How often memory is looked at.
SAMPLE_SECONDS = 0.01
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def show_cost(
    name: str,
    ours: float,
    baseline: float,
    unit: str,
    target: str | None,
    ratio: float | None = None,
) -> None:
    """Print one figure of which less is better, such as seconds or megabytes.

    Parameters
    ----------
    name, unit : str
        What was measured, and in what.
    ours, baseline : float
        The two measurements, of the same run.
    target : str or None
        What is asked for, such as ``"ours < 0.3"`` or ``"ratio >= 2.5"``.
    ratio : float, optional
        Baseline over ours, where it is the median of several rounds; by default
        that of the two numbers.
    """
    line = {
        "name": name,
        "ours": float(f"{ours:.4g}"),
        "baseline": float(f"{baseline:.4g}"),
        "ratio": round(float(baseline / ours if ratio is None else ratio), 3),
        "unit": unit,
        "target": target,
    }
    print(json.dumps(line), flush=True)


def tell(message: str) -> None:
    """Say how far it is, out of the way of the figures."""
    print(message, file=sys.stderr, flush=True)


def in_fresh_process(
    function: Callable[..., Result], *given: Any, environment: dict[str, str] | None = None
) -> Result:
    """Call a function in a new Python that has imported and cached nothing yet.

    Parameters
    ----------
    function : callable
        At the top of a module, so that the new process finds it.
    *given
        Its arguments.
    environment : dict of str, optional
        Environment variables of the new process.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, _set_environment, (environment or {},)) as pool:
        return pool.submit(function, *given).result()


def _set_environment(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def seconds_of(work: Callable[[], object]) -> float:
    """Time one call."""
    started = perf_counter()
    work()
    return perf_counter() - started


class PeakMemory:
    """Watches how much memory this process has resident; idle is what it has when made."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._stop = threading.Event()
        self._idle = self._peak = self._now()

    def _now(self) -> int:
        return int(self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, self._now())

    def during(self, work: Callable[[], object]) -> float:
        """Return by how many megabytes the process grew above idle at most."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            work()
        finally:
            self._stop.set()
            thread.join()
        return (max(self._peak, self._now()) - self._idle) / 1e6
