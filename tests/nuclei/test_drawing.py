"""Label images: nuclei drawn, and nuclei read from them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.io import imread, imsave

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei, rasterise, read_labels, read_nuclei
from tests.nuclei.outlines import circle, outlines, scattered, unhurried

SQUARE = np.array([(2, 3), (2, 6), (5, 6), (5, 3)], np.float32)


def test_a_pixel_is_drawn_when_its_centre_lies_inside():
    image = rasterise([SQUARE], 8, 8)
    assert image.dtype == np.int32
    assert np.argwhere(image).min(axis=0).tolist() == [2, 3]
    assert np.argwhere(image).max(axis=0).tolist() == [4, 5]
    assert image.sum() == 9


@unhurried
@given(outlines(80))
def test_drawing_is_shapelys_point_in_polygon(outline):
    image = rasterise([outline], 130, 130)
    row, column = np.indices(image.shape).reshape(2, -1)
    polygon = Nuclei.from_polygons([outline]).shapely()[0]
    inside = shapely.contains_xy(polygon, column, row)
    # A pixel whose centre lies on the border belongs to one side or the other.
    clear = inside == shapely.intersects_xy(polygon, column, row)
    if inside.any():
        np.testing.assert_array_equal(image.ravel()[clear] > 0, inside[clear])


def test_values_windows_and_order():
    image = rasterise([SQUARE, SQUARE + 1], 4, 4, offset=(2, 3), values=[7, 40])
    assert image.tolist() == [[7, 7, 7, 0], [7, 40, 40, 40], [7, 40, 40, 40], [0, 40, 40, 40]]
    assert rasterise([], 3, 4).tolist() == [[0] * 4] * 3


@unhurried
@given(st.integers(0, 60), st.integers(0, 60))
def test_windows_are_cut_from_the_whole(row, column):
    polygons = scattered(20, 100, 100)
    whole = rasterise(polygons, 100, 100)
    window = rasterise(polygons, 30, 40, offset=(row, column))
    np.testing.assert_array_equal(window, whole[row : row + 30, column : column + 40])


def test_a_table_draws_as_its_polygons_do():
    polygons = scattered(20, 100, 100)
    table = rasterise(Nuclei.from_polygons(polygons), 50, 50, scale=0.5)
    np.testing.assert_array_equal(table, rasterise(polygons, 50, 50, scale=0.5))


def test_scaled_drawing_lies_on_the_same_place():
    image = rasterise([circle(99.5, 299.5, 40)], 50, 100, scale=1 / 4)
    centre = ndimage.center_of_mass(image)
    # The middle between level-0 pixels 99 and 100 is that between pixels 24 and 25.
    assert centre == pytest.approx((24.5, 74.5), abs=0.6)
    enlarged = rasterise([SQUARE], 16, 16, scale=2)
    assert enlarged.sum() == 36


def test_nuclei_smaller_than_a_pixel_are_one_pixel():
    nuclei = Nuclei.from_polygons(scattered(50, 1000, 1000))
    image = rasterise(nuclei, 10, 10, scale=1 / 100)
    assert (image > 0).sum() > 20
    assert rasterise([circle(50, 150, 5)], 2, 2, scale=1 / 100).tolist() == [[0, 1], [0, 0]]


def test_neighbours_that_share_a_border_share_no_pixel_and_leave_none():
    halves = [np.array([(0, 0), (0, 7.3), (20, 11.9), (20, 0)], np.float32),
              np.array([(0, 7.3), (0, 20), (20, 20), (20, 11.9)], np.float32)]  # fmt: skip
    one, other = (rasterise([half], 20, 20) > 0 for half in halves)
    assert (one ^ other).all()


@unhurried
@given(st.lists(outlines(80), min_size=1, max_size=6))
def test_labels_read_and_drawn_again_are_the_same(polygons):
    labels = rasterise(polygons, 130, 130)
    nuclei = read_labels(labels)
    again = rasterise(nuclei, *labels.shape, values=nuclei.ids)
    assert set(nuclei.ids.tolist()) == set(np.unique(labels).tolist()) - {0}
    for label in nuclei.ids:
        mask = labels == label
        whole = ndimage.label(mask)[1] == 1 and (ndimage.binary_fill_holes(mask) == mask).all()
        if whole:
            np.testing.assert_array_equal(again == label, mask)


def test_areas_of_outlined_labels_are_not_biased():
    labels = rasterise([circle(50, 50, 20), circle(150, 50, 12)], 200, 100)
    np.testing.assert_allclose(read_labels(labels).areas, np.bincount(labels.flat)[1:], atol=1)


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".npy"])
def test_label_files(tmp_path, ending):
    labels = rasterise([SQUARE, SQUARE + 10], 30, 30, values=[3, 900]).astype(np.uint16)
    path = tmp_path / f"labels{ending}"
    if ending == ".npy":
        np.save(path, labels)
    elif ending == ".png":
        imsave(path, labels, check_contrast=False)
    else:
        tifffile.imwrite(path, labels)
    nuclei = read_nuclei(path, (30, 30))
    assert nuclei.ids.tolist() == [3, 900]
    with pytest.raises(NucleiError, match=r"30 x 30 pixels.*slide 60 x 75"):
        read_nuclei(path, (60, 75))


def test_the_indices_of_a_palette_are_labels(tmp_path):
    image = Image.fromarray(rasterise([SQUARE, SQUARE + 10], 30, 30).astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "labels.png")
    assert read_nuclei(tmp_path / "labels.png").ids.tolist() == [1, 2]


def test_large_labels_and_pieces():
    labels = np.zeros((40, 40), np.uint32)
    labels[2:5, 2:5] = 2_000_000_000
    labels[20:30, 20:30] = 6
    labels[35, 35] = 6
    nuclei = read_labels(labels)
    assert nuclei.ids.tolist() == [6, 2_000_000_000]
    assert nuclei.bounds[0].tolist() == [19.5, 19.5, 29.5, 29.5]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros((9, 9), np.uint8), "holds no nuclei"),
        (np.zeros((0, 9), np.uint8), "holds no nuclei"),
        (np.zeros((9, 9, 3), np.uint8), "colour image"),
        (np.ones((9, 9)), "whole numbers"),
        (np.eye(9, dtype=bool), "a mask, not a label image"),
        (np.eye(9, dtype=np.uint8) * 255, "a mask, not a label image"),
    ],
)
def test_what_is_no_label_image(labels, problem):
    with pytest.raises(NucleiError, match=problem):
        read_labels(labels)


def test_label_files_that_cannot_be_read(tmp_path):
    with pytest.raises(NucleiError, match="no file"):
        read_nuclei(tmp_path / "labels.png")
    for name in ("labels.png", "labels.tif", "labels.npy"):
        (tmp_path / name).write_bytes(b"not an image")
        with pytest.raises(NucleiError, match="cannot be read"):
            read_nuclei(tmp_path / name)


def test_real_outlined_nuclei_survive_the_round_trip(shared_data):
    path = sorted((shared_data / "nuclei" / "tnbc").glob("*_labels.png"))[0]
    labels = imread(path)
    nuclei = read_nuclei(path, labels.shape)
    assert len(nuclei) == len(np.unique(labels)) - 1
    again = rasterise(nuclei, *labels.shape, values=nuclei.ids)
    assert (again == labels).mean() > 0.9999
