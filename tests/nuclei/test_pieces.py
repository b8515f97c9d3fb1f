"""The order of rows after edits, against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.nuclei.pieces import Pieces

BASE = 12


def rows_in(pieces: Pieces) -> list[int]:
    return pieces.rows(np.arange(pieces.total)).tolist()


def test_an_edit_cuts_a_stretch_in_two():
    pieces = Pieces.whole(1_000_000).without(np.array([500, 501]))
    assert len(pieces) == 2
    assert pieces.rows(np.array([499, 500])).tolist() == [499, 502]
    assert pieces.positions(np.array([502, 501, 7])).tolist() == [500, -1, 7]
    again = pieces.with_rows(np.array([500, 501]), np.array([500, 501]))
    assert len(again) == 1


def test_no_rows():
    nothing = Pieces.whole(0)
    assert nothing.total == len(nothing) == 0
    assert nothing.positions(np.array([3])).tolist() == [-1]
    assert nothing.left_out(3).tolist() == [0, 1, 2]
    assert rows_in(nothing.with_rows(np.array([7, 3]), np.array([0, 1]))) == [7, 3]


@given(st.data())
def test_any_edits_are_those_of_a_list(data):
    pieces, model, following = Pieces.whole(BASE), list(range(BASE)), BASE
    for _ in range(data.draw(st.integers(1, 6))):
        gone = data.draw(st.sets(st.integers(0, max(len(model) - 1, 0)), max_size=len(model)))
        pieces = pieces.without(np.array(sorted(gone), np.int64))
        model = [row for position, row in enumerate(model) if position not in gone]
        count = data.draw(st.integers(0, 4))
        places = st.sets(st.integers(0, len(model) + count - 1), min_size=count, max_size=count)
        at = sorted(data.draw(places)) if count else []
        rows = data.draw(st.permutations(range(following, following + count)))
        pieces = pieces.with_rows(np.array(rows, np.int64), np.array(at, np.int64))
        for place, row in zip(at, rows, strict=True):
            model.insert(place, row)
        following += count
        assert rows_in(pieces) == model
        assert (pieces.lengths > 0).all()
        everyone = np.arange(following)
        expected = [model.index(row) if row in model else -1 for row in everyone]
        assert pieces.positions(everyone).tolist() == expected
        assert pieces.left_out(BASE).tolist() == sorted(set(range(BASE)) - set(model))
    late = np.array(sorted(row - BASE for row in model if row >= BASE), np.int64)
    numbers = {int(row) + BASE: BASE + number for number, row in enumerate(late)}
    renumbered = pieces.renumbered(BASE, late)
    assert rows_in(renumbered) == [numbers.get(row, row) for row in model]
