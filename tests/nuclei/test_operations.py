"""Merging, splitting and choosing nuclei, against plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.operations import merge, split
from napari_prts.nuclei.selection import at_point, crossing, inside_lasso, overlapping
from tests.nuclei.outlines import circle, scattered, star

RADII = st.lists(st.floats(6, 20), min_size=6, max_size=40)
PLACES = st.floats(100, 90_000)


def polygon(outline):
    return shapely.polygons(np.asarray(outline, float)[:, ::-1])


def assert_good(outline):
    assert outline.dtype == np.float32
    assert polygon(outline).is_valid
    assert (outline[0] != outline[-1]).any()


@given(RADII, RADII, PLACES, PLACES, st.floats(0, 6), st.floats(0, 12))
def test_merged_area_is_that_of_the_union(one, other, row, column, turn, away):
    """Overlapping nuclei anywhere on a slide: a valid ring with the union's area."""
    outlines = [
        star(row, column, one),
        star(row + away * np.sin(turn), column + away * np.cos(turn), other),
    ]
    merged = merge(outlines)
    assert_good(merged)
    union = shapely.union_all(shapely.make_valid([polygon(o) for o in outlines]))
    filled = shapely.polygons(union.exterior)
    assert polygon(merged).area == pytest.approx(filled.area, rel=0.02)
    assert shapely.hausdorff_distance(polygon(merged).exterior, filled.exterior) < 1.5
    assert len(merged) <= sum(len(o) for o in outlines) + 8


@given(st.floats(0, 4), st.floats(0, 6), PLACES)
def test_a_small_gap_is_bridged_where_it_is_narrowest(gap, turn, row):
    away = 20 + gap
    pair = [circle(row, 500, 10), circle(row + away * np.sin(turn), 500 + away * np.cos(turn), 10)]
    merged = merge(pair, largest_gap=4.5)
    assert_good(merged)
    apart = 2 * polygon(pair[0]).area
    assert apart * 0.98 < polygon(merged).area < apart * 1.25


def test_nuclei_far_apart_are_not_merged():
    pair = [circle(100, 100, 10), circle(100, 130, 10)]
    with pytest.raises(NucleiError, match=r"2 places that are 10\.\d pixels .* up to 4\.0 pixels"):
        merge(pair, largest_gap=4)
    with pytest.raises(NucleiError, match="choose two nuclei"):
        merge([])
    with pytest.raises(NucleiError, match="fewer than 3 points"):
        merge([circle(100, 100, 10), [(1, 1), (2, 2)]])


def test_a_chain_of_nuclei_becomes_one_and_a_ring_of_them_is_filled():
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = [circle(200 + 24 * np.sin(a), 200 + 24 * np.cos(a), 10) for a in angles]
    merged = merge(ring)
    assert_good(merged)
    assert polygon(merged).contains(shapely.Point(200, 200))
    assert len(merge(ring[:3])) < 3 * 32


def test_a_drawn_outline_of_many_points_becomes_lean():
    merged = merge([circle(100, 100, 15, points=600)])
    assert 16 <= len(merged) <= 64
    assert polygon(merged).area == pytest.approx(np.pi * 15**2, rel=0.02)


@given(RADII, PLACES, PLACES, st.floats(0, 6), st.floats(-0.3, 0.3))
def test_parts_add_up_to_the_whole(radii, row, column, turn, beside):
    """A stroke through the middle of any nucleus."""
    outline = star(row, column, radii)
    along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    middle = np.array([row, column]) + beside * across
    parts = split(outline, [middle - 25 * along, middle + 25 * along], least_area=0)
    assert len(parts) >= 2
    for part in parts:
        assert_good(part)
    areas = [polygon(part).area for part in parts]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == pytest.approx(polygon(outline).area, abs=2.0)
    common = shapely.intersection(polygon(parts[0]), polygon(parts[1]))
    assert common.area < 1.0


def test_a_stroke_that_just_misses_the_border_still_cuts():
    nucleus = circle(100, 100, 10)
    upper, lower = split(nucleus, [(100, 92), (100, 108)])
    assert polygon(upper).area == pytest.approx(polygon(lower).area, rel=0.01)
    with pytest.raises(NucleiError, match="from one side of the nucleus right across"):
        split(nucleus, [(100, 92), (100, 108)], reach=1)
    with pytest.raises(NucleiError, match="does not divide"):
        split(nucleus, [(100, 98), (100, 102)])


