"""The table of nuclei."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei, Source
from tests.nuclei.outlines import assert_same, circle, outlines, rows_of, scattered, star, unhurried

SQUARE = [(0, 0), (0, 4), (4, 4), (4, 0)]


def test_importing_the_room_is_cheap():
    heavy = "{'skimage', 'shapely', 'cv2', 'pyarrow', 'scipy', 'pandas'} & set(sys.modules)"
    code = f"import sys; from napari_prts.nuclei import Nuclei, History; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert shown.stdout.strip() == "set()"


def test_a_table_from_outlines():
    nuclei = Nuclei.from_polygons([SQUARE, circle(50, 60, 10)], source=Source.STARDIST)
    assert len(nuclei) == 2
    assert nuclei.ids.tolist() == [0, 1]
    assert nuclei.scores.tolist() == [1, 1]
    assert nuclei.areas[0] == 16
    assert nuclei.centroids[0].tolist() == [2, 2]
    assert nuclei.centroids[1] == pytest.approx([50, 60], abs=1e-4)
    assert nuclei.bounds[0].tolist() == [0, 0, 4, 4]
    assert nuclei.polygon(0).tolist() == [[0, 0], [0, 4], [4, 4], [4, 0]]
    assert repr(nuclei) == "<Nuclei 2: 2 stardist>"


def test_no_nuclei():
    nuclei = Nuclei.empty()
    assert len(nuclei) == 0
    assert nuclei.areas.shape == (0,)
    assert nuclei.centroids.shape == (0, 2)
    assert nuclei.bounds.shape == (0, 4)
    assert nuclei.hashes.shape == (0,)
    assert nuclei.shapely().shape == (0,)
    assert nuclei.in_rectangle(0, 0, 100, 100).shape == (0,)
    assert_same(nuclei.take([]), nuclei)
    assert len(nuclei.add([SQUARE])) == 1


def test_the_arrays_cannot_be_written():
    nuclei = Nuclei.from_polygons([SQUARE])
    with pytest.raises(ValueError, match="read-only"):
        nuclei.vertices[0] = 1
    with pytest.raises(AttributeError):
        nuclei.ids = np.array([7])


def test_a_repeated_last_vertex_is_dropped():
    closed = Nuclei.from_polygons([[*SQUARE, SQUARE[0], SQUARE[0]]])
    assert_same(closed, Nuclei.from_polygons([SQUARE]))


@unhurried
@given(st.lists(outlines(), min_size=1, max_size=8))
def test_areas_centroids_and_bounds_are_shapelys(polygons):
    nuclei = Nuclei.from_polygons(polygons)
    theirs = nuclei.shapely()
    np.testing.assert_allclose(nuclei.areas, shapely.area(theirs), rtol=1e-5)
    centroids = shapely.get_coordinates(shapely.centroid(theirs))[:, ::-1]
    np.testing.assert_allclose(nuclei.centroids, centroids, atol=5e-3)
    np.testing.assert_array_equal(nuclei.bounds[:, [1, 0, 3, 2]], shapely.bounds(theirs))


@pytest.mark.parametrize(
    ("polygon", "problem"),
    [
        ([(0, 0), (1, 1)], "fewer than 3 points"),
        ([(0, 0), (1, 1), (0, 0)], "fewer than 3 points"),
        ([(0, 0), (1, float("nan")), (2, 0)], "not a number"),
        ([(0, 0), (1, float("inf")), (2, 0)], "not a number"),
        ([(0, 0), (5, 5), (9, 9)], "no area"),
        ([(0, 0, 0), (5, 5, 5), (9, 0, 0)], "no list of"),
        ([(0, 0), (1,)], "no list of"),
    ],
)
@pytest.mark.parametrize("repair", [False, True])
def test_what_is_no_polygon_is_named(polygon, problem, repair):
    with pytest.raises(NucleiError, match=rf"1 of 3 .* number 1 .*{problem}"):
        Nuclei.from_polygons([SQUARE, polygon, SQUARE], repair=repair)
    with pytest.raises(NucleiError, match=rf"12 .*{problem}"):
        Nuclei.from_polygons([SQUARE, polygon], ids=[3, 12], repair=repair)


def test_many_bad_outlines_are_counted_and_the_first_named():
    bad = [[(0, 0), (1, 1)]] * 20
    with pytest.raises(NucleiError, match=r"20 of 21 .*number 1 .*number 5 .*and 15 more"):
        Nuclei.from_polygons([SQUARE, *bad])


def test_outlines_that_cross_themselves_are_mended_on_request():
    bow_tie = [(0, 0), (0, 10), (10, 0), (8, 10)]
    mended = Nuclei.from_polygons([SQUARE, bow_tie], repair=True)
    assert_same(mended.take([0]), Nuclei.from_polygons([SQUARE]))
    outline = mended.shapely()[1]
    parts = shapely.make_valid(shapely.Polygon([(c, r) for r, c in bow_tie]))
    assert outline.is_valid
    assert outline.area == pytest.approx(max(part.area for part in parts.geoms), rel=1e-5)


@pytest.mark.parametrize(
    ("ids", "problem"), [([4, 4], "unique.* 4"), ([-1, 0], "between 0"), ([0, 2**31], "between 0")]
)
def test_impossible_ids(ids, problem):
    with pytest.raises(NucleiError, match=problem):
        Nuclei.from_polygons([SQUARE, SQUARE], ids=ids)


def test_a_score_must_be_a_number():
    with pytest.raises(NucleiError, match="score"):
        Nuclei.from_polygons([SQUARE], scores=[np.nan])


def test_ids_of_removed_nuclei_do_not_come_back():
    nuclei = Nuclei.from_polygons([SQUARE, SQUARE], ids=[3, 8]).remove([8])
    assert nuclei.add([SQUARE]).ids.tolist() == [3, 9]
    assert nuclei.add([SQUARE]).take([0]).add([SQUARE]).ids.tolist() == [3, 10]


def test_edits_leave_the_others_as_they_are():
    nuclei = Nuclei.from_polygons(
        scattered(20, 500, 500), ids=np.arange(20)[::-1] * 2, scores=np.linspace(0.5, 1, 20)
    )
    before = rows_of(nuclei)
    edited = nuclei.remove([4, 38]).add([SQUARE]).replace(6, circle(9, 9, 5))
    after = rows_of(edited)
    assert {id_ for id_ in before if before[id_] != after.get(id_)} == {4, 6, 38}
    assert after[39] == (Nuclei.from_polygons([SQUARE]).vertices.tobytes(), 1.0, Source.MANUAL)
    assert after[6] == (circle(9, 9, 5).tobytes(), before[6][1], Source.EDITED)
    assert rows_of(nuclei) == before


@unhurried
@given(st.data())
def test_what_was_derived_survives_edits(data):
    """Areas, centroids and hashes carried along are those computed anew."""
    polygons = data.draw(st.lists(outlines(), min_size=2, max_size=8))
    nuclei = Nuclei.from_polygons(polygons)
    _ = nuclei.areas, nuclei.hashes, nuclei.in_rectangle(0, 0, 1, 1)
    order = data.draw(st.permutations(range(len(nuclei))))
    changed = nuclei.take(order[1:]).add([polygons[0]]).replace(order[1], SQUARE)
    anew = Nuclei.from_polygons(changed.polygons(), changed.ids)
    np.testing.assert_array_equal(changed.areas, anew.areas)
    np.testing.assert_array_equal(changed.centroids, anew.centroids)
    np.testing.assert_array_equal(changed.bounds, anew.bounds)
    np.testing.assert_array_equal(changed.hashes, anew.hashes)
    assert changed.positions_of([order[1]]).tolist() == [0]


def test_hashes_tell_outlines_apart():
    one, other = circle(50, 50, 10), circle(50, 50, 10)
    other[7, 1] = np.nextafter(other[7, 1], np.float32(1000))
    nuclei = Nuclei.from_polygons([one, other, one])
    assert nuclei.hashes.dtype == "<U16"
    assert nuclei.hashes[0] == nuclei.hashes[2] != nuclei.hashes[1]


def test_hashes_do_not_change_from_version_to_version():
    """Features on disk are found again by them."""
    assert Nuclei.from_polygons([SQUARE]).hashes.tolist() == ["624e719d20059990"]


def test_positions_by_id():
    nuclei = Nuclei.from_polygons([SQUARE] * 4, ids=[9, 2, 30, 4])
    assert nuclei.positions_of([4, 9, 30]).tolist() == [3, 0, 2]
    assert nuclei.positions_of(np.array([], np.int64)).tolist() == []
    with pytest.raises(NucleiError, match="no nucleus with id 3, 31"):
        nuclei.positions_of([9, 3, 31])


def test_taking_by_mask_and_by_position():
    nuclei = Nuclei.from_polygons(scattered(5, 100, 100))
    assert nuclei.take(nuclei.ids > 2).ids.tolist() == [3, 4]
    assert nuclei.take([4, 0]).ids.tolist() == [4, 0]
    np.testing.assert_array_equal(nuclei.take([4, 0]).polygon(0), nuclei.polygon(4))


def test_a_nucleus_cannot_be_taken_twice_nor_from_beyond_the_end():
    nuclei = Nuclei.from_polygons([SQUARE] * 3)
    assert nuclei.take([-1]).ids.tolist() == [2]
    with pytest.raises(NucleiError, match=r"unique.* 1"):
        nuclei.take([1, 1])
    with pytest.raises(IndexError):
        nuclei.take([3])
    with pytest.raises(IndexError):
        nuclei.polygon(3)


def test_splicing():
    nuclei = Nuclei.from_polygons([SQUARE] * 5)
    others = Nuclei.from_polygons([SQUARE] * 2, ids=[3, 20])
    spliced = nuclei.splice([3, 0, 3], others, [4, 1])
    assert spliced.ids.tolist() == [1, 20, 2, 4, 3]
    assert spliced.next_id == 21
    with pytest.raises(NucleiError, match=r"unique.* 3"):
        nuclei.splice([0], others, [0, 1])
    with pytest.raises(NucleiError, match="2 nuclei need as many different places"):
        nuclei.splice([3], others, [1, 1])


def test_a_table_from_arrays_and_its_arrays():
    made = Nuclei.from_polygons(scattered(4, 100, 100), scores=[0.5, 0.6, 0.7, 0.8])
    again = Nuclei(made.vertices, made.offsets, made.ids, made.scores, made.sources, next_id=9)
    assert_same(again, made)
    assert (again.next_id, made.next_id) == (9, 4)
    with pytest.raises(NucleiError, match="equal length"):
        Nuclei(made.vertices, made.offsets, made.ids[1:], made.scores, made.sources)


@unhurried
@given(st.data())
def test_one_array_of_outlines_is_a_list_of_them(data):
    """Outlines of as many points each are laid out at once, with the same checks."""
    count = data.draw(st.integers(3, 6))
    radii = st.lists(st.floats(3, 20), min_size=count, max_size=count)
    polygons = data.draw(st.lists(st.builds(star, st.just(50), st.just(50), radii), max_size=4))
    polygons = [*polygons, star(9, 9, [5] * count)]
    if data.draw(st.booleans()):
        polygons[0][-1] = polygons[0][0]
    stack = np.array(polygons)
    try:
        listed = Nuclei.from_polygons(polygons)
    except NucleiError as error:
        with pytest.raises(NucleiError, match=re.escape(str(error))):
            Nuclei.from_polygons(stack)
        return
    stacked = Nuclei.from_polygons(stack)
    stack[:] = 0
    assert_same(stacked, listed)
    np.testing.assert_array_equal(stacked.areas, listed.areas)
    np.testing.assert_array_equal(stacked.centroids, listed.centroids)
    np.testing.assert_array_equal(stacked.bounds, listed.bounds)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30, -1e30])
def test_a_number_beyond_any_slide_in_an_array_is_named(bad):
    stack = np.array([SQUARE] * 3, np.float64)
    stack[1, 2, 0] = bad
    with pytest.raises(NucleiError, match=r"1 of 3 .* number 1 .*not a number"):
        Nuclei.from_polygons(stack)


def test_the_reach_is_a_size_that_no_nucleus_exceeds():
    nuclei = Nuclei.from_polygons([SQUARE, [(0, 0), (0, 30), (20, 0)]])
    assert nuclei.reach == 30
    assert nuclei.add([[(0, 0), (0, 9), (50, 0)]]).reach == 50
    assert nuclei.remove([1]).reach >= 4
    assert Nuclei.empty().reach == 0


@unhurried
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60),
    st.tuples(*[st.floats(-10, 80)] * 4),
)
def test_in_rectangle_is_a_search_through_all(corners, rectangle):
    nuclei = Nuclei.from_polygons([np.add(SQUARE, corner) for corner in corners])
    r0, c0, r1, c1 = rectangle
    row, column = nuclei.centroids.T
    inside = (row >= r0) & (row < r1) & (column >= c0) & (column < c1)
    np.testing.assert_array_equal(nuclei.in_rectangle(*rectangle), np.flatnonzero(inside))


def test_each_nucleus_lies_in_one_rectangle_of_a_tiling():
    nuclei = Nuclei.from_polygons(scattered(300, 400, 400))
    tiles = [
        nuclei.in_rectangle(r, c, r + 50, c + 50)
        for r in range(-50, 450, 50)
        for c in range(-50, 450, 50)
    ]
    assert sorted(np.concatenate(tiles).tolist()) == list(range(300))
