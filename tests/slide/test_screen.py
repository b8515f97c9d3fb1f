"""A window never waits: it gets what is at hand at once, and the rest when it has come."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_prts.slide import Slide, open_slide
from napari_prts.slide.blocks import BlockCache, CachedPixels
from napari_prts.slide.damage import Damage
from napari_prts.slide.levels import halve, stack
from napari_prts.slide.pixels import ArrayPixels
from napari_prts.slide.screen import Screen, ScreenLevel
from tests.slide.conftest import Image, picture, write_pyramid
from tests.slide.test_damage import spoil
from tests.slide.test_growing import smooth_picture

Result = TypeVar("Result")
BLANK = 77
STRIPES = ([255, 140, 0], [40, 40, 40])
# Long enough for any machine; nobody waits for it unless the test fails.
A_WHILE = 60


class SlowPixels(ArrayPixels):
    """Pixels whose decoding waits until it is let go on."""

    def __init__(self, image: Image) -> None:
        super().__init__(image, "slow", chunk=(128, 128))
        self.go_on = threading.Event()
        self.decoded: list[tuple[int, int]] = []

    def read(self, top: int, left: int, bottom: int, right: int) -> Image:
        assert self.go_on.wait(A_WHILE)
        self.decoded.append((top, left))
        return super().read(top, left, bottom, right).copy()


class Slow:
    """A slide of three levels, 1024 x 896 px, half and a quarter of that; the first is slow.

    Its screen does not wait for anything. Its lowest level is blank, so that one can tell it
    from the others.
    """

    def __init__(self, image: Image, budget: int = 2**27) -> None:
        self.image = image
        self.half = halve(image)
        self.pixels = SlowPixels(image)
        self.damage = Damage((image.shape[0], image.shape[1]))
        cache = BlockCache(budget)
        half = CachedPixels(ArrayPixels(self.half, "half", chunk=(128, 128)), cache)
        blank = ArrayPixels(np.full((256, 224, 3), BLANK, np.uint8), "blank")
        levels = stack([CachedPixels(self.pixels, cache, self.damage), half, blank], "slow")
        self.slide = Slide(
            None, "array", levels, 0.5, "user", "fingerprint", "slow", damage=self.damage
        )
        self.screen = Screen(self.slide, patience=0)
        self.arrived = threading.Event()
        self.screen.arrived.connect(self.arrived.set)

    def let_arrive(self) -> None:
        """Let what is being decoded go on, and wait until the screen says that it has come."""
        self.pixels.go_on.set()
        assert self.arrived.wait(A_WHILE)
        self.arrived.clear()


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow(smooth_picture(1024, 896))
    yield slow
    slow.pixels.go_on.set()


def elsewhere(work: Callable[[], Result]) -> Result:
    """Do something on another thread than the main one."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(work).result()


VIEW = (slice(200, 500), slice(100, 420))


def test_what_is_not_decoded_yet_is_enlarged_from_a_coarser_level(slow: Slow) -> None:
    full, half, _ = slow.screen.levels
    elsewhere(lambda: half[:])
    first = full[VIEW]
    # Nothing of the full resolution has been decoded.
    assert slow.pixels.decoded == []
    assert not slow.arrived.is_set()
    assert np.abs(first - slow.image[VIEW].astype(int)).max() <= 8

    slow.let_arrive()
    np.testing.assert_array_equal(full[VIEW], slow.image[VIEW])


def test_the_lowest_level_is_at_hand_from_the_beginning(slow: Slow) -> None:
    full, _, lowest = slow.screen.levels
    # A plain array, because napari reads the lowest level only once.
    assert isinstance(lowest, np.ndarray)
    assert lowest.shape == (256, 224, 3)
    assert (full[VIEW] == BLANK).all()
    slow.let_arrive()
    np.testing.assert_array_equal(full[VIEW], slow.image[VIEW])


def test_decoded_blocks_are_shown_as_they_are(slow: Slow) -> None:
    full, _, _ = slow.screen.levels
    slow.pixels.go_on.set()
    slow.slide.read(256, 128, 128, 128)
    slow.pixels.go_on.clear()
    first = full[VIEW]
    exact = np.zeros((1024, 896), bool)
    exact[256:384, 128:256] = True
    exact = exact[VIEW]
    np.testing.assert_array_equal(first[exact], slow.image[VIEW][exact])
    assert (first[~exact] == BLANK).all()
    slow.let_arrive()
    np.testing.assert_array_equal(full[VIEW], slow.image[VIEW])


def test_what_is_decoded_already_comes_at_once(slow: Slow) -> None:
    full, _, _ = slow.screen.levels
    slow.pixels.go_on.set()
    elsewhere(lambda: full[VIEW])
    slow.pixels.go_on.clear()
    np.testing.assert_array_equal(full[VIEW], slow.image[VIEW])
    assert not slow.arrived.is_set()


