"""A million nuclei: what an edit of a few of them may touch, and what it must not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from napari_prts.nuclei import EditCounts, History, Nuclei, Source
from napari_prts.nuclei.density import density

COUNT = 1_000_000
SIDE = 60_000
RHOMBUS = np.array([(500, 500), (510, 510), (520, 500), (510, 490)], np.float32)


@pytest.fixture(scope="module")
def million() -> Nuclei:
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = np.column_stack([np.sin(angle), np.cos(angle)])
    polygons = np.empty((COUNT, 32, 2), np.float32)
    polygons[:] = ring * 12
    polygons *= rng.uniform(0.8, 1.2, (COUNT, 1, 1)).astype(np.float32)
    polygons += rng.uniform(20, SIDE - 20, (COUNT, 1, 2)).astype(np.float32)
    return Nuclei.from_polygons(polygons, source=Source.STARDIST)


def outline_beside(nuclei: Nuclei, position: int) -> np.ndarray:
    return nuclei.polygon(position) + np.float32(3)


def test_a_view_is_found_as_by_looking_at_all(million):
    row, column = million.centroids.T
    inside = (row >= 500) & (row < 2000) & (column >= 30_000) & (column < 31_500)
    found = million.in_rectangle(500, 30_000, 2000, 31_500)
    np.testing.assert_array_equal(found, np.flatnonzero(inside))
    assert 300 < len(found) < 1000


def test_an_edit_copies_no_outlines_but_its_own(million):
    history = History(million)
    new = history.edit([5], [outline_beside(million, 7)], {9: outline_beside(million, 9)})
    edited = history.current
    assert np.shares_memory(edited.polygon(999_000), million.polygon(999_001))
    assert np.shares_memory(edited.polygons()[0], million.polygon(0))
    np.testing.assert_array_equal(edited.polygon(8), outline_beside(million, 9))
    assert new.tolist() == [COUNT]
    assert edited.ids[[4, 5, 8, COUNT - 1]].tolist() == [4, 6, 9, COUNT]
    assert history.counts() == EditCounts(added=1, edited=1, removed=1)


def test_a_view_after_an_edit_shows_it_and_all_the_others(million):
    view = (10_000, 10_000, 13_000, 13_000)
    before = million.take(million.in_rectangle(*view))
    history = History(million)
    gone, kept = before.ids[[0, -1]], before.ids[1:-1]
    new = history.edit(gone, [outline_beside(before, 5)])
    after = history.current.take(history.current.in_rectangle(*view))
    assert after.ids.tolist() == [*kept.tolist(), *new.tolist()]
    np.testing.assert_array_equal(after.hashes[:-1], before.hashes[1:-1])
    history.undo()
    again = history.current.take(history.current.in_rectangle(*view))
    np.testing.assert_array_equal(again.ids, before.ids)
    np.testing.assert_array_equal(again.hashes, before.hashes)


def test_a_hundred_edits_take_next_to_no_memory(million):
    _ = million.in_rectangle(0, 0, 1, 1), million.ids
    history = History(million)
    tracemalloc.start()
    try:
        for step in range(100):
            edited = history.edit([step], [outline_beside(million, step)], {step + 500: RHOMBUS})
            assert len(history.current) == COUNT
            assert history.current.positions_of(edited).tolist() == [COUNT - 1]
            assert len(history.current.in_rectangle(0, 0, 2000, 2000)) > 900
        used, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 5_000_000
    assert most < 10_000_000
    assert history.counts() == EditCounts(added=100, edited=100, removed=100)


def test_many_corrections_are_laid_out_anew_and_mean_the_same(million):
    history = History(million)
    rng = np.random.default_rng(1)
    gone = rng.choice(COUNT, 40_000, replace=False)
    history.remove(gone[:20_000])
    history.remove(gone[20_000:])
    now = history.current
    assert len(now) == COUNT - 40_000
    assert not np.isin(gone, now.ids).any()
    kept = np.delete(np.arange(COUNT), gone)
    np.testing.assert_array_equal(now.ids, kept)
    np.testing.assert_array_equal(now.centroids, million.centroids[kept])
    for position in (0, 70_000, len(now) - 1):
        there = million.polygon(now.ids[position])
        np.testing.assert_array_equal(now.polygon(position), there)
        assert np.shares_memory(now.polygon(position), there)
    history.undo()
    history.undo()
    np.testing.assert_array_equal(history.current.ids, million.ids)
    np.testing.assert_array_equal(history.current.areas, million.areas)


def test_the_picture_for_far_views_counts_all_of_them(million):
    shape = (SIDE, SIDE)
    picture = density(million, shape, 128)
    assert picture.shape == (469, 469)
    assert picture.sum() == COUNT
    edited = density(million.remove([123]), shape, 128)
    row, column = ((million.centroids[123] + 0.5) // 128).astype(int)
    assert np.argwhere(edited != picture).tolist() == [[row, column]]
