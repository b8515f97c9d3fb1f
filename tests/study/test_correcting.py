"""Corrections of a study are one step each, with the ids that were promised."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, Source
from napari_prts.segmentation import SegmentRequest, load_model
from napari_prts.segmentation.at_point import PointGrower
from napari_prts.segmentation.local import resegment
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.study.correcting import (
    add_grown,
    delete_in_lasso,
    delete_nuclei,
    find_again,
    merge_nuclei,
    split_across,
    split_nucleus,
)
from tests.nuclei.outlines import assert_same, circle

REGION = (250.0, 300.0, 120.0, 160.0)
# A row of three that overlap, two 2 um apart, and one alone; 0.5 um a pixel.
OUTLINES = [
    circle(50, 50, 10),
    circle(50, 66, 10),
    circle(50, 82, 10),
    circle(120, 50, 10),
    circle(120, 73.5, 10),
    circle(120, 120, 10),
]


def study_of(outlines=OUTLINES, mpp: float | None = 0.5) -> Study:
    study = Study(Slide.from_array(np.full((200, 200, 3), 240, np.uint8), mpp=mpp), autosave=False)
    study.set_nuclei(Nuclei.from_polygons(outlines, source=Source.STARDIST))
    return study


@pytest.fixture
def study() -> Study:
    return study_of()


def test_merging_keeps_the_smallest_id(study):
    before = study.nuclei
    assert merge_nuclei(study, [2, 0, 1]) == 0
    assert study.nuclei.ids.tolist() == [0, 3, 4, 5]
    assert study.nuclei.sources[0] == Source.EDITED
    assert study.undo() == "merge 3 nuclei"
    assert_same(study.nuclei, before)


def test_merging_bridges_two_microns_and_no_more(study):
    merge_nuclei(study, [3, 4])
    with pytest.raises(NucleiError, match="apart"):
        merge_nuclei(study, [3, 5])
    with pytest.raises(NucleiError, match="at least two"):
        merge_nuclei(study, [3, 3])
    with pytest.raises(NucleiError, match="no nucleus with id 99"):
        merge_nuclei(study, [3, 99])
    # Without a pixel size no distance in microns is known: only touching ones merge.
    unknown = study_of(mpp=None)
    merge_nuclei(unknown, [0, 1])
    with pytest.raises(NucleiError, match="apart"):
        merge_nuclei(unknown, [3, 4])


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_splitting_keeps_the_id_for_the_largest_part(left, right):
    study = study_of()
    before = study.nuclei
    ids = split_nucleus(study, 5, [(120 + left, 105), (120 + right, 135)])
    assert ids == [5, 6]
    areas = study.nuclei.areas[study.nuclei.positions_of(ids)]
    assert areas[0] >= areas[1] - 0.01
    assert areas.sum() == pytest.approx(float(before.areas[5]), abs=0.5)
    assert shapely.is_valid(study.nuclei.shapely()).all()
    assert (study.nuclei.sources[study.nuclei.positions_of(ids)] == Source.EDITED).all()
    assert study.undo() == "split nucleus"
    assert_same(study.nuclei, before.with_next_id(study.nuclei.next_id))


def test_a_stroke_across_several_splits_each_in_one_step(study):
    parts = split_across(study, [(120, 30), (120, 90)])
    assert [ids[0] for ids in parts] == [3, 4]
    assert len(study.nuclei) == 8
    assert study.undo() == "split 2 nuclei"
    assert len(study.nuclei) == 6


def test_a_short_stroke_splits_the_one_it_was_meant_for(study):
    assert split_across(study, [(120, 112), (120, 128)]) == [[5, 6]]
    with pytest.raises(NucleiError, match="divides no nucleus"):
        split_across(study, [(180, 10), (180, 50)])
    with pytest.raises(NucleiError, match="does not divide"):
        split_across(study, [(120, 72), (120, 74)])


def test_a_lasso_deletes_in_one_step(study):
    lasso = [(30, 30), (30, 75), (70, 75), (70, 30)]
    assert delete_in_lasso(study, lasso).tolist() == [0, 1]
    assert study.undo() == "delete 2 nuclei in lasso"
    assert delete_in_lasso(study, lasso, overlap=True).tolist() == [0, 1, 2]
    assert study.undo() == "delete 3 nuclei in lasso"
    delete_nuclei(study, [4])
    assert study.undo() == "delete 1 nucleus"
    # An empty lasso leaves no step behind.
    assert len(delete_in_lasso(study, [(0, 0), (0, 5), (5, 5)])) == 0
    assert study.undo() == "nuclei"


@pytest.fixture
def segmented(tissue_slide: Slide) -> Study:
    study = Study(tissue_slide, autosave=False)
    study.segment(region=REGION)
    assert len(study.nuclei) > 10
    return study


def test_a_grown_nucleus_counts_as_drawn_by_hand(segmented):
    study = segmented
    target = int(study.nuclei.ids[4])
    row, column = study.nuclei.centroids[4].tolist()
    grower = PointGrower(study.slide, load_model())
    grown = grower.grow(row, column, study.nuclei)
    assert grown is not None
    before = study.nuclei
    new = add_grown(study, grown, replace=True)
    assert target not in study.nuclei.ids
    position = study.nuclei.positions_of([new])[0]
    assert study.nuclei.sources[position] == Source.MANUAL
    assert study.nuclei.scores[position] == np.float32(grown.score)
    assert study.undo() == "grow nucleus"
    assert_same(study.nuclei, before.with_next_id(study.nuclei.next_id))
    add_grown(study, grown)
    assert target in study.nuclei.ids


def test_finding_again_is_one_step_and_keeps_scores(segmented):
    study = segmented
    before = study.nuclei
    corrected = int(before.ids[2])
    job = resegment(study.slide, before, REGION, SegmentRequest(prob_threshold=0.3))
    replacement = run(job)
    # Corrected while the job ran: it stays.
    study.edit(replaced={corrected: before.polygon(2)}, label="move")
    new = find_again(study, replacement)
    assert corrected in study.nuclei.ids
    assert len(new) > len(before) - 1
    positions = study.nuclei.positions_of(new)
    assert (study.nuclei.sources[positions] == Source.STARDIST).all()
    assert study.nuclei.scores[positions].min() < load_model().prob_threshold
    assert study.undo() == "find nuclei again in region"
    assert study.undo() == "move"
    assert_same(study.nuclei, before.with_next_id(study.nuclei.next_id))


def test_the_steps_survive_a_crash(tissue_slide):
    """What the journal keeps leads to the same nuclei, scores included."""
    study = Study(tissue_slide)
    study.set_nuclei(Nuclei.from_polygons(OUTLINES, source=Source.STARDIST))
    merge_nuclei(study, [0, 1])
    split_nucleus(study, 5, [(120, 105), (120, 135)])
    find_again(study, run(resegment(study.slide, study.nuclei, REGION)))
    study.autosave.wait()
    again = Study(tissue_slide)
    assert_same(again.restore(), study.nuclei)
    assert again.undo() == "find nuclei again in region"
