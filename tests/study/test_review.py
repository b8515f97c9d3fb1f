"""Review: the nuclei of low score, one after the other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_prts.nuclei import Nuclei, Source
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.study.review import Review
from tests.nuclei.outlines import assert_same, circle

COUNT = 400


@pytest.fixture
def study() -> Study:
    """Four hundred nuclei with scores from 0.5 to 1."""
    rng = np.random.default_rng(0)
    places = rng.uniform(20, 1980, (COUNT, 2))
    study = Study(Slide.from_array(np.full((2000, 2000, 3), 240, np.uint8), 0.5), autosave=False)
    study.set_nuclei(
        Nuclei.from_polygons(
            [circle(row, column, 8) for row, column in places],
            scores=rng.uniform(0.5, 1, COUNT),
            source=Source.STARDIST,
        )
    )
    return study


def walk(review: Review) -> list[int]:
    ids = []
    for _ in range(review.remaining):
        assert review.current is not None
        ids.append(review.current.id)
        review.next()
    return ids


def test_by_default_the_lowest_tenth_is_reviewed(study):
    review = Review(study)
    ids = walk(review)
    assert sorted(ids) == sorted(np.argsort(study.nuclei.scores)[: COUNT // 10].tolist())
    assert review.current.id == ids[0], "after the last comes the first"
    assert review.previous().id == ids[-1]


def test_a_limit_can_be_given(study):
    review = Review(study, below=0.7)
    assert sorted(walk(review)) == np.flatnonzero(study.nuclei.scores < 0.7).tolist()
    assert Review(study, below=0.1).current is None


def test_the_worst_come_first_and_near_ones_after_each_other(study):
    ids = walk(Review(study, below=1.0))
    scores, places = study.nuclei.scores[ids], study.nuclei.centroids[ids]
    quarters = np.split(scores, 4)
    assert all(a.max() <= b.min() for a, b in pairwise(quarters))
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert np.median(steps) < 0.2 * 2000
    by_score = np.linalg.norm(
        np.diff(study.nuclei.centroids[np.argsort(study.nuclei.scores)], axis=0), axis=1
    )
    assert steps.mean() < 0.25 * by_score.mean()


def test_accepting_changes_nothing_but_the_source(study):
    review = Review(study)
    first, remaining = review.current, review.remaining
    before = study.nuclei
    following = review.accept()
    assert following.id != first.id
    assert review.remaining == remaining - 1
    at = study.nuclei.positions_of([first.id])[0]
    assert study.nuclei.sources[at] == Source.EDITED
    assert study.nuclei.scores[at] == np.float32(first.score)
    assert study.nuclei.hashes[at] == before.hashes[at]
    assert study.nuclei_provenance["corrections"]["edited"] == 0
    assert study.undo() == "accept nucleus"
    assert review.current == first
    assert review.remaining == remaining
    assert_same(study.nuclei, before)
    assert study.redo() == "accept nucleus"
    assert review.current == following


def test_rejecting_removes_and_undo_brings_back(study):
    review = Review(study)
    one = review.current
    two = review.reject()
    three = review.accept()
    assert one.id not in study.nuclei.ids
    assert study.undo() == "accept nucleus"
    assert review.current == two
    assert study.undo() == "reject nucleus"
    assert review.current == one
    study.redo()
    study.redo()
    assert review.current == three


def test_all_can_be_reviewed(study):
    review = Review(study, below=0.52)
    while review.current is not None:
        review.accept()
    assert review.remaining == 0
    assert review.position == 0
    assert review.next() is review.previous() is review.accept() is review.reject() is None
    study.undo()
    assert review.current is not None
    # Who begins again is not asked about them again.
    study.redo()
    assert Review(study, below=0.52).remaining == 0


def test_edits_meanwhile_are_followed(study):
    review = Review(study)
    ids = walk(review)
    heard = []
    review.changed.connect(lambda: heard.append(review.remaining))
    study.edit(removed=[ids[0], ids[3]])
    assert review.current.id == ids[1]
    study.edit(replaced={ids[1]: circle(50, 50, 9)})
    assert review.current.id == ids[2]
    study.undo()
    study.undo()
    assert heard == [38, 37, 38, 40]
    # Not the review's own decisions: the walk stays where it is.
    assert review.current.id == ids[2]
    assert review.position == 2


def test_nuclei_found_meanwhile_join_the_walk(study):
    review = Review(study)
    found = Nuclei.from_polygons([circle(100, 100, 8)], scores=[0.4])
    study.set_segmented(found, (60, 60, 80, 80), {})
    assert study.nuclei.next_id - 1 in walk(review)


def test_other_nuclei_are_followed_and_restart_begins_anew(study):
    review = Review(study)
    study.set_nuclei(Nuclei.from_polygons([circle(100, 100, 8)], scores=[0.9], source=0))
    assert review.current is None
    study.set_nuclei(
        Nuclei.from_polygons(
            [circle(100, 100, 8), circle(200, 100, 8)], scores=[0.9, 0.8], source=0
        )
    )
    review.restart()
    assert review.current.id == 1


def test_an_empty_study_is_followed_until_nuclei_come():
    study = Study(Slide.from_array(np.full((200, 200, 3), 240, np.uint8), 0.5), autosave=False)
    review = Review(study)
    assert review.current is None
    outlines = [circle(100, 100, 8), circle(50, 50, 8)]
    study.set_nuclei(Nuclei.from_polygons(outlines, scores=[0.9, 0.8], source=Source.STARDIST))
    assert review.current.id == 1
    review.close()
    study.edit(removed=[1])


def test_nuclei_drawn_by_hand_are_not_asked_about(study):
    study.edit(added=[circle(100, 100, 8)], source=Source.MANUAL)
    assert study.nuclei.next_id - 1 not in walk(Review(study, below=2.0))
