"""Changes of a study's nuclei, as a journal keeps them and as they are done again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei import History, Nuclei, Source

Arrays = Mapping[str, NDArray[Any]]

EDIT, WHOLE, UNDO, REDO = "edit", "whole", "undo", "redo"


@dataclass(frozen=True, eq=False)
class Change:
    """One thing that was done to the nuclei.

    Parameters
    ----------
    what : str
        ``"edit"``, ``"whole"`` (all nuclei replaced), ``"undo"`` or ``"redo"``.
    facts : dict
        Small things that JSON can hold: ``label``, ``count`` of nuclei afterwards, ...
    arrays : callable
        Gives outlines and ids; called when they are written or done again, so that a
        million nuclei cost the caller nothing.
    size : int
        About how many bytes the arrays take.
    aside : Path, optional
        File that holds the arrays already.
    at : datetime
        When (UTC).
    """

    what: str
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: Callable[[], Arrays] = dict
    size: int = 0
    aside: Path | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_step(self) -> bool:
        """Whether this is a step of its own, not an undo or a redo of one."""
        return self.what in (EDIT, WHOLE)


def edited(
    before: Nuclei,
    after: Nuclei,
    removed: Sequence[int] | NDArray[np.integer],
    added: Sequence[ArrayLike] | Nuclei,
    replaced: Mapping[int, ArrayLike],
    label: str,
    source: Source,
) -> Change:
    """Describe an edit by what was asked for; doing it again gives the same nuclei.

    Parameters
    ----------
    before, after : Nuclei
        The nuclei around the edit.
    removed : sequence of int
        Ids that left.
    added : sequence of array-like of shape (k, 2), or Nuclei
        Outlines that came; (row, column) in level-0 pixels.
    replaced : mapping of int to array-like of shape (k, 2)
        New outlines by id.
    label : str
        Name of the step.
    source : Source
        What the added nuclei are said to be.
    """
    facts = {
        "label": label,
        "source": int(source),
        "ids_from": before.next_id,
        "count": len(after),
    }
    gone = np.array(removed, np.int64)
    if isinstance(added, Nuclei):
        size = gone.nbytes + _size(added)
        return Change(EDIT, facts, partial(_segmented_arrays, gone, added), size)
    arrays = {
        "removed": gone,
        "replaced": np.array(list(replaced), np.int64),
        **_laid_out("added", added),
        **_laid_out("reshaped", list(replaced.values())),
    }
    ordered = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    return Change(EDIT, facts, lambda: ordered, sum(a.nbytes for a in arrays.values()))


def whole(
    before: Nuclei, after: Nuclei, given: Nuclei, provenance: Mapping[str, Any], label: str
) -> Change:
    """Describe that all nuclei were replaced by those given."""
    facts = {
        "label": label,
        "ids_from": before.next_id,
        "next_id": given.next_id,
        "count": len(after),
        "provenance": dict(provenance),
    }
    return Change(WHOLE, facts, partial(_arrays_of, given), _size(given))


def undone(after: Nuclei) -> Change:
    """Describe that the last step was taken back."""
    return Change(UNDO, {"count": len(after)})


def redone(after: Nuclei) -> Change:
    """Describe that the last undone step was done again."""
    return Change(REDO, {"count": len(after)})


def do_again(change: Change, history: History) -> None:
    """Do a change in another history.

    Raises
    ------
    NucleiError
        If it does not fit the nuclei there, or its arrays cannot be read.
    """
    if change.what == UNDO:
        history.undo()
    elif change.what == REDO:
        history.redo()
    else:
        _use_up_ids(history, int(change.facts["ids_from"]))
        _step(change, history)
    if len(history.current) != change.facts["count"]:
        raise NucleiError(
            f"A saved correction ({change.facts.get('label', change.what)}) leads to "
            f"{len(history.current):,} nuclei and not to {change.facts['count']:,} as it did: "
            "the journal does not belong together."
        )


def folded(changes: Iterable[Change]) -> list[Change]:
    """Leave out what neither undo nor redo can reach any more.

    Parameters
    ----------
    changes : iterable of Change
        From the first on.

    Returns
    -------
    list of Change
        They lead to the same nuclei with the same steps to undo and to redo.
    """
    done: list[Change] = []
    taken_back: list[tuple[Change, Change]] = []
    for change in changes:
        if change.what == UNDO:
            taken_back.append((done.pop(), change))
        elif change.what == REDO:
            done.append(taken_back.pop()[0])
        else:
            taken_back.clear()
            done.append(change)
    again = [step for step, _ in reversed(taken_back)]
    return done + again + [undo for _, undo in taken_back]


class Reach:
    """Counts how many bytes undo and redo can reach, and how many they cannot."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._undone: list[int] = []
        self._used = self._lost = 0

    def worth_folding(self, least: int) -> bool:
        """Whether more than ``least`` bytes, and more than the rest, are out of reach."""
        return self._lost > max(least, self._used)

    def note(self, change: Change) -> None:
        """Count a change that was written."""
        size = change.size + 256
        if change.what == UNDO:
            self._undone.append(self._done.pop())
            self._lost += size
        elif change.what == REDO:
            self._done.append(self._undone.pop())
            self._lost += size
        else:
            self._lost += sum(self._undone)
            self._used += size - sum(self._undone)
            self._undone.clear()
            self._done.append(size)


