"""Slides done by the workers of a dask.distributed cluster.

Workers must see the slides, the model and the output folder under the same paths, and
have the same version of this package. A worker does a slide in a process of its own, which
ends with the worker or when the slide is no longer wanted.
"""

from __future__ import annotations

import queue
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts import __version__
from napari_prts.cohort.outcome import FAILED, LOST, SlideOutcome, StepProgress
from napari_prts.cohort.request import SlideTask
from napari_prts.cohort.supervising import Supervisor
from napari_prts.errors import PrtsError

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_EVERY_S = 1.0
_ANSWER_WITHIN_S = 15.0


class ClusterPlace:
    """Does a slide on each worker of a cluster.

    Parameters
    ----------
    address : str
        Of the scheduler (``tcp://host:8786``), or a scheduler file.
    paths : iterable of path
        What every worker must see: the model, the output folder.

    Raises
    ------
    PrtsError
        If distributed is not installed, no scheduler answers, there is no worker, or the
        workers have another version or other files.
    """

    def __init__(self, address: str, *paths: Path) -> None:
        self._client = _connected(address)
        self._topic = f"napari-prts-{uuid.uuid4().hex}"
        self._events: queue.Queue[StepProgress | SlideOutcome] = queue.Queue()
        self._futures: dict[str, Future[dict[str, Any]]] = {}
        try:
            _check_workers(self._client, [str(path) for path in paths])
            self._client.subscribe_topic(self._topic, self._heard)
        except BaseException:
            self._client.close()
            raise

    def capacity(self) -> int:
        """One slide a worker, however many threads it has; 1 while there is no worker."""
        with suppress(OSError):
            return max(1, len(self._client.nthreads()))
        # The scheduler does not answer: next_event() tells, if it has gone for good.
        return 1

    def start(self, task: SlideTask) -> None:
        """Begin a slide on some worker."""
        key = f"napari-prts-{task.entry.name}-{uuid.uuid4().hex}"
        future = self._client.submit(
            do_slide, task.as_dict(), self._topic, key=key, pure=False, retries=0
        )
        self._futures[task.entry.name] = future
        # After it is in the list: the slide may have ended already.
        future.add_done_callback(lambda future: self._ended(task, future))

    def next_event(self, timeout_s: float) -> StepProgress | SlideOutcome | None:
        """Wait for the next event."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise PrtsError(
                    "The connection to the dask scheduler was lost: slides that are done are "
                    "kept; run again when the cluster is back."
                ) from None
            return None
        if isinstance(event, SlideOutcome):
            self._futures.pop(event.name, None)
        return event

    def close(self) -> None:
        """Give up what is running: the workers notice within a second or two."""
        futures = list(self._futures.values())
        self._futures.clear()
        with suppress(Exception):
            self._client.cancel(futures, force=True)
        self._client.close()

    def _heard(self, event: tuple[float, Any]) -> None:
        # Beside ours are keys that distributed adds.
        said = StepProgress(**event[1]["said"])
        if said.name in self._futures:
            self._events.put(said)

    def _ended(self, task: SlideTask, future: Future[dict[str, Any]]) -> None:
        entry = task.entry
        if entry.name not in self._futures:
            # Given up by close().
            return
        if future.cancelled():
            why = "The cluster gave this slide up, perhaps because its scheduler was restarted."
            self._events.put(SlideOutcome(entry.name, entry.path, LOST, why))
        elif (error := future.exception()) is not None:
            self._events.put(SlideOutcome(entry.name, entry.path, FAILED, _why(error)))
        else:
            self._events.put(SlideOutcome.from_dict(future.result()))


def do_slide(values: dict[str, Any], topic: str) -> dict[str, Any]:
    """Do a slide on a worker; a function that distributed sends there.

    Parameters
    ----------
    values : dict
        The :class:`SlideTask`.
    topic : str
        Under which progress is told.

    Returns
    -------
    dict
        The :class:`SlideOutcome`.
    """
    from distributed import get_worker

    task, worker = SlideTask.from_dict(values), get_worker()
    key = worker.get_current_task()
    supervisor = Supervisor(task, int(worker.state.nthreads))
    over = threading.Event()

    def wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    def watch() -> None:
        # A task that runs is not stopped by distributed when its client has left.
        while not over.wait(_LOOK_EVERY_S):
            if not wanted():
                supervisor.stop()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        outcome = supervisor.run(lambda told: worker.log_event(topic, {"said": vars(told)}))
    finally:
        over.set()
    return outcome.as_dict()


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise PrtsError(
            "dask.distributed is not installed, which --scheduler needs: "
            'pip install "napari-prts[cluster]".'
        ) from error
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        return Client(**where, timeout=_ANSWER_WITHIN_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise PrtsError(
            f"No dask scheduler answers at {address} ({type(error).__name__}): give the address "
            "that dask scheduler prints, such as tcp://host:8786, or its scheduler file."
        ) from error


def _look(paths: list[str]) -> dict[str, Any]:
    """Tell what a worker has; runs there."""
    return {"version": __version__, "missing": [p for p in paths if not Path(p).exists()]}


def _check_workers(client: Client, paths: list[str]) -> None:
    try:
        client.wait_for_workers(1, timeout=_ANSWER_WITHIN_S)
        found = client.run(_look, paths)
    except TimeoutError as error:
        raise PrtsError("The dask cluster has no workers: start some, then run again.") from error
    except ImportError as error:
        raise PrtsError(
            f"The workers of the dask cluster cannot import napari-prts ({error}): install the "
            "same version there."
        ) from error
    for worker, has in found.items():
        if has["missing"]:
            raise PrtsError(
                f"Worker {worker} does not see {has['missing'][0]}: the cluster needs the same "
                "file system under the same paths."
            )
        if has["version"] != __version__:
            raise PrtsError(
                f"Worker {worker} has napari-prts {has['version']}, this is {__version__}: "
                "install the same version on all."
            )


def _why(error: BaseException) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return (
            "Several workers that were doing this slide have died, most likely for lack of "
            "memory: give the workers more."
        )
    return " ".join(f"The cluster could not do this slide ({error}).".split())
