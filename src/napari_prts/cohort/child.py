"""The process that does one slide: told by a line on stdin, telling by lines on stdout.

It ends at once when stdin closes, because whoever started it is gone then and may have
given the slide to another process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from napari_prts.cohort.failure import sentence
from napari_prts.cohort.outcome import SlideOutcome
from napari_prts.cohort.record import SlideRecord
from napari_prts.cohort.request import SlideTask
from napari_prts.jobs import Progress, run

_TELL_EVERY_S = 0.5
_ORPHAN, _TERMINATED = 3, 128 + signal.SIGTERM


def main() -> None:
    """Do the slide that stdin names."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(_TERMINATED))
    speech = _own_stdout()
    task = SlideTask.from_dict(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_starter, daemon=True).start()
    teller = _Teller(speech)
    _log(f"begins {task.entry.path}")
    try:
        outcome = run(_job(task), teller.progress)
    except Exception as error:
        traceback.print_exc()
        outcome = _failed(task, error, teller.step)
    _log(f"{outcome.status} {outcome.error}".rstrip())
    teller.say({"outcome": outcome.as_dict()})
    # Threads that other libraries have left must not keep the next slide waiting.
    sys.stderr.flush()
    os._exit(0)


def _job(task: SlideTask) -> Any:
    from napari_prts.cohort.slide_work import slide_job

    return slide_job(task)


def _failed(task: SlideTask, error: Exception, step: str) -> SlideOutcome:
    """Tell why a slide ended, and what its steps had found until then."""
    from napari_prts.cohort.slide_work import outcome_of

    # Before the first step begins the record may be that of other inputs.
    record = SlideRecord.read(Path(task.folder)) if step else None
    return outcome_of(task.entry, record.steps if record else {}, *sentence(error))


def _own_stdout() -> TextIO:
    """Keep stdout for the lines of this protocol: what libraries print goes to the log."""
    speech = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return speech


def _end_with_starter() -> None:
    # Not through sys.stdin: a thread that waits inside its lock would block the process's end.
    while os.read(0, 4096):
        pass
    os._exit(_ORPHAN)


def _log(text: str) -> None:
    """Write a line to the slide's log, which is where stderr goes."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


class _Teller:
    """Tells progress now and then, and each step's beginning in the log.

    ``step`` is the one that runs; empty before the first.
    """

    def __init__(self, speech: TextIO) -> None:
        self._speech = speech
        self.step = ""
        self._told_at = 0.0

    def progress(self, progress: Progress) -> None:
        """Tell progress; most of it is left out."""
        step = str(progress.partial)
        new = step != self.step
        if new:
            _log(step)
            self.step = step
        now = time.monotonic()
        if new or now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            values = {"step": step, "done": progress.done, "total": progress.total}
            self.say({"progress": {**values, "unit": progress.unit}})

    def say(self, values: dict[str, Any]) -> None:
        """Write a line."""
        self._speech.write(json.dumps(values) + "\n")
        self._speech.flush()


if __name__ == "__main__":
    main()
