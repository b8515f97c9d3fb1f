"""A slide without a pyramid is looked at while its pyramid is built."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder
from napari_prts.jobs import Job, Progress, run
from napari_prts.slide import Slide, open_slide, tissue_mask
from napari_prts.slide.growing import Growth
from napari_prts.slide.levels import halve
from napari_prts.slide.pixels import LevelPixels
from napari_prts.slide.screen import Screen
from tests.slide.conftest import Image, picture

Limit = Callable[[int], None]
BAND = 512
GREY = 224


def smooth_picture(rows: int, columns: int) -> Image:
    """Make a picture without detail finer than some 250 px."""
    r, c = np.ogrid[:rows, :columns]
    waves = [np.sin(r / 40) + 0 * c, np.sin(c / 40) + 0 * r, np.sin((r + c) / 40)]
    return (120 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def halves(image: Image, count: int) -> list[Image]:
    levels = [image]
    while len(levels) < count:
        levels.append(halve(levels[-1]))
    return levels


def write(path: Path, image: Image, layout: str) -> Image:
    """Write a file and return the pixels that are in it."""
    if layout == "jpeg":
        path.write_bytes(imagecodecs.jpeg_encode(image, level=95))
        return np.asarray(imagecodecs.jpeg_decode(path.read_bytes()))
    if layout == "png":
        path.write_bytes(imagecodecs.png_encode(image, level=1))
        return image
    layouts: dict[str, dict[str, Any]] = {
        "strips": {"rowsperstrip": 4, "compression": "zlib"},
        "one strip": {"rowsperstrip": len(image), "compression": "zlib"},
        "tiles": {"tile": (256, 256), "compression": "zlib"},
        "memory map": {},
    }
    tifffile.imwrite(path, image, photometric="rgb", **layouts[layout])
    return image


# Layout, size, the first level that is built, whether there is a first look at it.
LAYOUTS = [
    pytest.param("jpeg", (2560, 704), 0, True, id="jpeg"),
    pytest.param("png", (2560, 704), 0, False, id="png"),
    pytest.param("strips", (1600, 4224), 0, True, id="wide strips"),
    pytest.param("memory map", (2560, 704), 1, True, id="memory map"),
    pytest.param("tiles", (2560, 704), 1, False, id="tiles"),
]


@pytest.fixture
def jpeg(tmp_path: Path, few_megapixels: Limit) -> tuple[Path, Image]:
    """A JPEG that gets a pyramid, and its pixels."""
    few_megapixels(1_000_000)
    return tmp_path / "a.jpg", write(tmp_path / "a.jpg", smooth_picture(2560, 704), "jpeg")


def growing(path: Path) -> tuple[Slide, Growth, Job[None]]:
    slide = open_slide(path, mpp=0.5, wait=False)
    assert slide.growth is not None
    return slide, slide.growth, slide.growth.job()


def after_bands(job: Job[None], count: int) -> Progress:
    """Build so many bands, and no more."""
    next(job)
    progress = [next(job) for _ in range(count)][-1]
    assert progress.done == min(count * BAND, progress.total)
    return progress


def shown(pixels: LevelPixels) -> Image:
    return pixels.show(0, 0, *pixels.shape)


def assert_whole(slide: Slide, truth: Sequence[Image]) -> None:
    assert slide.downsamples == tuple(2.0**k for k in range(len(truth)))
    for level, lazy, expected in zip(slide.stack, slide.levels, truth, strict=True):
        np.testing.assert_array_equal(shown(level.pixels), expected)
        np.testing.assert_array_equal(lazy.compute(), expected)


@pytest.mark.parametrize(("layout", "shape", "first", "looked_at"), LAYOUTS)
def test_levels_fill_from_the_top(
    tmp_path: Path,
    layout: str,
    shape: tuple[int, int],
    first: int,
    looked_at: bool,
    few_megapixels: Limit,
) -> None:
    few_megapixels(1_000_000)
    image = write(tmp_path / "a", smooth_picture(*shape), layout)
    slide, growth, job = growing(tmp_path / "a")
    truth = halves(image, len(slide.stack))
    assert [level.pixels for level in slide.stack[first:]] == list(growth.levels)

    def check(bands: int) -> None:
        for index, pixels in enumerate(growth.levels, first):
            # A level is written in bands, each of which takes two of the level above.
            rows = bands * BAND // 2**index // BAND * BAND
            expected, found = truth[index].astype(int), shown(pixels)
            np.testing.assert_array_equal(found[:rows], expected[:rows])
            if looked_at:
                assert np.abs(found[rows:] - expected[rows:]).max() <= 20
                assert np.abs(found[rows:] - expected[rows:]).mean() <= 4
            else:
                assert (found[rows:] == GREY).all()

    # Before the building begins there is the first look.
    check(bands=0)
    after_bands(job, 2)
    check(bands=2)
    for pixels in growth.levels:
        # A part that begins in what is written and ends below it is the same picture.
        part = pixels.show(20, 10, pixels.shape[0] - 3, pixels.shape[1] - 1)
        assert np.abs(part - shown(pixels)[20:-3, 10:-1].astype(int)).max() <= 1

    run(job)
    assert growth.whole
    assert_whole(slide, truth)


def test_reading_what_is_not_there_yet_says_so(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    slide, _, job = growing(path)
    with pytest.raises(SlideError, match=r"a\.jpg is still being prepared: 0 of 2,560 rows"):
        slide.read(0, 0, 10, 10)
    after_bands(job, 3)
    # What is written is read as it will be read for good.
    np.testing.assert_array_equal(slide.read(1400, 0, 136, 704), image[1400:1536])
    with pytest.raises(SlideError, match=r"1,536 of 2,560 rows are done. Wait until"):
        slide.read(1400, 0, 137, 704)
    with pytest.raises(SlideError, match="512 of 1,280 rows"):
        slide.read(1100, 0, 10, 10, mpp=1.0)
    with pytest.raises(SlideError, match="being prepared"):
        slide.levels[0].compute()
    run(job)
    np.testing.assert_array_equal(slide.read(1400, 0, 1160, 704), image[1400:])


def test_what_takes_a_look_at_the_whole_slide_waits_for_it(jpeg: tuple[Path, Image]) -> None:
    slide, _, job = growing(jpeg[0])
    # The same slide, also with another pixel size.
    finer = slide.with_mpp(0.25)
    with pytest.raises(SlideError, match="being prepared"):
        tissue_mask(slide)
    run(job)
    assert tissue_mask(slide).mask.shape == tissue_mask(open_slide(jpeg[0], mpp=0.5)).mask.shape
    np.testing.assert_array_equal(finer.read(2000, 0, 10, 10, mpp=0.25), jpeg[1][2000:2010, :10])


def test_the_levels_of_the_file_itself_are_there_at_once(
    tmp_path: Path, few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    image = write(tmp_path / "a.tif", picture(2560, 704), "tiles")
    slide, _, job = growing(tmp_path / "a.tif")
    np.testing.assert_array_equal(slide.read(2000, 100, 300, 300), image[2000:2300, 100:400])
    with pytest.raises(SlideError, match="being prepared"):
        slide.read(2000, 100, 100, 100, mpp=1.0)
    run(job)
    np.testing.assert_array_equal(
        slide.read(2000, 100, 100, 100, mpp=1.0), halve(image)[1000:1100, 50:150]
    )


def test_whoever_listens_hears_of_each_step(jpeg: tuple[Path, Image]) -> None:
    _, growth, job = growing(jpeg[0])
    seen: list[Image] = []
    growth.grown.connect(lambda: seen.append(shown(growth.levels[0])))
    next(job)
    assert seen == []
    heard = [len(seen) for _ in job]
    # With each band there was more to see.
    assert all(later > earlier for earlier, later in pairwise([0, *heard]))
    assert not growth.whole or len(seen) > heard[-1]
    np.testing.assert_array_equal(seen[-1], jpeg[1])


def test_a_job_that_is_closed_can_be_begun_again(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    slide, growth, job = growing(path)
    after_bands(job, 3)
    np.testing.assert_array_equal(slide.read(0, 0, 1536, 704), image[:1536])
    job.close()
    assert list((cache_folder() / "pyramids").iterdir()) == []
    assert not growth.whole
    # What was written is gone; the first look can still be shown.
    assert np.abs(shown(growth.levels[0]) - image.astype(int)).max() <= 20
    with pytest.raises(SlideError, match=r"0 of 2,560 rows.*if that was cancelled, open the slide"):
        slide.read(0, 0, 10, 10)

    again = growth.job()
    after_bands(again, 1)
    np.testing.assert_array_equal(slide.read(0, 0, 512, 704), image[:512])
    with pytest.raises(SlideError, match="512 of 2,560 rows"):
        slide.read(500, 0, 100, 10)
    run(again)
    assert_whole(slide, halves(image, len(slide.stack)))
    assert list(growth.job()) == []


def test_a_source_that_is_damaged_further_down(tmp_path: Path, few_megapixels: Limit) -> None:
    few_megapixels(1_000_000)
    path = tmp_path / "a.png"
    write(path, picture(2560, 704), "png")
    data = bytearray(path.read_bytes())
    # Its upper half is fine.
    place = len(data) * 3 // 4
    data[place : place + 64] = bytes(64)
    path.write_bytes(data)
    slide, growth, job = growing(path)
    after_bands(job, 2)
    assert slide.read(0, 0, 1024, 704).any()
    with pytest.raises(SlideError, match=r"a\.png.*cannot be decoded"):
        run(job)
    assert list((cache_folder() / "pyramids").iterdir()) == []
    assert not growth.whole
    assert (shown(growth.levels[0]) == GREY).all()
    with pytest.raises(SlideError, match="0 of 2,560 rows"):
        slide.read(0, 0, 10, 10)


def test_a_job_that_is_closed_at_once_leaves_nothing(jpeg: tuple[Path, Image]) -> None:
    slide, growth, job = growing(jpeg[0])
    job.close()
    begun = growth.job()
    next(begun)
    begun.close()
    assert list((cache_folder() / "pyramids").iterdir()) == []
    run(growth.job())
    assert_whole(slide, halves(jpeg[1], len(slide.stack)))


def test_a_finished_pyramid_is_opened_next_time(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    slide, _, job = growing(path)
    run(job)
    again = open_slide(path, mpp=0.5, wait=False)
    assert again.growth is None
    assert_whole(again, halves(image, len(again.stack)))
    assert again.fingerprint == slide.fingerprint


def test_a_slide_opened_twice_is_built_once(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    one, _, first = growing(path)
    other, growth, second = growing(path)
    after_bands(first, 2)
    # The one that is not built by itself has nothing to show yet.
    with pytest.raises(SlideError, match="being prepared"):
        other.read(0, 0, 10, 10)
    run(first)
    heard: list[bool] = []
    growth.grown.connect(lambda: heard.append(growth.whole))
    # Taken from the cache: no step is needed.
    assert list(second) == []
    assert heard == [True]
    for slide in (one, other):
        assert_whole(slide, halves(image, len(slide.stack)))


def test_a_slide_opened_twice_may_be_built_twice(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    one, _, first = growing(path)
    other, _, second = growing(path)
    after_bands(first, 2)
    after_bands(second, 3)
    run(first)
    np.testing.assert_array_equal(one.read(0, 0, 700, 704), image[:700])
    run(second)
    for slide in (one, other):
        assert_whole(slide, halves(image, len(slide.stack)))


def test_read_by_others_while_it_grows(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    slide, growth, _ = growing(path)
    screen = Screen(slide)
    truth = halves(image, len(slide.stack))
    failures: list[BaseException] = []

    def build() -> None:
        try:
            run(growth.job())
        except BaseException as error:
            failures.append(error)

    def look(seed: int) -> int:
        """Read here and there until all is built; return how often rows were not there."""
        rng = np.random.default_rng(seed)
        refused, rounds = 0, 0
        while not growth.whole or rounds < 30:
            rounds += 1
            index = int(rng.integers(len(truth)))
            expected = truth[index]
            row, column = (int(rng.integers(length - 40)) for length in expected.shape[:2])
            part = expected[row : row + 40, column : column + 40].astype(int)
            corners = row, column, row + 40, column + 40
            found = screen.read(index, *corners)
            assert np.abs(found - part).max() <= 20
            try:
                read = slide.stack[index].pixels.read(*corners)
            except SlideError:
                refused += 1
            else:
                np.testing.assert_array_equal(read, part)
        return refused

    builder = threading.Thread(target=build)
    with ThreadPoolExecutor(3) as readers:
        looks = [readers.submit(look, seed) for seed in range(3)]
        builder.start()
        builder.join()
        assert failures == []
        assert all(done.result() >= 0 for done in looks)
    assert_whole(slide, truth)


def test_a_screen_shows_what_has_grown(jpeg: tuple[Path, Image]) -> None:
    path, image = jpeg
    slide, _, job = growing(path)
    screen = Screen(slide, patience=0)
    truth = halves(image, len(slide.stack))
    arrivals: list[None] = []
    screen.arrived.connect(lambda: arrivals.append(None))
    after_bands(job, 2)
    heard = len(arrivals)
    assert heard > 0
    # Nothing is waited for below what is written: all that is there is the first look.
    lower = screen.levels[0][1100:1300, 100:300]
    assert np.abs(lower - truth[0][1100:1300, 100:300].astype(int)).max() <= 20
    assert screen._waiting is None

    def upper() -> Image:
        return np.asarray(screen.levels[1][300:500, :])

    with ThreadPoolExecutor(1) as other:
        np.testing.assert_array_equal(other.submit(upper).result(), truth[1][300:500])
    np.testing.assert_array_equal(upper(), truth[1][300:500])

    run(job)
    assert len(arrivals) > heard
    with ThreadPoolExecutor(1) as other:
        for level, expected in zip(screen.levels, truth, strict=True):
            np.testing.assert_array_equal(other.submit(np.asarray, level).result(), expected)
            np.testing.assert_array_equal(np.asarray(level), expected)


def test_tiled_levels_above_one_in_strips_stay_as_they_are(
    tmp_path: Path, few_megapixels: Limit
) -> None:
    few_megapixels(1_000_000)
    image = np.tile(picture(320, 352), (4, 24, 1))
    half = halve(image)
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(image, subifds=2, tile=(256, 256), **options)
        writer.write(half, subfiletype=1, rowsperstrip=8, **options)
        writer.write(halve(half), subfiletype=1, rowsperstrip=8, **options)
    slide, growth, job = growing(tmp_path / "a.tif")
    assert len(growth.levels) == len(slide.stack) - 1
    np.testing.assert_array_equal(slide.read(900, 7000, 200, 300), image[900:1100, 7000:7300])
    run(job)
    assert_whole(slide, halves(image, len(slide.stack)))
    assert [level.pixels.chunk for level in slide.stack[:2]] == [(256, 256), (512, 512)]