def test_on_another_thread_it_comes_whole(slow: Slow) -> None:
    slow.pixels.go_on.set()
    full, half, _ = slow.screen.levels
    np.testing.assert_array_equal(elsewhere(lambda: full[VIEW]), slow.image[VIEW])
    np.testing.assert_array_equal(elsewhere(lambda: half[VIEW]), slow.half[VIEW])
    np.testing.assert_array_equal(elsewhere(lambda: np.asarray(full)), slow.image)
    assert not slow.arrived.is_set()


def test_a_patient_screen_gives_the_whole_view(slow: Slow) -> None:
    slow.pixels.go_on.set()
    patient = Screen(slow.slide, patience=A_WHILE)
    np.testing.assert_array_equal(patient.levels[0][VIEW], slow.image[VIEW])


def test_a_view_larger_than_what_is_remembered_comes_all_the_same() -> None:
    slow = Slow(smooth_picture(1024, 896), budget=1)
    full, _, _ = slow.screen.levels
    assert (full[VIEW] == BLANK).all()
    slow.let_arrive()
    np.testing.assert_array_equal(full[VIEW], slow.image[VIEW])


def test_views_that_have_left_the_screen_are_not_decoded(slow: Slow) -> None:
    full, _, _ = slow.screen.levels

    def view(index: int) -> tuple[slice, slice]:
        return slice(index * 128, index * 128 + 128), slice(0, 128)

    # Two are decoded at a time; of those that wait only the last is still wanted.
    for index in range(6):
        assert (full[view(index)] == BLANK).all()
    slow.pixels.go_on.set()
    while not (full[view(5)] == slow.image[view(5)]).all():
        assert slow.arrived.wait(A_WHILE)
        slow.arrived.clear()
    assert set(slow.pixels.decoded) <= {(0, 0), (128, 0), (640, 0)}


def test_threads_end_with_the_screen(slow: Slow) -> None:
    slow.pixels.go_on.set()
    screen = Screen(slow.slide, patience=A_WHILE)
    before = set(threading.enumerate())
    assert (screen.levels[0][VIEW] == slow.image[VIEW]).all()
    started = {
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith("slide-screen")
    }
    assert started
    # The slide, which stays, does not keep it.
    del screen
    gc.collect()
    for thread in started:
        thread.join(A_WHILE)
        assert not thread.is_alive()


def test_news_of_the_slide_are_passed_on(slow: Slow) -> None:
    slow.damage.record((1024, 896), (0, 0, 128, 128), "broken")
    assert slow.arrived.is_set()


@pytest.fixture(scope="module")
def whole() -> tuple[Image, ScreenLevel]:
    """A picture of which all is at hand, so that the main thread too gets exact pixels."""
    image = picture(130, 90)
    return image, ScreenLevel(Screen(Slide.from_array(image, mpp=0.5), patience=0), 0)


@given(key=arrays.basic_indices((130, 90, 3), allow_newaxis=False))
def test_levels_slice_as_numpy_does(whole: tuple[Image, ScreenLevel], key: Any) -> None:
    image, level = whole
    found = level[key]
    assert np.shape(found) == np.shape(image[key])
    np.testing.assert_array_equal(found, image[key])


@given(
    rows=st.slices(130), columns=st.one_of(st.slices(90), st.integers(-90, 89)), turn=st.booleans()
)
def test_views_slice_as_numpy_does(
    whole: tuple[Image, ScreenLevel], rows: slice, columns: slice | int, turn: bool
) -> None:
    image, level = whole
    key = (rows, columns, slice(None, None, -1) if turn else slice(None))
    np.testing.assert_array_equal(level[key], image[key])


@pytest.mark.parametrize(
    "key", [130, -131, (0, 90), (0, 0, 3), (0, 0, 0, 0), (slice(None), np.int64(-91))]
)
def test_there_is_nothing_outside(whole: tuple[Image, ScreenLevel], key: Any) -> None:
    with pytest.raises(IndexError):
        whole[1][key]


def test_a_level_is_like_an_array(whole: tuple[Image, ScreenLevel]) -> None:
    image, level = whole
    assert (level.shape, level.dtype, level.ndim) == (image.shape, image.dtype, image.ndim)
    assert (level.size, level.nbytes, len(level)) == (image.size, image.nbytes, len(image))
    np.testing.assert_array_equal(np.asarray(level), image)
    np.testing.assert_array_equal(np.asarray(level, np.float32), image.astype(np.float32))


