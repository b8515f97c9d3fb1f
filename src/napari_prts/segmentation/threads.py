"""How many threads a pass of a network takes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any


class ThreadLimit:
    """Limits the threads of passes that the calling thread makes; others keep theirs.

    Parameters
    ----------
    threads : int or None
        None leaves it to PyTorch.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def limited(self) -> AbstractContextManager[Any]:
        """For as long as the context lasts, in the thread that entered it."""
        if self._threads is None:
            return nullcontext()
        limited: AbstractContextManager[Any] = self._pools.limit(limits=self._threads)
        return limited

    @cached_property
    def _pools(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController().select(user_api="openmp")
