"""Silence for what other packages say about themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore scanpy's warnings of coming changes and of small data; its errors still raise."""
    with warnings.catch_warnings():
        for category in (FutureWarning, UserWarning, RuntimeWarning):
            warnings.simplefilter("ignore", category)
        yield
