"""Keeping triton out of a process in which Mesa draws, at least while our jobs run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "triton"
# What is counted belongs to the process, as sys.modules does.
_lock = threading.Lock()
_inside: list[object] = []


@contextmanager
def without_triton() -> Iterator[None]:
    """Let nothing import triton until all who are within have left.

    torch's optimisers look for triton, though nothing here compiles with it. Its LLVM
    and that of Mesa's software OpenGL, loaded into one process, end it with a
    segmentation fault. A triton that is there already stays. Where Mesa has loaded no
    LLVM, other plugins may import it when no job of ours runs.
    """
    mark = object()
    with _lock:
        if not _inside and _NAME in sys.modules:
            kept_out = False
        else:
            kept_out = True
            _inside.append(mark)
            sys.modules[_NAME] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if kept_out:
            with _lock:
                _inside.remove(mark)
                if not _inside and not _mesa_has_llvm():
                    sys.modules.pop(_NAME, None)


def _mesa_has_llvm(maps: Path = Path("/proc/self/maps")) -> bool:
    """Whether a shared LLVM is loaded into this process; triton has its own inside."""
    try:
        return "/libLLVM" in maps.read_text()
    except OSError:  # no Linux, where neither Mesa nor triton is usual
        return False
