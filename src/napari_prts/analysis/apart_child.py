"""The process of :class:`~napari_prts.analysis.apart.Apart`: one step after the other.

Requests come pickled on stdin, replies leave pickled on stdout. It ends when stdin closes,
because whoever started it is gone then.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

from napari_prts.analysis.graph_steps import (
    LeidenGraph,
    Tell,
    layout,
    neighbour_graph,
    principal_components,
)

# Predicted, measured and both together.
_GRAPHS_KEPT = 3


class Worker:
    """Does the steps and keeps the graphs used last."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[str, LeidenGraph] = OrderedDict()

    def components(self, tell: Tell, values: Any, count: int, seed: int) -> Any:
        """As :func:`~napari_prts.analysis.graph_steps.principal_components`."""
        return principal_components(values, count, seed)

    def neighbours(self, tell: Tell, components: Any, neighbours: int, seed: int) -> Any:
        """As :func:`~napari_prts.analysis.graph_steps.neighbour_graph`."""
        return neighbour_graph(components, neighbours, seed)

    def leiden(
        self, tell: Tell, key: str, connectivities: Any, resolution: float, seed: int
    ) -> Any:
        """Cut a graph; ``connectivities`` is None if the graph was given before."""
        if key not in self._graphs:
            if connectivities is None:
                return None
            self._graphs[key] = LeidenGraph(connectivities)
        self._graphs.move_to_end(key)
        while len(self._graphs) > _GRAPHS_KEPT:
            self._graphs.popitem(last=False)
        return self._graphs[key].groups(resolution, seed)

    def umap(self, tell: Tell, components: Any, connectivities: Any, seed: int) -> Any:
        """As :func:`~napari_prts.analysis.graph_steps.layout`."""
        return layout(components, connectivities, seed, tell)


STEPS: dict[str, Callable[..., Any]] = {
    "components": Worker.components,
    "neighbours": Worker.neighbours,
    "leiden": Worker.leiden,
    "umap": Worker.umap,
}


def main() -> None:
    """Answer requests until stdin closes."""
    speech = _own_stdout()
    worker = Worker()
    while True:
        try:
            number, step, given = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        kind, value = _done(worker, number, step, given, speech)
        _say(speech, (number, kind, value))


def _done(
    worker: Worker, number: int, step: str, given: dict[str, Any], speech: BinaryIO
) -> tuple[str, Any]:
    def tell(done: int, total: int) -> None:
        _say(speech, (number, "progress", (done, total)))

    # Whatever fails is told to who asked; the process goes on.
    try:
        return "result", STEPS[step](worker, tell, **given)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def _say(speech: BinaryIO, message: tuple[int, str, Any]) -> None:
    pickle.dump(message, speech, protocol=5)
    speech.flush()


def _own_stdout() -> BinaryIO:
    """Keep stdout for replies: what libraries print goes to the log."""
    speech = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return speech


if __name__ == "__main__":
    main()
