"""How many nuclei lie where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import History, Nuclei
from napari_prts.nuclei.density import density
from tests.nuclei.outlines import circle, scattered, unhurried


def counted_one_by_one(nuclei: Nuclei, shape: tuple[int, int], cell: float) -> list[list[int]]:
    size = [int(np.ceil(side / cell)) for side in shape]
    counts = np.zeros(size, int)
    for row, column in nuclei.centroids.astype(float) + 0.5:
        if 0 <= row < shape[0] and 0 <= column < shape[1]:
            counts[int(row / cell), int(column / cell)] += 1
    return counts.tolist()


def test_each_nucleus_counts_where_its_centroid_lies():
    nuclei = Nuclei.from_polygons([circle(20, 20, 5), circle(40, 30, 5), circle(70, 149, 8)])
    picture = density(nuclei, (100, 150), cell=50)
    assert picture.dtype == np.float32
    assert picture.tolist() == [[2, 0, 0], [0, 0, 1]]


def test_cells_at_the_border_may_be_cut():
    picture = density(Nuclei.from_polygons([circle(99, 99, 4)]), (101, 102), cell=25)
    assert picture.shape == (5, 5)
    assert picture[3, 3] == 1


def test_the_first_cell_begins_half_a_pixel_before_the_first_pixels_centre():
    square = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)])
    nuclei = Nuclei.from_polygons([square + 9.4, square + 9.6])
    assert density(nuclei, (20, 20), cell=10).tolist() == [[1, 0], [0, 1]]


def test_nuclei_beyond_the_slide_are_not_counted():
    nuclei = Nuclei.from_polygons([circle(-30, 10, 5), circle(10, 300, 5), circle(10, 10, 5)])
    assert density(nuclei, (100, 100), cell=100).tolist() == [[1]]
    assert density(Nuclei.empty(), (100, 100), cell=50).tolist() == [[0, 0], [0, 0]]


@unhurried
@given(st.data())
def test_after_edits_the_picture_is_that_of_the_nuclei_now(data):
    history = History(Nuclei.from_polygons(scattered(40, 300, 400)))
    first = density(history.current, (300, 400), 32)
    before = first.copy()
    for _ in range(data.draw(st.integers(1, 8))):
        here = st.floats(-20, 420)
        outlines = st.lists(st.builds(circle, here, here, st.floats(4, 9)), max_size=2)
        ids = st.sampled_from(history.current.ids.tolist())
        history.edit(data.draw(st.sets(ids, max_size=2)), data.draw(outlines))
        if data.draw(st.booleans()):
            history.undo()
        for cell in (32, 100.5):
            picture = density(history.current, (300, 400), cell)
            assert picture.tolist() == counted_one_by_one(history.current, (300, 400), cell)
    np.testing.assert_array_equal(first, before)


def test_a_picture_that_was_given_out_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        density(Nuclei.from_polygons([circle(9, 9, 5)]), (20, 20), 10)[0, 0] = 5


@pytest.mark.parametrize("cell", [0, -4, np.nan, np.inf])
def test_a_cell_has_a_size(cell):
    with pytest.raises(NucleiError, match="cells of some pixels"):
        density(Nuclei.empty(), (20, 20), cell)
