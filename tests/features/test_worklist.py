"""Nuclei on screen are encoded first."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.features.worklist import Worklist, nearest_first
from napari_prts.focus import Focus, View

PLACES = np.random.default_rng(4).uniform(0, 1000, (200, 2))
EVERYONE = np.arange(200)


def taken(work: Worklist, count: int = 7) -> list[int]:
    """All that is left, in order."""
    order: list[int] = []
    while len(some := work.take(count)):
        order.extend(some.tolist())
    return order


@given(
    view=st.none() | st.tuples(*[st.floats(-200, 1200)] * 2, *[st.floats(1, 800)] * 2),
    count=st.integers(1, 50),
    block=st.floats(10, 2000),
)
@settings(max_examples=50, deadline=None)
def test_each_nucleus_comes_once(view, count, block):
    focus = Focus(View(*view) if view is not None else None)
    some = EVERYONE[::3]
    assert sorted(taken(Worklist(PLACES, some, block, focus=focus), count)) == some.tolist()


def test_the_view_comes_first_from_its_middle_outward():
    view = View(200, 300, 400, 300)
    order = taken(Worklist(PLACES, EVERYONE, 100.0, focus=Focus(view)))
    inside = view.holds(PLACES)
    seen = order[: inside.sum()]
    assert inside[seen].all()
    away = np.linalg.norm(PLACES[seen] - view.centre, axis=1)
    assert (np.diff(away) >= 0).all()


def test_what_follows_comes_block_by_block_the_nearest_first():
    view = View(400, 400, 10, 10)
    order = taken(Worklist(PLACES, EVERYONE, 100.0, focus=Focus(view)))
    blocks = [tuple(block) for block in PLACES[order] // 100]
    firsts = list(dict.fromkeys(blocks[view.holds(PLACES).sum() :]))
    changes = sum(a != b for a, b in pairwise(blocks))
    assert changes <= len(firsts) + 1, "each block once"
    away = [np.hypot(*(100 * (np.array(block) + 0.5) - view.centre)) for block in firsts]
    assert (np.diff(away) >= -1e-9).all()


def test_when_the_user_pans_the_order_is_made_anew():
    focus = Focus(View(0, 0, 300, 300))
    work = Worklist(PLACES, EVERYONE, 100.0, focus=focus)
    first = work.take(3)
    assert focus.view is not None
    assert focus.view.holds(PLACES[first]).all()
    elsewhere = View(600, 600, 300, 300)
    focus.look_at(elsewhere)
    assert elsewhere.holds(PLACES[work.take(3)]).all()
    assert len(work) == 194


def test_what_was_corrected_by_hand_goes_before_its_neighbours():
    view = View(0, 0, 500, 500)
    inside = np.flatnonzero(view.holds(PLACES))
    corner = inside[np.argmin(PLACES[inside].sum(axis=1))]
    by_hand = np.isin(EVERYONE, [corner])
    work = Worklist(PLACES, EVERYONE, 100.0, focus=Focus(view), by_hand=by_hand)
    assert work.take(1).tolist() == [corner]


def test_without_anybody_looking_the_blocks_come_row_by_row():
    order = taken(Worklist(PLACES, EVERYONE, 250.0))
    rows, columns = (PLACES[order] // 250).T
    assert (np.diff(rows * 4 + columns) >= 0).all()


def test_pieces_of_work_are_taken_by_distance_too():
    middles = np.array([[0.0, 0], [10, 10], [90, 90]])
    waiting = np.array([True, False, True])
    assert nearest_first(middles, waiting, View(5, 5, 10, 10)) == 0
    assert nearest_first(middles, waiting, View(70, 70, 10, 10)) == 2
    assert nearest_first(middles, waiting, None) == 0
