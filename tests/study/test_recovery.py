"""Whatever was done and however the program ended: the nuclei and their undo come back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.study import journal as journal_module
from napari_prts.study.journal_files import JOURNAL

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)
Outlines = dict[int, bytes]


def square(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return SQUARE + np.float32(number)


@dataclass
class Model:
    """What a study should be: outlines by id, and those before and after each step."""

    now: Outlines = field(default_factory=dict)
    past: list[Outlines] = field(default_factory=list)
    future: list[Outlines] = field(default_factory=list)

    def step(self, new: Outlines) -> Model:
        return Model(new, [*self.past, self.now], [])

    def undo(self) -> Model:
        return Model(self.past[-1], self.past[:-1], [*self.future, self.now])

    def redo(self) -> Model:
        return Model(self.future[-1], [*self.past, self.now], self.future[:-1])


class CrashingStudy(RuleBasedStateMachine):
    """Edits, undoes, redoes, replaces, saves, crashes and restores in any order."""

    @initialize(fold=st.sampled_from([0, 2000, 2**20]), inline=st.sampled_from([100, 2**18]))
    def open(self, fold: int, inline: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(journal_module, "FOLD", fold)
        self.patch.setattr(journal_module, "INLINE", inline)
        self.folder = tempfile.TemporaryDirectory()
        self.patch.setenv("NAPARI_PRTS_DATA", self.folder.name)
        self.slide = Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5)
        self.study = Study(self.slide)
        self.model = self.before = Model()
        self.begun = False
        self.given: set[int] = set()
        self.given_before: set[int] = set()
        # Length of the journal before the last change, if that can be torn.
        self.torn_from: int | None = None

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.study.autosave.wait()
            self.patch.undo()
            self.folder.cleanup()

    def settle(self) -> tuple[int, int]:
        """Wait until all is on disk; return which file it is, and its length."""
        # A second time: the first may have found something to fold.
        self.study.autosave.wait()
        assert not self.study.autosave.wait().pending
        session = self.study.autosave.session
        if session is None:
            return 0, 0
        stat = (session / JOURNAL).stat()
        return stat.st_ino, stat.st_size

    def change(self, model: Model, given: set[int], file: tuple[int, int]) -> None:
        self.before, self.given_before, self.begun = self.model, self.given, True
        self.model, self.given = model, self.given | given
        # A journal that was folded came into its place whole: it is not torn.
        self.torn_from = file[1] if self.settle()[0] == file[0] else None

    @rule(numbers=st.lists(st.integers(0, 40), min_size=1, max_size=3), data=st.data())
    def edit(self, numbers: list[int], data: st.DataObject) -> None:
        file, now = self.settle(), dict(self.model.now)
        known = sorted(now)
        touched = data.draw(st.sets(st.sampled_from(known), max_size=3)) if known else set()
        removed = {id_ for id_ in touched if data.draw(st.booleans())}
        replaced = {id_: square(id_ % 7 + numbers[0]) for id_ in touched - removed}
        added = [square(number) for number in numbers]
        new = self.study.edit(removed=removed, added=added, replaced=replaced)
        assert not self.given & set(new), "an id must never come back"
        now = {id_: outline for id_, outline in now.items() if id_ not in removed}
        now |= {id_: outline.tobytes() for id_, outline in replaced.items()}
        now |= {id_: outline.tobytes() for id_, outline in zip(new, added, strict=True)}
        self.change(self.model.step(now), set(new), file)

    @rule(numbers=st.lists(st.integers(0, 40), max_size=4), first=st.integers(0, 5))
    def replace_all(self, numbers: list[int], first: int) -> None:
        file, ids = self.settle(), np.arange(len(numbers)) + first
        polygons = [square(number) for number in numbers]
        self.study.set_nuclei(Nuclei.from_polygons(polygons, ids=ids), {"round": first})
        now = {int(i): p.tobytes() for i, p in zip(ids, polygons, strict=True)}
        self.change(self.model.step(now), set(ids.tolist()), file)

    @precondition(lambda self: self.model.past)
    @rule()
    def undo(self) -> None:
        file = self.settle()
        assert self.study.undo() is not None
        self.change(self.model.undo(), set(), file)

    @precondition(lambda self: self.model.future)
    @rule()
    def redo(self) -> None:
        file = self.settle()
        assert self.study.redo() is not None
        self.change(self.model.redo(), set(), file)

    @rule()
    def save(self) -> None:
        self.study.save(Path(self.folder.name) / "study")

    @precondition(lambda self: self.begun)
    @rule()
    def crash_and_restore(self) -> None:
        self.settle()
        self.study = Study(self.slide)
        self.study.restore()
        self.torn_from = None
        self.settle()

    @rule(cut=st.integers(0, 1000))
    def crash_while_writing(self, cut: int) -> None:
        (_, length), session = self.settle(), self.study.autosave.session
        if self.torn_from is None or session is None:
            return
        self.study.autosave.close()
        os.truncate(session / JOURNAL, length - 1 - cut % (length - self.torn_from))
        self.model, self.given, self.torn_from = self.before, self.given_before, None
        self.study = Study(self.slide)
        self.begun = self.study.recoverable is not None
        if self.begun:
            self.study.restore()
        else:
            self.model, self.given = Model(), set()
        self.settle()

    @invariant()
    def same_as_the_model(self) -> None:
        if not hasattr(self, "study"):
            return
        nuclei, history = self.study.nuclei, self.study.history
        outlines = [polygon.tobytes() for polygon in nuclei.polygons()]
        assert dict(zip(nuclei.ids.tolist(), outlines, strict=True)) == self.model.now
        assert history.can_undo == bool(self.model.past)
        assert history.can_redo == bool(self.model.future)


TestCrashingStudy = CrashingStudy.TestCase
TestCrashingStudy.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

EDITS_UNTIL_KILLED = """
import sys
import numpy as np
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study

square = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)
study = Study(Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5))
study.set_nuclei(Nuclei.from_polygons([square]), {"model": "he-open"})
study.autosave.wait()
for number in range(1_000_000):
    study.edit(added=[square + number % 100], label=f"draw {number}")
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 30, 400])
def test_a_program_killed_while_editing_loses_no_edit_that_was_done(lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", EDITS_UNTIL_KILLED], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        for _ in range(lines):
            program.stdout.readline()
        program.kill()
        said = [line for line in program.stdout.read().split("\n") if line]
    last = int(said[-1]) if said else lines - 1

    study = Study(Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5))
    assert study.recoverable is not None
    edits = study.recoverable.edits
    # What was reported as done is there; one more may have been written before it was reported.
    assert last + 1 <= edits <= last + 2
    assert f"({edits:,} edit" in study.recoverable.words
    study.restore()
    assert len(study.nuclei) == edits + 1
    assert study.nuclei_provenance["model"] == "he-open"
    for number in reversed(range(edits)):
        assert study.undo() == f"draw {number}"
    assert len(study.nuclei) == 1
    assert study.redo() == "draw 0"


FOLDING_UNTIL_KILLED = EDITS_UNTIL_KILLED.replace(
    "    study.edit(",
    """    study.edit(added=[square], removed=study.nuclei.ids[:1])
    study.undo()
    study.edit(""",
).replace("square = ", "import napari_prts.study.journal as journal; journal.FOLD = 0; square = ")


@pytest.mark.parametrize("lines", [5, 17, 40, 90])
def test_a_program_killed_while_it_folds_its_journal_loses_nothing(lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOLDING_UNTIL_KILLED], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        for _ in range(lines):
            program.stdout.readline()
        program.kill()
        said = [line for line in program.stdout.read().split("\n") if line]
    last = int(said[-1]) if said else lines - 1

    study = Study(Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5))
    study.restore()
    labels = iter(study.undo, None)
    drawn = [label for label in labels if label.startswith("draw")]
    assert drawn == [f"draw {number}" for number in reversed(range(len(drawn)))]
    assert last + 1 <= len(drawn) <= last + 2


def test_restoring_is_itself_safe_from_a_crash() -> None:
    slide = Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5)
    first = Study(slide)
    first.edit(added=[square(1)], label="one")
    first.autosave.wait()
    second = Study(slide)
    second.restore()
    second.edit(added=[square(2)], label="two")
    second.autosave.wait()
    third = Study(slide)
    third.restore()
    assert len(third.nuclei) == 2
    assert [third.undo(), third.undo()] == ["two", "one"]


def test_what_was_begun_before_restoring_can_be_restored_in_turn() -> None:
    slide = Slide.from_array(np.full((64, 64, 3), 240, np.uint8), mpp=0.5)
    first = Study(slide)
    first.edit(added=[square(1), square(2)])
    first.autosave.wait()
    second = Study(slide)
    second.edit(added=[square(3)], label="a slip of the hand")
    second.restore()
    assert len(second.nuclei) == 2
    second.autosave.wait()
    slip = next(found for found in second.autosave.recoverables if found.count == 1)
    second.restore(slip)
    assert second.undo() == "a slip of the hand"