@pytest.fixture
def broken(tmp_path: Path) -> tuple[Image, Slide]:
    """A TIFF in tiles of 128 px with a level below; its tile at row 256, column 128 is broken."""
    image, path = picture(640, 500), tmp_path / "a.tif"
    write_pyramid(path, image, levels=2, subifds=False)
    spoil(path, 2 * 4 + 1)
    return image, open_slide(path, mpp=0.5)


def test_broken_tiles_are_striped_and_nothing_else(broken: tuple[Image, Slide]) -> None:
    image, slide = broken
    screen = Screen(slide, patience=0)
    arrived = threading.Event()
    screen.arrived.connect(arrived.set)
    whole = elsewhere(lambda: np.asarray(screen.levels[0]))
    # Found while it was decoded: what was drawn before is drawn again.
    assert arrived.is_set()
    tile = (slice(256, 384), slice(128, 256))
    here = np.zeros(image.shape[:2], bool)
    here[tile] = True
    np.testing.assert_array_equal(whole[~here], image[~here])
    colours, counts = np.unique(whole[here], axis=0, return_counts=True)
    assert sorted(colours.tolist()) == sorted(STRIPES)
    # About as much of one colour as of the other.
    assert counts.min() / counts.max() > 0.8
    # Whoever analyses the slide gets white.
    assert (slide.read(256, 128, 128, 128) == 255).all()

    # On the main thread too, from what is remembered.
    part = screen.levels[0][300:420, 100:300]
    np.testing.assert_array_equal(part[84:], image[384:420, 100:300])
    assert {tuple(colour) for colour in part[:84, 28:156].reshape(-1, 3).tolist()} == {
        tuple(colour) for colour in STRIPES
    }


def test_broken_tiles_are_striped_on_coarser_levels_too(broken: tuple[Image, Slide]) -> None:
    image, slide = broken
    screen = Screen(slide, patience=0)
    elsewhere(lambda: np.asarray(screen.levels[0]))
    coarse = elsewhere(lambda: np.asarray(screen.levels[1]))
    here = np.zeros(coarse.shape[:2], bool)
    here[128:192, 64:128] = True
    np.testing.assert_array_equal(coarse[~here], halve(image)[~here])
    assert {tuple(colour) for colour in coarse[here].tolist()} == {tuple(c) for c in STRIPES}


def test_the_lowest_level_is_striped_when_a_tile_is_found_broken(
    broken: tuple[Image, Slide],
) -> None:
    image, slide = broken
    screen = Screen(slide, patience=0)
    lowest = screen.levels[-1]
    np.testing.assert_array_equal(lowest, halve(image))
    slide.read(256, 128, 1, 1)
    assert lowest is screen.levels[-1]
    assert {tuple(colour) for colour in lowest[128:192, 64:128].reshape(-1, 3).tolist()} == {
        tuple(colour) for colour in STRIPES
    }
    np.testing.assert_array_equal(lowest[192:], halve(image)[192:])


def test_many_broken_tiles_found_at_once_keep_nobody_waiting(tmp_path: Path) -> None:
    image, path = picture(1024, 1024), tmp_path / "a.tif"
    write_pyramid(path, image, levels=2, subifds=False)
    for segment in range(0, 64, 2):
        spoil(path, segment)
    slide = open_slide(path, mpp=0.5)
    screens = [Screen(slide, patience=0) for _ in range(2)]
    elsewhere(lambda: screens[0].levels[0][:])
    assert len(slide.broken) == 32
    np.testing.assert_array_equal(screens[0].levels[1], screens[1].levels[1])


def test_drawing_stripes_changes_nothing_that_is_remembered(broken: tuple[Image, Slide]) -> None:
    _, slide = broken
    screen = Screen(slide, patience=A_WHILE)
    before = slide.read(0, 0, 640, 500)
    first = screen.levels[0][240:400, 100:300]
    second = screen.levels[0][240:400, 100:300]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(slide.read(0, 0, 640, 500), before)


def test_each_view_belongs_to_the_window(whole: tuple[Image, ScreenLevel]) -> None:
    image, level = whole
    level[10:20, 10:20][:] = 0
    np.testing.assert_array_equal(level[10:20, 10:20], image[10:20, 10:20])


def test_a_slide_of_strips_in_memory(tmp_path: Path) -> None:
    image = picture(900, 1100)
    tifffile.imwrite(
        tmp_path / "a.tif", image, photometric="rgb", compression="zlib", rowsperstrip=7
    )
    screen = Screen(open_slide(tmp_path / "a.tif", mpp=0.5), patience=A_WHILE)
    for level, expected in zip(screen.levels, (image, halve(image)), strict=True):
        np.testing.assert_array_equal(np.asarray(level), expected)
        np.testing.assert_array_equal(level[100:300, 50:500], expected[100:300, 50:500])
