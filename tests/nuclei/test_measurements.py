"""Shape, stain and texture on the real slide that ships with the package."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.errors import MissingPixelSizeError, NucleiError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, measure_nuclei, neighbourhood, rasterise
from napari_prts.slide import Slide, open_slide
from tests.nuclei.outlines import circle, scattered


@pytest.fixture(scope="module")
def slide(request):
    import napari_prts

    folder = napari_prts.__path__[0]
    return open_slide(f"{folder}/data/CMU-1-Small-Region.svs")


@pytest.fixture(scope="module")
def nuclei(slide):
    """Nuclei over a part of the slide that several blocks make up, and over its corner."""
    return Nuclei.from_polygons([*scattered(120, 700, 700), circle(-2, -2, 6), circle(300, 2, 8)])


@pytest.fixture(scope="module")
def measured(slide, nuclei):
    return run(measure_nuclei(slide, nuclei))


def column(measurements, name):
    return measurements.values[:, measurements.names.index(name)]


def painted(*colours, side=60):
    """A slide of vertical stripes, 0.5 um per pixel."""
    pixels = np.concatenate([np.full((side, side, 3), colour, np.uint8) for colour in colours], 1)
    return Slide.from_array(pixels, 0.5)


def test_every_value_is_a_number(measured, nuclei):
    assert measured.values.shape == (len(nuclei), len(measured.names))
    assert measured.values.dtype == np.float32
    assert np.isfinite(measured.values).all()
    assert len(set(measured.names)) == len(measured.names)


@pytest.mark.parametrize("block", [64, 200, 333])
def test_values_do_not_depend_on_blocks(slide, nuclei, measured, block):
    again = run(measure_nuclei(slide, nuclei, block=block))
    np.testing.assert_array_equal(again.values, measured.values)


def test_values_do_not_depend_on_other_nuclei(slide, nuclei, measured):
    some = [40, 3, 121, 7]
    by_position = run(measure_nuclei(slide, nuclei, positions=some))
    alone = run(measure_nuclei(slide, nuclei.take(some)))
    np.testing.assert_array_equal(by_position.values, measured.values[some])
    np.testing.assert_array_equal(alone.values, measured.values[some])


def test_shape_of_an_ellipse():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ellipse = np.column_stack([50 + 20 * np.sin(angle), 50 + 10 * np.cos(angle)])
    turned = ellipse[:, ::-1]
    found = run(
        measure_nuclei(painted((9, 9, 9), (9, 9, 9)), Nuclei.from_polygons([ellipse, turned]))
    )
    for name, expected in {
        "area_um2": np.pi * 10 * 5,
        "perimeter_um": 48.44,
        "major_axis_um": 20,
        "minor_axis_um": 10,
        "eccentricity": np.sqrt(3) / 2,
        "solidity": 1,
        "roundness": 4 * np.pi * np.pi * 50 / 48.44**2,
    }.items():
        np.testing.assert_allclose(column(found, name), expected, rtol=1e-3, err_msg=name)


def test_solidity_of_a_notched_square():
    notched = [(0, 0), (0, 20), (10, 10), (20, 20), (20, 0)]
    found = run(measure_nuclei(painted((9, 9, 9)), Nuclei.from_polygons([notched])))
    assert column(found, "solidity")[0] == pytest.approx(0.75)


def test_colours_are_those_of_the_pixels_inside(slide, nuclei):
    at_full_resolution = slide.mpp
    found = run(measure_nuclei(slide, nuclei, mpp=at_full_resolution))
    pixels = slide.read(0, 0, 800, 800).astype(float)
    for position in (0, 5, 50):
        inside = rasterise([nuclei.polygon(position)], 800, 800) > 0
        for channel, name in enumerate(("red_mean", "green_mean", "blue_mean")):
            assert column(found, name)[position] == pytest.approx(pixels[inside, channel].mean())


def test_stains_are_told_apart():
    blue, pink, glass = (90, 80, 160), (230, 130, 200), (255, 255, 255)
    slide = painted(blue, pink, glass)
    found = run(
        measure_nuclei(slide, Nuclei.from_polygons([circle(30, c, 8) for c in (30, 90, 150)]))
    )
    haematoxylin, eosin = column(found, "haematoxylin_mean"), column(found, "eosin_mean")
    assert haematoxylin[0] > 5 * abs(haematoxylin[1])
    assert eosin[1] > 2 * abs(eosin[0])
    assert [haematoxylin[2], eosin[2]] == [0, 0]
    for name in ("haematoxylin_std", "grey_std", "gradient", "laplacian", "local_contrast"):
        np.testing.assert_allclose(column(found, name), 0, atol=1e-4, err_msg=name)


def test_stain_and_ring_agree_with_scikit_image():
    from skimage.color import hed_from_rgb
    from skimage.morphology import dilation, disk

    pixels = np.random.default_rng(0).integers(60, 250, (60, 60, 3), np.uint8)
    outline = circle(30, 30, 9)
    found = run(measure_nuclei(Slide.from_array(pixels, 0.5), Nuclei.from_polygons([outline])))
    inside = rasterise([outline], 60, 60) > 0
    ring = dilation(inside, disk(6)) & ~inside
    theirs = -np.log10(pixels / 255) @ hed_from_rgb
    for stain, channel in (("haematoxylin", 0), ("eosin", 1)):
        for prefix, mask in (("", inside), ("ring_", ring)):
            values = theirs[mask, channel]
            mean, std = (column(found, f"{prefix}{stain}_{what}")[0] for what in ("mean", "std"))
            assert mean == pytest.approx(values.mean(), rel=0.01, abs=0.01)
            assert std == pytest.approx(values.std(), rel=0.01)


def test_texture_tells_a_rough_nucleus_from_a_smooth_one():
    pixels = np.full((60, 120, 3), 128, np.uint8)
    pixels[:, :60] += np.random.default_rng(0).integers(0, 60, (60, 60, 1), np.uint8)
    pixels[:, 60:] += np.linspace(0, 60, 60).astype(np.uint8)[None, :, None]
    found = run(
        measure_nuclei(
            Slide.from_array(pixels, 0.5),
            Nuclei.from_polygons([circle(30, c, 12) for c in (30, 90)]),
        )
    )
    for name in ("gradient", "laplacian", "local_contrast"):
        rough, smooth = column(found, name)
        assert rough > 3 * smooth, name
    # One grey level a pixel.
    assert column(found, "gradient")[1] == pytest.approx(1, abs=0.05)


def test_nuclei_smaller_than_a_pixel_and_larger_than_a_block(slide):
    tiny, huge = circle(100.3, 100.4, 0.2), circle(400, 400, 300)
    found = run(measure_nuclei(slide, Nuclei.from_polygons([tiny, huge]), block=256))
    assert np.isfinite(found.values).all()
    again = run(measure_nuclei(slide, Nuclei.from_polygons([huge])))
    np.testing.assert_array_equal(found.values[1], again.values[0])


def test_progress_and_no_nuclei(slide, nuclei):
    reports = []
    run(measure_nuclei(slide, nuclei, block=256), reports.append)
    assert [report.done for report in reports] == list(range(len(reports)))
    assert {(report.total, report.unit) for report in reports} == {(len(reports) - 1, "blocks")}
    assert run(measure_nuclei(slide, Nuclei.empty())).values.shape[0] == 0


def test_the_pixel_size_must_be_known_and_fine_enough(slide, nuclei):
    unknown = Slide.from_array(np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(MissingPixelSizeError):
        run(measure_nuclei(unknown, nuclei))
    with pytest.raises(NucleiError, match=r"0\.05 to 2 um"):
        run(measure_nuclei(slide, nuclei, mpp=8))


def test_neighbourhood_is_a_mean_over_the_others_nearby():
    rng = np.random.default_rng(0)
    points, values = rng.uniform(0, 300, (200, 2)), rng.normal(size=(200, 2))
    names, table = neighbourhood(values, points, (25, 60), names=("area", "stain"))
    assert names == (
        "density_25um", "area_mean_25um", "stain_mean_25um",
        "density_60um", "area_mean_60um", "stain_mean_60um",
    )  # fmt: skip
    assert table.dtype == np.float32
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    for index, radius in enumerate((25, 60)):
        near = distance <= radius
        density, means = table[:, 3 * index], table[:, 3 * index + 1 : 3 * index + 3]
        np.testing.assert_allclose(density, near.sum(1) / (np.pi * (radius / 1000) ** 2), rtol=1e-5)
        for i in range(200):
            expected = values[near[i]].mean(0) if near[i].any() else values[i]
            np.testing.assert_allclose(means[i], expected, rtol=1e-4, atol=1e-6)


def test_a_lone_nucleus_is_its_own_neighbourhood():
    names, table = neighbourhood(np.array([[3.0], [5.0]]), np.array([[0, 0], [900, 0]]))
    assert len(names) == 6
    assert table[:, 0::2].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert table[:, 1::2].tolist() == [[3, 3, 3], [5, 5, 5]]
    assert neighbourhood(np.zeros((0, 2)), np.zeros((0, 2)))[1].shape == (0, 9)


def test_nuclei_on_the_same_spot_are_neighbours():
    _, table = neighbourhood(np.array([[1.0], [7.0]]), np.zeros((2, 2)), (10,))
    assert table[:, 1].tolist() == [7, 1]
