"""A nucleus at a click, and nuclei found again in a region, on the embedded slide and model."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_prts.errors import MissingPixelSizeError, NucleiError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, Source
from napari_prts.nuclei.selection import overlapping
from napari_prts.segmentation import SegmentRequest, load_model, segment
from napari_prts.segmentation.at_point import PointGrower, shape_at
from napari_prts.segmentation.local import resegment
from napari_prts.slide import Slide
from tests.nuclei.outlines import circle
from tests.segmentation.oracle import draw_discs, oracle, scattered

REGION = (1200.0, 850.0, 120.0, 160.0)


@pytest.fixture(scope="module")
def found(demo_slide: Slide) -> Nuclei:
    """The nuclei that segmenting a corner of dermis finds."""
    return run(segment(demo_slide, SegmentRequest(region=REGION)))


@pytest.fixture(scope="module")
def grower(demo_slide: Slide) -> PointGrower:
    return PointGrower(demo_slide, load_model())


def test_a_click_gives_the_nucleus_that_segmenting_finds(found, grower):
    """Same outline and score, and the one that is there is named."""
    for position in range(0, len(found), 5):
        row, column = found.centroids[position].tolist()
        grown = grower.grow(row, column, found)
        assert grown is not None
        np.testing.assert_allclose(grown.outline, found.polygon(position), atol=0.05)
        assert grown.score == pytest.approx(float(found.scores[position]), abs=1e-3)
        assert grown.likely
        assert not grown.faint
        assert int(found.ids[position]) in grown.overlapped


def test_a_click_where_the_network_sees_nothing_gives_a_guess_that_says_so(grower, found):
    rng = np.random.default_rng(0)
    places = rng.uniform([1200, 850], [1320, 1010], (20, 2))
    guesses = [grower.grow(row, column, found) for row, column in places.tolist()]
    unlikely = [
        (place, grown)
        for place, grown in zip(places, guesses, strict=True)
        if grown is not None and not grown.likely
    ]
    assert unlikely
    for place, grown in unlikely:
        assert grown.score <= grower.model.prob_threshold
        shape = shapely.polygons(grown.outline[:, ::-1].astype(float))
        assert shape.contains(shapely.Point(place[::-1]))
    assert any(grown.faint for _, grown in unlikely)


def test_a_click_at_the_slides_corner_and_off_it(grower, demo_slide):
    assert grower.grow(-5, 10) is None
    assert grower.grow(10, demo_slide.shape[1]) is None
    grown = grower.grow(0, 0)
    # Single precision, in level-0 pixels.
    assert grown is None or grown.outline.min() >= -0.5 - 1e-3


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.69])
def test_discs_grow_to_their_true_size_at_any_resolution(mpp):
    shape, radius = (200, 220), 9.0
    centres = scattered(shape, radius)
    slide = Slide.from_array(draw_discs(shape, centres, radius), mpp=mpp)
    for row, column in centres[::12]:
        grown = shape_at(slide, oracle(), row + 4, column - 3)
        assert grown is not None
        area = shapely.polygons(grown.outline[:, ::-1].astype(float))
        assert area.area == pytest.approx(np.pi * radius**2, rel=0.04)
        assert shapely.distance(area.centroid, shapely.Point(column, row)) < 0.2


def test_without_a_pixel_size_nothing_grows():
    with pytest.raises(MissingPixelSizeError):
        PointGrower(Slide.from_array(np.full((100, 100, 3), 240, np.uint8)), load_model())


def test_a_lower_threshold_finds_more_in_a_region(demo_slide, found):
    outside = Nuclei.from_polygons([circle(100, 100, 8)])
    nuclei = outside.add(found.polygons(), Source.STARDIST, found.scores)
    request = SegmentRequest(prob_threshold=0.3)
    result = run(resegment(demo_slide, nuclei, REGION, request))
    assert result.removed.tolist() == nuclei.ids[1:].tolist()
    assert len(result.added) > len(found)
    assert (result.added.scores < load_model().prob_threshold).any()
    assert len(result.kept) == 0


def test_corrected_nuclei_stay_and_new_ones_over_them_are_dropped(demo_slide, found):
    nuclei = found.replace(int(found.ids[3]), found.polygon(3))
    result = run(resegment(demo_slide, nuclei, REGION))
    assert result.kept.tolist() == [found.ids[3]]
    assert found.ids[3] not in result.removed
    assert len(result.added) == len(found) - 1
    kept = nuclei.take([3])
    assert not len(overlapping(kept, result.added, 0.3)[0])
    # Asked otherwise, hand-made ones go too.
    everything = run(resegment(demo_slide, nuclei, REGION, keep_corrected=False))
    assert len(everything.added) == len(found)
    assert found.ids[3] in everything.removed


def test_a_polygon_as_region_replaces_what_lies_in_it(demo_slide, found):
    row, column, height, width = REGION
    triangle = [(row, column), (row + height, column), (row, column + width)]
    result = run(resegment(demo_slide, found, triangle))
    assert 0 < len(result.removed) < len(found)
    np.testing.assert_array_equal(
        np.sort(result.added.hashes), np.sort(found.take(result.removed).hashes)
    )


def test_corrections_made_during_the_job_are_respected(demo_slide, found):
    result = run(resegment(demo_slide, found, REGION))
    meanwhile = found.remove([0, 1]).replace(5, found.polygon(5))
    renewed = result.renewed(meanwhile)
    assert set(renewed.removed) == set(found.ids) - {0, 1, 5}
    assert len(renewed.added) == len(found) - 1


def test_a_region_must_be_one(demo_slide, found):
    for region in ([1, 2, 3], [(1, 2), (3, 4)], "here"):
        with pytest.raises(NucleiError, match="draw it again"):
            run(resegment(demo_slide, found, region))
