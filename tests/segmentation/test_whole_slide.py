"""A whole slide comes out as if it had been seen in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_prts.errors import MissingPixelSizeError, ModelError, SlideError
from napari_prts.jobs import run
from napari_prts.segmentation import (
    SegmentRequest,
    load_model,
    provenance,
    segment,
    whole_slide,
)
from napari_prts.slide import Slide, open_slide
from tests.segmentation.oracle import GLASS, draw_discs, oracle, scattered

SHAPE, RADIUS = (300, 350), 9.0


CENTRES = scattered(SHAPE, RADIUS)
PIXELS = draw_discs(SHAPE, CENTRES, RADIUS)


def found_by(slide, **options):
    return run(segment(slide, SegmentRequest(model=options.pop("model", oracle()), **options)))


@pytest.mark.parametrize("mpp", [0.25, 0.499, 0.5, 0.69])
@pytest.mark.parametrize("model_mpp", [0.33, 0.5])
def test_discs_are_found_where_they_are(mpp, model_mpp):
    """At any resolution of slide and model, to a tenth of a pixel and without any shift."""
    slide = Slide.from_array(PIXELS, mpp=mpp)
    nuclei = found_by(slide, model=oracle(model_mpp))
    assert len(nuclei) == len(CENTRES)
    distance, which = cKDTree(CENTRES).query(nuclei.centroids)
    assert len(set(which)) == len(CENTRES)
    assert distance.max() < 0.1
    error = (nuclei.centroids - CENTRES[which]).mean(axis=0)
    np.testing.assert_allclose(error, 0, atol=0.01)
    # A polygon of 32 rays in a circle covers 0.6 % less.
    np.testing.assert_allclose(nuclei.areas, np.pi * RADIUS**2, rtol=0.03)


@given(
    tile=st.integers(6, 30).map(lambda n: 16 * n + 5),
    start=st.none() | st.tuples(st.floats(-100, 800), st.floats(-100, 800)),
)
@settings(max_examples=5, deadline=None)
def test_the_same_polygons_whatever_the_tiles_and_their_order(tile, start):
    slide = Slide.from_array(PIXELS, mpp=0.4)
    whole = found_by(slide, tile=4096)
    tiled = found_by(slide, tile=tile, order_from=start)
    assert len(whole) == len(tiled)
    distance, which = cKDTree(whole.centroids).query(tiled.centroids)
    assert distance.max() < 0.1
    np.testing.assert_allclose(tiled.areas, whole.areas[which], rtol=0.02)


def test_regions_share_out_the_nuclei_of_the_slide():
    slide = Slide.from_array(PIXELS, mpp=0.4)
    whole = found_by(slide)
    parts = [
        found_by(slide, region=(row, column, 150, 175)) for row in (0, 150) for column in (0, 175)
    ]
    assert sum(len(part) for part in parts) == len(whole)
    assert set(np.concatenate([part.hashes for part in parts])) == set(whole.hashes)
    row, column = parts[3].centroids.T
    assert row.min() >= 150
    assert column.min() >= 175


def test_partial_results_add_up_to_the_result():
    slide = Slide.from_array(PIXELS, mpp=0.4)
    reports = []
    nuclei = run(segment(slide, SegmentRequest(model=oracle(), tile=128)), reports.append)
    reports = [reports[0], *(r for r in reports if r.partial is not None)]
    assert [r.done for r in reports] == list(range(reports[-1].total + 1))
    assert {r.unit for r in reports} == {"tiles"}
    parts = [r.partial for r in reports[1:]]
    ids = np.concatenate([part.ids for part in parts])
    assert len(set(ids)) == len(ids)
    shown = np.concatenate([part.centroids for part in parts])
    assert len(shown) == len(nuclei)
    assert cKDTree(nuclei.centroids).query(shown)[0].max() < 1.0


def test_tiles_are_done_outwards_from_where_the_user_looks(monkeypatch):
    # Tiles looked at side by side end in any order.
    monkeypatch.setattr(whole_slide, "LOOKERS", 1)
    slide = Slide.from_array(PIXELS, mpp=0.4)
    request = SegmentRequest(model=oracle(), tile=128, order_from=(280.0, 20.0))
    job = segment(slide, request)
    next(job)
    first = next(report.partial for report in job if report.partial is not None)
    job.close()
    row, column = first.centroids.mean(axis=0)
    assert row > 150
    assert column < 175


def test_a_closed_job_stops_between_tiles():
    job = segment(Slide.from_array(PIXELS, mpp=0.4), SegmentRequest(model=oracle(), tile=128))
    assert next(job).done == 0
    assert next(report.done for report in job if report.partial is not None) == 1
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def test_nuclei_cut_by_the_slides_border_stay_inside():
    """Half discs on all four sides: kept, clipped, and still simple polygons."""
    inside = scattered((200, 200), RADIUS) + 20
    cut = [[0.0, 120], [239, 120], [120, 0], [120, 239], [3, 3]]
    places = np.concatenate([inside, cut])
    slide = Slide.from_array(draw_discs((240, 240), places, RADIUS), mpp=0.5)
    nuclei = found_by(slide)
    assert len(nuclei) == len(places)
    assert nuclei.bounds[:, :2].min() >= -0.5 - 1e-3
    assert nuclei.bounds[:, 2:].max() <= 239.5 + 1e-3
    assert all(polygon.is_valid for polygon in nuclei.shapely())


def test_glass_is_left_alone():
    """Dark dust far from any tissue is no nucleus, and no tile is spent on it."""
    wide = np.full((300, 1200, 3), GLASS, np.uint8)
    wide[:, :350] = PIXELS
    wide[150:156, 1000:1006] = 40
    slide = Slide.from_array(wide, mpp=0.5)
    reports = []
    request = SegmentRequest(model=oracle(), tile=160)
    nuclei = run(segment(slide, request), reports.append)
    assert len(nuclei) == len(found_by(Slide.from_array(PIXELS, mpp=0.5)))
    assert reports[-1].total == 2 * 3


def test_a_slide_without_tissue_gives_none():
    rng = np.random.default_rng(0)
    empty = np.clip(rng.normal(GLASS, 1.5, (500, 500, 3)), 0, 255).astype(np.uint8)
    slide = Slide.from_array(empty, mpp=0.5)
    reports = []
    assert len(run(segment(slide), reports.append)) == 0
    assert [(r.done, r.total, r.note) for r in reports] == [(0, 0, "no tissue")]
    # Asked to look everywhere, the trained network sees nothing either.
    assert len(run(segment(slide, SegmentRequest(tissue_only=False)))) == 0


def test_the_embedded_model_on_the_embedded_slide(demo_slide_path):
    """A quiet corner of dermis with a few dozen nuclei."""
    slide = open_slide(demo_slide_path)
    request = SegmentRequest(region=(1200, 850, 150, 200))
    nuclei = run(segment(slide, request))
    assert 5 < len(nuclei) < 80
    areas = nuclei.areas * slide.require_mpp() ** 2
    assert 10 < np.median(areas) < 80
    record = provenance(slide, request)
    assert record["model"] == "he-open"
    assert record["model_hash"] == load_model().hash
    assert record["slide"] == slide.fingerprint
    limits = record["normalisation"]
    assert all(low < high for low, high in zip(limits["low"], limits["high"], strict=True))


def test_what_cannot_be_done_is_said():
    slide = Slide.from_array(PIXELS, mpp=0.5)
    with pytest.raises(MissingPixelSizeError):
        found_by(Slide.from_array(PIXELS))
    with pytest.raises(SlideError, match="not on the slide"):
        found_by(slide, region=(5000, 0, 10, 10))
    with pytest.raises(SlideError, match="level-0 pixels"):
        found_by(slide, region=(0, 0, 0, 10))
    with pytest.raises(ModelError, match=r"prob_threshold is 1\.5"):
        found_by(slide, prob_threshold=1.5)
    with pytest.raises(ModelError, match="Tiles of 8 px"):
        found_by(slide, tile=8)
    with pytest.raises(ModelError, match="Device 'abacus'"):
        found_by(slide, device="abacus")
    with pytest.raises(ModelError, match="no StarDist model"):
        found_by(slide, model="he-closed")
