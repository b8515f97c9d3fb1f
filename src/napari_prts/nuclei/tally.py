"""Counting corrections as they are made."""

from __future__ import annotations

from dataclasses import dataclass

from napari_prts.nuclei.table import Nuclei


@dataclass(frozen=True)
class EditCounts:
    """How many nuclei differ from those that were last set as a whole.

    A nucleus that was added and removed again counts nowhere, and one that was
    edited and then removed counts as removed.
    """

    added: int
    edited: int
    removed: int


class Tally:
    """Keeps count of steps in both directions, so that no count looks at all of them.

    Only nuclei that a step touched are known, by the hashes of their outlines: as
    they were before any step, and as they are now; None where there is none.
    """

    def __init__(self) -> None:
        self._before: dict[int, str | None] = {}
        self._now: dict[int, str | None] = {}
        self._counts = {"added": 0, "edited": 0, "removed": 0}
        # What was known of the nuclei of each step of the machine's, the last one last.
        self._adopted: list[dict[int, tuple[str | None, str | None]]] = []

    @property
    def counts(self) -> EditCounts:
        """The counts now."""
        return EditCounts(**self._counts)

    def exchange(self, gone: Nuclei, came: Nuclei) -> None:
        """Take note that some nuclei left and others came, also in undoing a step."""
        left = dict(zip(gone.ids.tolist(), gone.hashes.tolist(), strict=True))
        there = dict(zip(came.ids.tolist(), came.hashes.tolist(), strict=True))
        for id_ in left | there:
            before = self._before.setdefault(id_, left.get(id_))
            self._count(before, self._now.get(id_, before), -1)
            self._now[id_] = there.get(id_)
            self._count(before, self._now[id_], +1)

    def adopt(self, gone: Nuclei, came: Nuclei) -> None:
        """Take note of a step that no hand made: what came is where corrections begin."""
        left = dict(zip(gone.ids.tolist(), gone.hashes.tolist(), strict=True))
        there = dict(zip(came.ids.tolist(), came.hashes.tolist(), strict=True))
        known = {}
        for id_ in left | there:
            before = self._before.get(id_, left.get(id_))
            known[id_] = before, self._now.get(id_, before)
            self._know(id_, known[id_], (there.get(id_), there.get(id_)))
        self._adopted.append(known)

    def disown(self) -> None:
        """Take back the last :meth:`adopt`."""
        for id_, known in self._adopted.pop().items():
            self._know(id_, (self._before[id_], self._now[id_]), known)

    def _know(
        self, id_: int, old: tuple[str | None, str | None], new: tuple[str | None, str | None]
    ) -> None:
        self._count(*old, -1)
        self._count(*new, +1)
        self._before[id_], self._now[id_] = new

    def _count(self, before: str | None, now: str | None, by: int) -> None:
        if before == now:
            return
        kind = "added" if before is None else "removed" if now is None else "edited"
        self._counts[kind] += by
