"""Levels as lazy arrays for napari and dask."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.errors import SlideError
from napari_prts.slide import Slide, open_slide
from napari_prts.slide.blocks import BlockCache, CachedPixels
from napari_prts.slide.levels import as_dask, halve, stack
from napari_prts.slide.pixels import ArrayPixels
from tests.slide.conftest import Image, picture

slices = st.slices(130)


@settings(max_examples=60, deadline=None)
@given(rows=st.one_of(slices, st.integers(-130, 129)), columns=slices, colours=st.slices(3))
def test_a_lazy_array_slices_as_numpy_does(
    rows: slice | int, columns: slice, colours: slice
) -> None:
    image = picture(130, 130)
    array = as_dask(ArrayPixels(image, "picture", chunk=(20, 20)), "picture")
    np.testing.assert_array_equal(
        array[rows, columns, colours].compute(scheduler="synchronous"),
        image[rows, columns, colours],
    )


@pytest.mark.parametrize("tile", [16, 240, 256, 512, 1024, 2048, 3072])
def test_chunks_fit_both_the_file_and_the_screen(tile: int) -> None:
    class Wide:
        shape = (20_000, 20_000)
        chunk = (tile, tile)

    chunks = as_dask(Wide(), "wide").chunksize  # type: ignore[arg-type]
    assert 512 <= chunks[0] <= 1024
    assert chunks[0] % tile == 0 or tile % chunks[0] == 0
    assert chunks[2] == 3


def test_levels_are_lazy_and_halve_until_they_fit_a_screen(demo_slide: Slide) -> None:
    shapes = [level.shape for level in demo_slide.levels]
    assert shapes == [(2967, 2220, 3), (1484, 1110, 3), (742, 555, 3)]
    assert all(level.dtype == np.uint8 for level in demo_slide.levels)
    assert demo_slide.levels[0].chunksize == (720, 720, 3)
    full = demo_slide.levels[0].compute()
    np.testing.assert_array_equal(demo_slide.levels[1].compute(), halve(full))
    np.testing.assert_array_equal(demo_slide.levels[2].compute(), halve(halve(full)))


def test_halving_an_odd_picture() -> None:
    image = np.array([[[10], [20], [30]], [[30], [40], [50]], [[7], [9], [11]]], np.uint8)
    halved = halve(image.repeat(3, axis=2))
    assert halved[..., 0].tolist() == [[25, 40], [8, 11]]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(1000, 801), (500, 400)], (1.0, 2.0)),
        ([(1000, 801), (500, 401), (250, 201)], (1.0, 2.0, 4.0)),
        ([(2967, 2220), (741, 555), (185, 138)], (1.0, 4.0, 16.0)),
        ([(250, 201), (1000, 801)], (1.0, 4.0)),
        ([(1000, 800), (667, 533)], (1.0, 1.5)),
        ([(100000, 12050), (782, 95)], (1.0, 128.0)),
        ([(9000, 120000), (71, 938)], (1.0, 128.0)),
    ],
)
def test_downsampling_of_levels(shapes: list[tuple[int, int]], expected: tuple[float, ...]) -> None:
    levels = [ArrayPixels(np.zeros((*shape, 3), np.uint8), "a") for shape in shapes]
    found = [level.downsample for level in stack(list(levels), "a")]
    assert found == pytest.approx(expected, rel=2e-3)


def test_a_level_of_another_aspect_is_refused() -> None:
    levels = [ArrayPixels(np.zeros((*s, 3), np.uint8), "a") for s in [(1000, 800), (500, 300)]]
    with pytest.raises(SlideError, match="500 x 300"):
        stack(list(levels), "a.tif")


class Counting(ArrayPixels):
    """Pixels that note which blocks are decoded."""

    def __init__(self, image: Image, chunk: tuple[int, int]) -> None:
        super().__init__(image, "picture", chunk=chunk)
        self.decoded: list[tuple[int, int]] = []

    def read(self, top: int, left: int, bottom: int, right: int) -> Image:
        self.decoded.append((top, left))
        return super().read(top, left, bottom, right).copy()


def test_decoded_blocks_are_remembered_within_a_budget() -> None:
    image = picture(1024, 512)
    inner = Counting(image, chunk=(256, 256))
    pixels = CachedPixels(inner, BlockCache(budget=3 * 256 * 256 * 3))
    for _ in range(3):
        np.testing.assert_array_equal(pixels.read(10, 10, 500, 200), image[10:500, 10:200])
    # Several threads decode, in any order.
    assert sorted(inner.decoded) == [(0, 0), (256, 0)]
    pixels.read(512, 0, 1024, 256)
    assert sorted(inner.decoded[2:]) == [(512, 0), (768, 0)]
    # Only three blocks fit: the one that was not used for longest has made room.
    pixels.read(300, 0, 1000, 200)
    assert len(inner.decoded) == 4
    pixels.read(0, 0, 1, 1)
    assert inner.decoded[4:] == [(0, 0)]


def test_small_tiles_are_decoded_several_at_a_time() -> None:
    inner = Counting(picture(512, 512), chunk=(48, 200))
    pixels = CachedPixels(inner, BlockCache())
    assert pixels.chunk == (144, 200)
    pixels.read(143, 199, 145, 201)
    assert sorted(inner.decoded) == [(0, 0), (0, 200), (144, 0), (144, 200)]


def test_what_is_at_hand_is_told_without_decoding() -> None:
    image = picture(512, 512)
    inner = Counting(image, chunk=(256, 256))
    pixels = CachedPixels(inner, BlockCache())
    pixels.read(0, 0, 256, 256)
    shown = np.zeros((100, 100, 3), np.uint8)
    assert pixels.paste_remembered(shown, 100, 100)
    np.testing.assert_array_equal(shown, image[100:200, 100:200])
    shown[:] = 7
    assert not pixels.paste_remembered(shown, 100, 200)
    np.testing.assert_array_equal(shown[:, :56], image[100:200, 200:256])
    assert (shown[:, 56:] == 7).all()
    assert inner.decoded == [(0, 0)]


def test_what_is_remembered_cannot_be_written_to() -> None:
    cache = BlockCache()
    made = cache.get({"a": lambda: np.zeros((2, 2, 3), np.uint8)})
    assert cache.peek("a") is made["a"]
    with pytest.raises(ValueError, match="read-only"):
        made["a"][:] = 1


def test_blocks_are_decoded_on_several_cores() -> None:
    at_once = threading.Barrier(min(2, os.cpu_count() or 1))

    def make() -> Image:
        # Goes on only when another block is being made too.
        at_once.wait(60)
        return np.zeros((2, 2, 3), np.uint8)

    assert len(BlockCache().get({"a": make, "b": make})) == 2


def test_hundreds_of_blocks_in_one_read() -> None:
    image = picture(1300, 1300)
    pixels = CachedPixels(ArrayPixels(image, "a", chunk=(128, 128)), BlockCache(budget=1))
    np.testing.assert_array_equal(pixels.read(1, 1, 1300, 1300), image[1:, 1:])


def test_what_cannot_be_decoded_raises_unless_it_is_recorded() -> None:
    shapeless = ArrayPixels(np.zeros((256, 256, 3), np.uint8), "torn", chunk=(128, 128))
    shapeless._array = None
    with pytest.raises(SlideError, match="torn: rows 0 to 128, columns 128 to 256"):
        CachedPixels(shapeless, BlockCache()).read(0, 200, 10, 210)


def test_threads_end_with_the_slide_that_they_read(demo_slide_path: Path) -> None:
    slide = open_slide(demo_slide_path)
    before = set(threading.enumerate())
    slide.read(0, 0, 2000, 2000)
    started = set(threading.enumerate()) - before
    assert len(started) == min(os.cpu_count() or 1, 8)
    del slide
    gc.collect()
    for thread in started:
        thread.join(60)
        assert not thread.is_alive()


def test_a_stripped_tiff_is_decoded_once(tmp_path: Path) -> None:
    image = picture(5000, 300)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", compression="zlib", rowsperstrip=5000)
    slide = open_slide(path)
    np.testing.assert_array_equal(slide.read(100, 100, 50, 50), image[100:150, 100:150])
    # Nothing can be read from the file any more.
    path.write_bytes(b"")
    np.testing.assert_array_equal(slide.read(4000, 100, 50, 50), image[4000:4050, 100:150])


def test_the_file_is_closed_with_the_last_of_its_pixels(
    demo_slide_path: Path, tmp_path: Path
) -> None:
    # A copy: other tests keep the slide itself open.
    path = tmp_path / "skin.svs"
    path.write_bytes(demo_slide_path.read_bytes())
    slide = open_slide(path)
    level = slide.levels[1]
    del slide
    gc.collect()
    assert is_open(path)
    assert level.compute().shape == (1484, 1110, 3)
    del level
    gc.collect()
    assert not is_open(path)


def is_open(path: Path) -> bool:
    return str(path) in [file.path for file in psutil.Process().open_files()]
