"""Reading any rectangle at any resolution, against a plain reference."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_prts.errors import SlideError
from napari_prts.slide import Slide, open_slide
from napari_prts.slide.regions import Rectangle, sample
from tests.slide.conftest import Image, picture, write_pyramid

MPP = 0.5
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
positions = st.one_of(
    st.integers(-700, 700), st.floats(-700, 700), st.sampled_from([-1e6, 1e6, 0.5, -0.25])
)


def averaging(start: float, step: float, count: int, size: int) -> NDArray[np.float64]:
    """Return how much of each pixel is in each output pixel, one row each."""
    breadth = max(step, 1.0)
    low = start + (np.arange(count)[:, None] + 0.5) * step - breadth / 2
    pixel = np.arange(size)[None, :]
    overlap = np.minimum(low + breadth, pixel + 1) - np.maximum(low, pixel)
    return np.asarray(np.clip(overlap, 0, None) / breadth)


def reference(
    image: Image, row: float, column: float, height: int, width: int, step: float, glass: Image
) -> NDArray[np.float64]:
    rows = averaging(row, step, height, image.shape[0])
    columns = averaging(column, step, width, image.shape[1])
    sums = np.einsum("ir,jc,rcs->ijs", rows, columns, image.astype(float), optimize=True)
    outside = 1 - rows.sum(axis=1)[:, None] * columns.sum(axis=1)[None]
    return np.asarray(sums + outside[..., None] * glass)


@pytest.fixture(scope="module")
def image() -> Image:
    """Picture too small for lower levels, so that all is averaged from level 0."""
    return picture(310, 267)


BACKED: dict[str, dict[str, Any] | None] = {
    "array": None,
    "tiles": {"tile": (64, 48), "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "lzw", "predictor": True},
}


@pytest.fixture(scope="module", params=list(BACKED))
def slide(
    image: Image, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Slide:
    """The picture in memory, and in TIFF files of which many tiles meet in a rectangle."""
    options = BACKED[request.param]
    if options is None:
        return Slide.from_array(image, mpp=MPP)
    path = tmp_path_factory.mktemp("backed") / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", **options)
    return open_slide(path, mpp=MPP)


@few
@given(
    row=positions,
    column=positions,
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    mpp=st.floats(0.06, 8),
)
def test_any_rectangle_at_any_resolution(
    slide: Slide, image: Image, row: float, column: float, height: int, width: int, mpp: float
) -> None:
    found = slide.read(row, column, height, width, mpp=mpp)
    glass = np.array(slide.background)
    expected = reference(image, row, column, height, width, mpp / MPP, glass)
    assert (found.shape, found.dtype) == ((height, width, 3), np.uint8)
    assert np.abs(found - expected).max() <= 0.51


@few
@given(
    row=st.integers(-400, 400),
    column=st.integers(-400, 400),
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    stated=st.booleans(),
)
def test_full_resolution_is_the_very_pixels(
    slide: Slide, image: Image, row: int, column: int, height: int, width: int, stated: bool
) -> None:
    found = slide.read(row, column, height, width, mpp=MPP if stated else None)
    padded = np.empty((height, width, 3), np.uint8)
    padded[:] = slide.background
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + height, image.shape[0]), min(column + width, image.shape[1])
    if top < bottom and left < right:
        padded[top - row : bottom - row, left - column : right - column] = image[
            top:bottom, left:right
        ]
    np.testing.assert_array_equal(found, padded)


@pytest.fixture(scope="module", params=["array", "tiff"])
def smooth_slide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """Slide with three levels, its own or made, and no detail finer than its lowest."""
    rows, columns = np.mgrid[:2301, :1710] / 40
    waves = [np.sin(rows), np.sin(columns), np.sin(rows + columns)]
    image = (120 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    if request.param == "array":
        return Slide.from_array(image, mpp=MPP)
    path = tmp_path_factory.mktemp("smooth") / "a.tif"
    write_pyramid(path, image, levels=3, subifds=True)
    return open_slide(path, mpp=MPP)


@few
@given(row=st.floats(-60, 2400), column=st.floats(-60, 1800), mpp=st.floats(0.4, 6))
def test_lower_levels_give_the_same_picture(
    smooth_slide: Slide, row: float, column: float, mpp: float
) -> None:
    assert smooth_slide.downsamples == (1.0, 2.0, 4.0)
    found = smooth_slide.read(row, column, 15, 12, mpp=mpp)
    rectangle = Rectangle(row, column, 15, 12, mpp / MPP)
    expected = sample(smooth_slide.stack[:1], rectangle).on(smooth_slide.background)
    # Levels are rounded to whole grey values; at the slide's end a coarse pixel is whole.
    assert np.abs(found.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("factor", [2, 4])
def test_halves_and_quarters_are_read_from_their_levels(picture_slide: Slide, factor: int) -> None:
    found = picture_slide.read(64 * factor, 32 * factor, 90, 80, mpp=MPP * factor)
    whole = picture_slide.stack[0].pixels.read(0, 0, *picture_slide.shape).astype(float)
    rows, columns = (length // factor * factor for length in picture_slide.shape)
    means = (
        whole[:rows, :columns]
        .reshape(rows // factor, factor, columns // factor, factor, 3)
        .mean(axis=(1, 3))
    )
    assert np.abs(found - means[64:154, 32:112]).max() <= 0.51 * factor / 2 + 0.25


def test_twice_as_fine_keeps_the_place() -> None:
    image = np.full((64, 64, 3), 255, np.uint8)
    image[20:30, 40:50] = 0
    slide = Slide.from_array(image, mpp=0.5)
    fine = slide.read(10, 30, 80, 80, mpp=0.25)
    dark = np.argwhere(fine[..., 0] < 128)
    assert dark.min(axis=0).tolist() == [20, 20]
    assert dark.max(axis=0).tolist() == [39, 39]


def test_outside_is_the_colour_of_the_glass(demo_slide: Slide) -> None:
    corner = demo_slide.read(-300, -300, 256, 256, mpp=0.5)
    assert np.unique(corner.reshape(-1, 3), axis=0).tolist() == [list(demo_slide.background)]
    assert all(235 <= value <= 250 for value in demo_slide.background)


def test_large_reads_are_made_in_bands(
    picture_slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture_slide.read(-10.5, 3, 700, 500, mpp=0.8)
    monkeypatch.setattr("napari_prts.slide.regions._BAND_PIXELS", 7_000)
    np.testing.assert_array_equal(picture_slide.read(-10.5, 3, 700, 500, mpp=0.8), whole)


def test_what_is_read_belongs_to_the_reader(slide: Slide, image: Image) -> None:
    slide.read(5, 5, 20, 20)[:] = 0
    np.testing.assert_array_equal(slide.read(5, 5, 20, 20), image[5:25, 5:25])


@pytest.mark.parametrize(
    "wrong", [(0, 0, 0, 5), (0, 0, 5, -1), (math.nan, 0, 5, 5), (0, math.inf, 5, 5)]
)
def test_no_region(slide: Slide, wrong: tuple[float, float, int, int]) -> None:
    with pytest.raises(SlideError, match="no region"):
        slide.read(*wrong)
    with pytest.raises(SlideError, match="um per pixel"):
        slide.read(0, 0, 5, 5, mpp=0)


@pytest.mark.parametrize("layout", ["svs", "stripped tiff", "array"])
def test_many_threads_read_at_once(tmp_path: Path, demo_slide_path: Path, layout: str) -> None:
    if layout == "svs":
        slide, image = open_slide(demo_slide_path), tifffile.imread(demo_slide_path)
    else:
        image = picture(1500, 1200)
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", compression="zlib")
        slide = open_slide(tmp_path / "a.tif") if "tiff" in layout else Slide.from_array(image)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 1000, (200, 2)).tolist()

    def read(corner: list[int]) -> bool:
        row, column = corner
        found = slide.read(row, column, 100, 100)
        return bool((found == image[row : row + 100, column : column + 100]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, corners))


def test_one_thread_surveys_and_the_others_wait(demo_slide_path: Path) -> None:
    slide = open_slide(demo_slide_path)
    with ThreadPoolExecutor(4) as pool:
        surveys = list(pool.map(lambda _: slide.survey(), range(8)))
    assert all(survey is surveys[0] for survey in surveys)
