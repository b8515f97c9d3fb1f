"""A process beside this one for steps that would make the window stand still.

Whoever has a window makes one :class:`Apart`, gives it to the jobs of clustering and closes it
in the end. It starts when first asked, keeps what it has loaded and the last graphs, and is
ended and started again when a long step is cancelled. Command line and tests do without.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Generator
from queue import Empty, SimpleQueue
from typing import Any

from napari_prts.errors import ExpressionError

# A cancelled job is heard within it.
_LOOK_EVERY_S = 0.1
_MODULE = "napari_prts.analysis.apart_child"
_HOW_TO_GO_ON = "Try again; if it happens again, there may be too little memory."


class Apart:
    """A process that does one step after the other.

    One job at a time may ask; another waits for its turn.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._replies: SimpleQueue[tuple[int, str, Any]] = SimpleQueue()
        self._turn = threading.Lock()
        self._number = 0
        self._awaited: int | None = None
        self._known: set[str] = set()

    def knows(self, key: str) -> bool:
        """Whether the running process was given the graph of that name."""
        return self._running() and key in self._known

    def ask(
        self, step: str, given: dict[str, Any], key: str = "", long: bool = True
    ) -> Generator[tuple[int, int], None, Any]:
        """Have a step done.

        Parameters
        ----------
        step : str
            A name of :data:`napari_prts.analysis.apart_child.STEPS`.
        given : dict
            Its arguments: arrays and numbers.
        key : str
            Name of the graph that it will know from now on.
        long : bool
            Whether to end the process when the step is cancelled. A short step is left to
            finish unheard, which is quicker than to start again.

        Yields
        ------
        tuple of int
            How many of how many rounds are done, at least ten times a second; (0, 0) while
            that is unknown.

        Returns
        -------
        object
            What the step returns.

        Raises
        ------
        ExpressionError
            If the process ended or the step failed.
        """
        while not self._turn.acquire(timeout=_LOOK_EVERY_S):
            yield 0, 0
        try:
            yield from self._finish_last()
            self._send(step, given)
            result = yield from self._heard()
            if key:
                self._known.add(key)
            return result
        except GeneratorExit:
            if long:
                self.close()
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process; it is started again when asked next."""
        child, self._child, self._awaited = self._child, None, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _start(self) -> subprocess.Popen[bytes]:
        # Not multiprocessing: its children import the program that started them, all of napari.
        child = subprocess.Popen(
            # Nothing from the folder that the user happens to be in.
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # On Windows no console opens.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._known = set()
        self._replies = SimpleQueue()
        threading.Thread(
            target=_listen, args=(child.stdout, self._replies), name="apart", daemon=True
        ).start()
        return child

    def _finish_last(self) -> Generator[tuple[int, int], None, None]:
        """Wait for a step that nobody listens to any more."""
        if self._awaited is not None:
            with contextlib.suppress(ExpressionError):
                for _ in self._heard():
                    yield 0, 0

    def _send(self, step: str, given: dict[str, Any]) -> None:
        if not self._running():
            self.close()
            self._child = self._start()
        assert self._child is not None
        assert self._child.stdin is not None
        self._number += 1
        self._awaited = self._number
        try:
            pickle.dump((self._number, step, given), self._child.stdin, protocol=5)
            self._child.stdin.flush()
        except OSError as error:
            self.close()
            raise ExpressionError(
                f"The process that groups cells cannot be reached ({error}). {_HOW_TO_GO_ON}"
            ) from error

    def _heard(self) -> Generator[tuple[int, int], None, Any]:
        while True:
            try:
                about, kind, value = self._replies.get(timeout=_LOOK_EVERY_S)
            except Empty:
                yield 0, 0
                continue
            if kind == "ended":
                self.close()
                raise ExpressionError(
                    f"The process that groups cells ended unexpectedly. {_HOW_TO_GO_ON}"
                )
            if about != self._awaited:
                continue
            if kind == "progress":
                yield value
                continue
            self._awaited = None
            if kind == "error":
                raise ExpressionError(f"The cells could not be grouped: {value}.")
            return value


def _listen(pipe: Any, replies: SimpleQueue[tuple[int, str, Any]]) -> None:
    """Hand on what the process says until it ends, so that whoever waits need not block."""
    # A killed process may leave half a message; a closed pipe is a ValueError.
    with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
        while True:
            replies.put(pickle.load(pipe))
    replies.put((0, "ended", None))
