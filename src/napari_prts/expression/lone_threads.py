"""Threads that each compute by themselves, so that sums do not depend on how many there are."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Given = TypeVar("Given")
Found = TypeVar("Found")

_setting = threading.Lock()


class LoneThreads:
    """As many threads as PyTorch would use for one product, each of which makes its own.

    Two products side by side take as long as one by two threads after the other. But none
    waits for the other, on a machine that does other things too; and what is rounded how
    does not depend on the number of threads.

    Parameters
    ----------
    count : int, optional
        How many; by default PyTorch's number.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or torch.get_num_threads()
        # The threads end when nobody has a reference to the pool any more.
        self._pool = ThreadPoolExecutor(self.count, "lone", initializer=_compute_alone)
        # All begin now: what one of them sets for a moment must not meet with what others set.
        begun = threading.Barrier(self.count + 1)
        for _ in range(self.count):
            self._pool.submit(begun.wait)
        begun.wait()

    def do(self, work: Callable[[Given], Found], given: Given) -> Found:
        """Do one piece of work there, and wait for it."""
        return self._pool.submit(work, given).result()

    def each(
        self, work: Callable[[Given], Found], given: Iterable[Given]
    ) -> Generator[tuple[Given, Found], None, None]:
        """Do pieces of work side by side; give each with its result, in their order.

        Closing it waits for the pieces in progress, one a thread.
        """
        running: deque[tuple[Given, Future[Found]]] = deque()
        try:
            for piece in given:
                running.append((piece, self._pool.submit(work, piece)))
                # One more than there are threads, for none to wait while a result is looked at.
                if len(running) > self.count:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()
            for _, future in running:
                if not future.cancelled():
                    future.exception()


def _compute_alone() -> None:
    """Let the calling thread compute with no others, and all threads begun later as before."""
    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        # PyTorch gives the number set last to threads that are new, whoever has set it.
        restoring = threading.Thread(target=torch.set_num_threads, args=(before,))
        restoring.start()
        restoring.join()