def _step(change: Change, history: History) -> None:
    arrays, label = change.arrays(), str(change.facts["label"])
    if change.what == WHOLE:
        history.reset(_nuclei_of(arrays, int(change.facts["next_id"])), label)
        return
    ids = arrays["replaced"].tolist() if "replaced" in arrays else []
    reshaped = _polygons("reshaped", arrays) if ids else []
    history.edit(
        arrays["removed"],
        _polygons("added", arrays),
        dict(zip(ids, reshaped, strict=True)),
        label,
        Source(change.facts["source"]),
        arrays.get("scores"),
    )


def _use_up_ids(history: History, next_id: int) -> None:
    """Ids of steps that were folded away must not come back either."""
    if history.current.next_id < next_id:
        history.reset(Nuclei.empty().with_next_id(next_id), "")
        history.undo()


def _size(nuclei: Nuclei) -> int:
    # 32 vertices of 8 bytes, and 21 bytes beside them: near enough, and free.
    return 280 * len(nuclei)


def _arrays_of(nuclei: Nuclei) -> Arrays:
    return {
        "offsets": nuclei.offsets,
        "ids": nuclei.ids,
        "vertices": nuclei.vertices,
        "scores": nuclei.scores,
        "sources": nuclei.sources,
    }


def _segmented_arrays(removed: NDArray[np.int64], added: Nuclei) -> Arrays:
    return {
        "removed": removed,
        "added_offsets": added.offsets,
        "added": added.vertices,
        "scores": added.scores,
    }


def _nuclei_of(arrays: Arrays, next_id: int) -> Nuclei:
    names = ("vertices", "offsets", "ids", "scores", "sources")
    return Nuclei(*(arrays[name] for name in names), next_id)


def _laid_out(name: str, outlines: Sequence[ArrayLike]) -> dict[str, NDArray[Any]]:
    # Copies: a window goes on changing the array that it gave.
    points = [np.array(outline, np.float32) for outline in outlines]
    lengths = [len(array) for array in points]
    return {
        f"{name}_offsets": np.cumsum([0, *lengths]).astype(np.int64),
        name: np.concatenate([np.zeros((0, 2), np.float32), *points]),
    }


def _polygons(name: str, arrays: Arrays) -> list[NDArray[np.float32]]:
    return (
        np.split(arrays[name], arrays[f"{name}_offsets"][1:-1])
        if len(arrays[f"{name}_offsets"]) > 1
        else []
    )
