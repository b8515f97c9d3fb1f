"""Work in a thread, so that a job can be cancelled while it is being done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

# How long a job goes without asking whether it shall go on.
_PATIENCE_S = 0.2


@contextmanager
def one_worker() -> Iterator[ThreadPoolExecutor]:
    """Give a thread; what it does at the end is left to end by itself."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def patiently(
    worker: ThreadPoolExecutor, work: Callable[[], Result]
) -> Generator[None, None, Result]:
    """Do work in a thread and wait for it.

    A step of training takes several times as long on a busy machine as on a quiet one;
    who cancels shall not wait for it.

    Yields
    ------
    None
        Several times a second, until the work is done.

    Returns
    -------
    object
        What the work returns.

    Raises
    ------
    Exception
        What the work raises.
    """
    future = worker.submit(work)
    while not wait([future], _PATIENCE_S).done:
        yield
    return future.result()
