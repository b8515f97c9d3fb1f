"""Undo and redo against a plain model: a list of dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from napari_prts.errors import NucleiError
from napari_prts.nuclei import EditCounts, History, Nuclei, Source
from tests.nuclei.outlines import assert_same, circle, outlines, rows_of, scattered

SOME = st.lists(outlines(500), min_size=1, max_size=3)


class HistoryMachine(RuleBasedStateMachine):
    """Any sequence of edits, undos and redos ends in the nuclei of the model.

    There are enough steps to lay the table out anew every now and then, and few
    enough in between to find it patched.
    """

    def __init__(self):
        super().__init__()
        self.history = History(Nuclei.from_polygons(scattered(12, 500, 500)))
        self.states = [rows_of(self.history.current)]
        self.base_of = [0]
        self.at = 0
        self.ever: set[int] = set(self.states[0])

    def did(self, rows, base=None):
        self.at += 1
        kept = slice(0, self.at)
        self.states = [*self.states[kept], rows]
        self.base_of = [*self.base_of[kept], self.base_of[self.at - 1] if base is None else base]

    @rule(data=st.data(), added=st.lists(outlines(500), max_size=2))
    def edit(self, data, added):
        rows = dict(self.states[self.at])
        some = st.lists(st.sampled_from(sorted(rows)), max_size=2) if rows else st.just([])
        removed = data.draw(some)
        changed = set(data.draw(some)) - set(removed)
        replaced = {id_: data.draw(outlines(500)) for id_ in sorted(changed)}
        new = self.history.edit(removed, added, replaced, label="edit").tolist()
        assert not self.ever & set(new)
        self.ever |= set(new)
        for id_ in set(removed):
            del rows[id_]
        for id_, outline in replaced.items():
            rows[id_] = (outline.tobytes(), rows[id_][1], Source.EDITED)
        for id_, outline in zip(new, added, strict=True):
            rows[id_] = (outline.tobytes(), 1.0, Source.MANUAL)
        assert (np.diff(new) > 0).all()
        if removed or replaced or added:
            self.did(rows)

    @rule(polygons=SOME)
    def reset(self, polygons):
        nuclei = Nuclei.from_polygons(polygons, source=Source.STARDIST)
        self.history.reset(nuclei, "find nuclei")
        self.ever |= set(nuclei.ids.tolist())
        self.did(rows_of(nuclei), base=self.at + 1)

    @rule()
    def undo(self):
        label = self.history.undo()
        assert (label is None) == (self.at == 0)
        self.at = max(0, self.at - 1)

    @rule()
    def redo(self):
        label = self.history.redo()
        assert (label is None) == (self.at == len(self.states) - 1)
        self.at = min(len(self.states) - 1, self.at + 1)

    @rule(corner=st.tuples(*[st.floats(-20, 520)] * 2), size=st.tuples(*[st.floats(0, 540)] * 2))
    def look_into_a_rectangle(self, corner, size):
        r0, c0, r1, c1 = *corner, *np.add(corner, size)
        nuclei = self.history.current
        row, column = Nuclei.from_polygons(nuclei.polygons()).centroids.T
        inside = (row >= r0) & (row < r1) & (column >= c0) & (column < c1)
        np.testing.assert_array_equal(nuclei.in_rectangle(r0, c0, r1, c1), np.flatnonzero(inside))

    @rule(data=st.data())
    def take_some(self, data):
        rows = self.states[self.at]
        ids = data.draw(st.lists(st.sampled_from(sorted(rows)), unique=True)) if rows else []
        nuclei = self.history.current
        taken = nuclei.take(nuclei.positions_of(ids))
        assert taken.ids.tolist() == ids
        assert rows_of(taken) == {id_: rows[id_] for id_ in ids}
        anew = Nuclei.from_polygons(taken.polygons(), ids)
        np.testing.assert_array_equal(taken.hashes, anew.hashes)
        np.testing.assert_array_equal(taken.bounds, anew.bounds)

    @rule()
    def ask_for_all_vertices(self):
        nuclei = self.history.current
        anew = Nuclei.from_polygons(nuclei.polygons(), nuclei.ids, nuclei.scores, nuclei.sources)
        assert_same(nuclei, anew)
        for name in ("areas", "centroids", "bounds", "hashes"):
            np.testing.assert_array_equal(getattr(nuclei, name), getattr(anew, name), err_msg=name)

    @invariant()
    def the_nuclei_are_the_models_in_its_order(self):
        nuclei, rows = self.history.current, self.states[self.at]
        assert rows_of(nuclei) == rows
        assert nuclei.ids.tolist() == list(rows)
        np.testing.assert_array_equal(nuclei.positions_of(list(rows)), np.arange(len(rows)))
        for position, (vertices, _, _) in enumerate(rows.values()):
            assert nuclei.polygon(position).tobytes() == vertices
        assert self.history.can_undo == (self.at > 0)
        assert self.history.can_redo == (self.at < len(self.states) - 1)

    @invariant()
    def the_counts_are_those_since_the_last_whole_table(self):
        base, now = self.states[self.base_of[self.at]], self.states[self.at]
        both = base.keys() & now.keys()
        assert self.history.counts() == EditCounts(
            added=len(now.keys() - base.keys()),
            edited=sum(base[id_][0] != now[id_][0] for id_ in both),
            removed=len(base.keys() - now.keys()),
        )


HistoryMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestHistory = HistoryMachine.TestCase


@pytest.fixture
def history() -> History:
    return History(Nuclei.from_polygons(scattered(5, 200, 200)))


def test_one_gesture_is_one_step(history):
    new = history.edit([1, 2], [circle(30, 30, 8)], {4: circle(60, 60, 8)}, label="merge nuclei")
    assert new.tolist() == [5]
    assert history.current.ids.tolist() == [0, 3, 4, 5]
    assert history.counts() == EditCounts(added=1, edited=1, removed=2)
    assert history.undo() == "merge nuclei"
    assert history.current.ids.tolist() == [0, 1, 2, 3, 4]
    assert history.undo() is None
    assert history.redo() == "merge nuclei"
    assert history.redo() is None


def test_a_wrong_edit_changes_nothing(history):
    before = history.current
    with pytest.raises(NucleiError, match="no nucleus with id 77"):
        history.edit([0, 77], [circle(30, 30, 8)])
    with pytest.raises(NucleiError, match="no area"):
        history.edit([0], [[(1, 1), (2, 2), (3, 3)]])
    with pytest.raises(NucleiError, match="Nucleus 0 cannot be removed and replaced"):
        history.edit([0], replaced={0: circle(30, 30, 8)})
    assert history.current is before
    assert not history.can_undo


def test_an_edit_of_nothing_is_no_step(history):
    assert history.edit().tolist() == []
    assert not history.can_undo


def test_a_new_edit_forgets_what_was_undone(history):
    history.remove([0])
    history.undo()
    history.add([circle(10, 10, 5)])
    assert not history.can_redo


def test_ids_do_not_come_back_after_an_undo(history):
    first = history.add([circle(10, 10, 5)])
    history.undo()
    second = history.add([circle(90, 90, 5)])
    assert second[0] > first[0]


def test_outlines_drawn_across_themselves_are_mended(history):
    history.replace(3, [(0, 0), (0, 10), (10, 0), (8, 10)])
    position = history.current.positions_of([3])[0]
    assert history.current.shapely()[position].is_valid
    assert history.current.sources[position] == Source.EDITED


def test_scores_and_source_of_found_nuclei(history):
    new = history.edit([0], [circle(9, 9, 4)], source=Source.STARDIST, scores=[0.75])
    position = history.current.positions_of(new)
    assert history.current.scores[position] == [0.75]
    assert history.current.sources[position] == [Source.STARDIST]


def test_the_first_whole_table_can_be_undone():
    history = History(Nuclei.empty())
    history.reset(Nuclei.from_polygons([circle(9, 9, 4)]), "import nuclei")
    assert history.counts() == EditCounts(0, 0, 0)
    history.remove(np.array([0]))
    assert history.counts() == EditCounts(0, 0, 1)
    assert [history.undo(), history.undo(), len(history.current)] == ["remove", "import nuclei", 0]


def test_what_the_machine_finds_is_no_correction(history):
    history.remove([0])
    history.replace(1, circle(30, 30, 8))
    by_hand = history.counts()
    assert by_hand == EditCounts(added=0, edited=1, removed=1)
    (found,) = history.edit([1, 2], [circle(60, 60, 8)], source=Source.STARDIST)
    assert history.counts() == EditCounts(added=0, edited=0, removed=1)
    history.replace(int(found), circle(62, 62, 8))
    assert history.counts() == EditCounts(added=0, edited=1, removed=1)
    history.undo(), history.undo()
    assert history.counts() == by_hand
    history.redo(), history.redo()
    assert history.counts() == EditCounts(added=0, edited=1, removed=1)
