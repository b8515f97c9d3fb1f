"""The cache of pyramids: what was used last stays, what is open stays, up to a limit."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder
from napari_prts.slide import open_slide
from napari_prts.slide.pyramid import create_pyramid
from napari_prts.slide.pyramid_cache import PyramidCache
from tests.slide.conftest import picture

Limit = Callable[[int], None]
SHAPE = (256, 256)


@pytest.fixture
def cache(tmp_path: Path) -> PyramidCache:
    """A cache of 100,000 bytes."""
    return PyramidCache(tmp_path / "pyramids", 100_000.0)


def store(cache: PyramidCache, name: str, used: float, size: int = 30_000) -> None:
    """Store something of so many bytes that was last used at a time, in seconds."""
    folder = cache.path(name)
    folder.mkdir(parents=True)
    (folder / "pixels").write_bytes(bytes(size))
    mark = cache.folder / f"{name}.used"
    mark.touch()
    os.utime(mark, (used, used))


def names(cache: PyramidCache) -> list[str]:
    return sorted(path.stem for path in cache.folder.glob("*.zarr"))


class Reader:
    """Whoever reads a pyramid."""


@pytest.fixture
def gone() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not psutil.pid_exists(process.pid)
    return process.pid


def test_what_was_not_used_for_longest_goes_first(cache: PyramidCache) -> None:
    for name, used in {"b": 2.0, "c": 3.0, "a": 1.0}.items():
        store(cache, name, used)
    cache.make_room(10_000)
    assert names(cache) == ["a", "b", "c"]
    cache.make_room(10_001)
    assert names(cache) == ["b", "c"]
    cache.make_room(70_000)
    assert names(cache) == ["c"]
    cache.make_room(1e9)
    assert names(cache) == []
    assert list(cache.folder.iterdir()) == []


def test_opening_is_using(cache: PyramidCache) -> None:
    store(cache, "a", used=1.0)
    store(cache, "b", used=2.0)
    reader = Reader()
    cache.hold("a", reader)
    del reader
    gc.collect()
    cache.make_room(60_000)
    assert names(cache) == ["a"]


def test_what_is_open_stays_even_beyond_the_limit(cache: PyramidCache) -> None:
    for name, used in {"a": 1.0, "b": 2.0, "c": 3.0}.items():
        store(cache, name, used)
    # The same slide may be open twice, and be closed once.
    first, second = Reader(), Reader()
    cache.hold("b", first)
    cache.hold("b", second)
    del first
    gc.collect()
    cache.make_room(1e9)
    assert names(cache) == ["b"]
    del second
    gc.collect()
    cache.make_room(1e9)
    assert names(cache) == []


def test_what_another_process_has_open_stays(cache: PyramidCache) -> None:
    store(cache, "a", used=1.0)
    program = (
        "import sys, pathlib\n"
        "from napari_prts.slide.pyramid_cache import PyramidCache\n"
        "class Reader: pass\n"
        "reader = Reader()\n"
        "PyramidCache(pathlib.Path(sys.argv[1]), 1.0).hold('a', reader)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(cache.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        cache.make_room(1e9)
        assert names(cache) == ["a"]
        other.communicate(b"")
    # It has taken its mark with it.
    assert list(cache.folder.glob("*.open")) == []
    cache.make_room(1e9)
    assert names(cache) == []


def test_marks_of_a_process_that_was_killed_hold_nothing(cache: PyramidCache, gone: int) -> None:
    store(cache, "a", used=1.0)
    mark = cache.folder / f"a.{gone}.7f00.open"
    mark.touch()
    cache.make_room(1e9)
    assert names(cache) == []
    assert not mark.exists()


def test_a_cache_that_cannot_be_written_to_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "no folder").touch()
    PyramidCache(tmp_path / "no folder" / "pyramids", 1.0).hold("a", Reader())


def test_a_mark_holds_its_own_slide_only(cache: PyramidCache) -> None:
    store(cache, "a", used=1.0)
    store(cache, "ab", used=2.0)
    reader = Reader()
    cache.hold("ab", reader)
    cache.make_room(1e9)
    assert names(cache) == ["ab"]


def test_an_empty_cache_has_room(cache: PyramidCache) -> None:
    cache.make_room(1e9)
    assert not cache.folder.exists()


def test_the_limit_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PyramidCache.of_user() == PyramidCache(cache_folder() / "pyramids", 20 * 2**30)
    monkeypatch.setenv("NAPARI_PRTS_PYRAMIDS_GIB", "0.5")
    assert PyramidCache.of_user().limit == 2**29
    monkeypatch.setenv("NAPARI_PRTS_PYRAMIDS_GIB", "inf")
    assert PyramidCache.of_user().limit == float("inf")
    monkeypatch.setenv("NAPARI_PRTS_PYRAMIDS_GIB", "")
    assert PyramidCache.of_user().limit == 20 * 2**30


@pytest.mark.parametrize("given", ["much", "0", "-3", "nan", "10 GiB"])
def test_a_limit_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PRTS_PYRAMIDS_GIB", given)
    with pytest.raises(SlideError, match="NAPARI_PRTS_PYRAMIDS_GIB") as caught:
        PyramidCache.of_user()
    assert repr(given) in str(caught.value)
    assert "for example 20" in str(caught.value)


def test_a_pyramid_is_found_only_if_it_is_whole_and_of_this_image(cache: PyramidCache) -> None:
    assert cache.find("a", SHAPE) is None
    writer = create_pyramid(cache.path("a"), [SHAPE, (128, 128)], 0)
    writer.push(picture(*SHAPE))
    assert cache.find("a", SHAPE) is None
    writer.finish([])
    found = cache.find("a", SHAPE)
    assert found is not None
    assert [array.shape for array in found.arrays] == [(256, 256, 3), (128, 128, 3)]
    # The same file may be read otherwise by a later version of this program.
    assert cache.find("a", (256, 257)) is None


def test_slides_make_room_for_each_other(
    tmp_path: Path, few_megapixels: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_megapixels(100_000)
    for index, name in enumerate(["a", "b", "c"]):
        image = picture(600, 500, seed=index)
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(image))
    # Room for one and a half; four bytes a pixel are reckoned.
    monkeypatch.setenv("NAPARI_PRTS_PYRAMIDS_GIB", str(1.5 * 600 * 500 * 4 / 2**30))
    cache = PyramidCache.of_user()

    a, b = open_slide(tmp_path / "a.png"), open_slide(tmp_path / "b.png")
    assert names(cache) == sorted([a.fingerprint, b.fingerprint])
    np.testing.assert_array_equal(a.read(0, 0, 600, 500), picture(600, 500, seed=0))
    kept = b.fingerprint
    del a
    gc.collect()
    c = open_slide(tmp_path / "c.png")
    assert names(cache) == sorted([kept, c.fingerprint])
    np.testing.assert_array_equal(b.read(0, 0, 600, 500), picture(600, 500, seed=1))
    del b, c
    gc.collect()
    assert list(cache.folder.glob("*.open")) == []