def test_a_shaking_hand_cuts_as_a_steady_one():
    rng = np.random.default_rng(0)
    columns = np.linspace(80, 120, 150)
    stroke = np.column_stack([100 + rng.normal(0, 0.15, 150), columns])
    parts = split(circle(100, 100, 10), stroke)
    assert len(parts) == 2
    assert max(len(part) for part in parts) < 40


def test_slivers_go_to_the_larger_part():
    """A wavy stroke cuts off a crumb of 6 px at the side."""
    square = np.array([[0, 0], [0, 40], [40, 40], [40, 0]], np.float32)
    stroke = [(20, -5), (20, 42), (37, 42), (41, 36)]
    assert len(split(square, stroke, least_area=0)) == 3
    parts = split(square, stroke, least_area=20)
    assert len(parts) == 2
    assert sum(polygon(part).area for part in parts) == pytest.approx(1600, abs=0.5)
    with pytest.raises(NucleiError, match="cuts off less than 20 squared pixels"):
        split(square, [(37, 42), (41, 36)], least_area=20)


def test_a_loop_inside_a_nucleus_divides_nothing():
    angle = np.linspace(0, 2 * np.pi, 20)
    loop = np.column_stack([100 + 3 * np.sin(angle), 100 + 3 * np.cos(angle)])
    with pytest.raises(NucleiError, match="does not divide"):
        split(circle(100, 100, 12), loop)


@pytest.mark.parametrize("line", [[], [(1, 1)], [(1, 1), (1, 1)], [(1, 2, 3)], "a", [(0, np.nan)]])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(NucleiError, match="line"):
        split(circle(100, 100, 10), line)


@pytest.fixture(scope="module")
def nuclei() -> Nuclei:
    return Nuclei.from_polygons(scattered(2000, 1000, 1000))


LASSO = np.array([[100, 100], [150, 600], [700, 640], [400, 380], [620, 120]], float)


def test_a_lasso_takes_what_shapely_says_is_in_it(nuclei):
    area = polygon(LASSO)
    centres = shapely.points(nuclei.centroids[:, ::-1].astype(float))
    np.testing.assert_array_equal(
        inside_lasso(nuclei, LASSO), np.flatnonzero(shapely.contains(area, centres))
    )
    np.testing.assert_array_equal(
        inside_lasso(nuclei, LASSO, overlap=True),
        np.flatnonzero(shapely.intersects(area, nuclei.shapely())),
    )


def test_a_lasso_that_crosses_itself_takes_both_loops(nuclei):
    bow = np.array([[200, 200], [400, 400], [200, 400], [400, 200]], float)
    rows, _ = nuclei.centroids[inside_lasso(nuclei, bow)].T
    assert (rows < 290).any()
    assert (rows > 310).any()
    with pytest.raises(NucleiError, match="A lasso must be a list of at least 3 points"):
        inside_lasso(nuclei, bow[:2])


def test_a_lasso_on_an_empty_slide_takes_nothing():
    none = Nuclei.empty()
    assert len(inside_lasso(none, LASSO)) == len(inside_lasso(none, LASSO, overlap=True)) == 0
    assert at_point(none, 5, 5) is None
    assert len(crossing(none, LASSO)) == 0
    assert len(overlapping(none, none, 0.5)[0]) == 0


def test_the_smallest_nucleus_under_the_pointer_is_picked():
    nested = Nuclei.from_polygons(
        [circle(50, 50, 20), circle(52, 50, 5), circle(50, 90, 8), circle(50, 90, 8)]
    )
    assert at_point(nested, 52, 50) == 1
    assert at_point(nested, 40, 50) == 0
    assert at_point(nested, 50, 90) == 3
    assert at_point(nested, 0, 0) is None


@pytest.mark.parametrize("line", [[(10, 10), (900, 950)], [(500, 0), (500, 500), (0, 500)]])
def test_a_line_crosses_what_shapely_says_it_does(nuclei, line):
    stroke = shapely.linestrings(np.array(line, float)[:, ::-1])
    np.testing.assert_array_equal(
        crossing(nuclei, line), np.flatnonzero(shapely.intersects(nuclei.shapely(), stroke))
    )


def test_overlap_is_a_share_of_the_smaller():
    ours = Nuclei.from_polygons([circle(50, 50, 20), circle(200, 200, 10)])
    others = Nuclei.from_polygons([circle(52, 50, 5), circle(200, 212, 10), circle(300, 300, 5)])
    assert [p.tolist() for p in overlapping(ours, others, 0.5)] == [[0], [0]]
    assert [p.tolist() for p in overlapping(ours, others, 0.1)] == [[0, 1], [0, 1]]
