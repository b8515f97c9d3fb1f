"""A segmentation that was stopped goes on where it was; one that is closed stops at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.files import cache_folder
from napari_prts.jobs import run
from napari_prts.pipeline import Step, overlapped
from napari_prts.segmentation import SegmentRequest, checkpoint, segment
from napari_prts.segmentation.checkpoint import Checkpoint, FinishedTile
from napari_prts.segmentation.merging import Settled
from napari_prts.segmentation.tiling import Rectangle
from napari_prts.slide import Slide
from tests.segmentation.oracle import draw_discs, oracle, scattered
from tests.segmentation.test_candidates import many

PIXELS = draw_discs((300, 350), scattered((300, 350), 9.0), 9.0)
KEY = {"slide": "a", "tile": 256}


def a_tile(number: int) -> FinishedTile:
    tile = Rectangle(0, 256 * number, 256, 256 * number + 256)
    settled = Settled(many(20, 256, number), many(5 * number, 256, number))
    return FinishedTile(tile, settled, [[1.0, 2.0, 3.0, 4.0, f"broken {number}"]])


def assert_same(kept: list[FinishedTile], expected: list[FinishedTile]) -> None:
    assert [k.tile for k in kept] == [e.tile for e in expected]
    assert [k.note for k in kept] == [e.note for e in expected]
    for mine, theirs in zip(kept, expected, strict=True):
        for part in ("final", "pending"):
            for array in ("points", "prob", "dist"):
                np.testing.assert_array_equal(
                    getattr(getattr(mine.settled, part), array),
                    getattr(getattr(theirs.settled, part), array),
                )


def written(tiles: list[FinishedTile]) -> None:
    kept = Checkpoint.open(KEY)
    assert list(kept.finished()) == []
    for tile in tiles:
        kept.append(tile)
    kept.close()


def the_file():
    (found,) = (cache_folder() / "segmentation").glob("*/tiles")
    return found


def test_what_was_kept_comes_back_to_the_bit():
    tiles = [a_tile(number) for number in range(4)]
    written(tiles)
    again = Checkpoint.open(KEY)
    assert_same(list(again.finished()), tiles)
    again.discard()
    assert not list((cache_folder() / "segmentation").iterdir())


def test_another_request_finds_nothing():
    written([a_tile(1)])
    other = Checkpoint.open({**KEY, "tile": 512})
    assert list(other.finished()) == []
    other.close()


@pytest.mark.parametrize("lost", [1, 5, 40, 900])
def test_half_a_record_is_cut_off_and_written_anew(lost):
    """What a process leaves that is killed in the middle of a write."""
    tiles = [a_tile(number) for number in range(3)]
    written(tiles)
    path = the_file()
    path.write_bytes(path.read_bytes()[:-lost])
    again = Checkpoint.open(KEY)
    assert_same(list(again.finished()), tiles[:2])
    again.append(tiles[2])
    again.close()
    once_more = Checkpoint.open(KEY)
    assert_same(list(once_more.finished()), tiles)
    once_more.close()


@pytest.mark.parametrize("where", [0, 2, 30, 50, 300])
def test_flipped_bits_end_what_is_read(where):
    tiles = [a_tile(number) for number in range(3)]
    written(tiles[:1])
    first = the_file().stat().st_size
    the_file().unlink()
    written(tiles)
    raw = bytearray(the_file().read_bytes())
    raw[first + where] ^= 0xFF
    the_file().write_bytes(raw)
    again = Checkpoint.open(KEY)
    assert_same(list(again.finished()), tiles[:1])
    again.close()


def test_two_runs_at_once_do_not_write_into_one_file():
    first, second = Checkpoint.open(KEY), Checkpoint.open(KEY)
    second.append(a_tile(2))
    first.append(a_tile(1))
    second.discard()
    first.close()
    third = Checkpoint.open(KEY)
    assert_same(list(third.finished()), [a_tile(1)])
    third.close()


def test_old_leftovers_go_and_those_in_use_stay(monkeypatch):
    written([a_tile(1)])
    in_use = Checkpoint.open({"slide": "b"})
    in_use.append(a_tile(2))
    for path in (cache_folder() / "segmentation").glob("*/*"):
        os.utime(path, (0, 0))
    new = Checkpoint.open({"slide": "c"})
    assert len(list((cache_folder() / "segmentation").iterdir())) == 2
    new.append(a_tile(1))
    new.close()
    in_use.close()
    monkeypatch.setattr(checkpoint, "KEEP_BYTES", 1)
    last = Checkpoint.open({"slide": "d"})
    assert len(list((cache_folder() / "segmentation").iterdir())) == 1
    last.discard()


def test_without_a_place_to_write_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("no folder")
    none = Checkpoint.open(KEY, tmp_path / "file")
    none.append(a_tile(1))
    assert list(none.finished()) == []
    none.close()
    none.discard()


def test_a_cancelled_run_is_resumed():
    slide = Slide.from_array(PIXELS, mpp=0.4)
    request = SegmentRequest(model=oracle(), tile=96)
    job = segment(slide, request)
    for report in job:
        if report.done == 4:
            break
    job.close()
    reports = []
    resumed = run(segment(slide, request), reports.append)
    assert reports[1].note == f"resumed: 4 of {reports[1].total} tiles were done"
    new = [r.done for r in reports if r.partial is not None]
    assert new == list(range(4, reports[-1].total + 1))
    shown = np.concatenate([r.partial.ids for r in reports if r.partial is not None])
    assert len(set(shown)) == len(shown)
    assert not list((cache_folder() / "segmentation").iterdir())
    undisturbed = run(segment(slide, request))
    np.testing.assert_array_equal(resumed.hashes, undisturbed.hashes)


def test_another_order_resumes_too_but_another_threshold_does_not():
    slide = Slide.from_array(PIXELS, mpp=0.4)
    job = segment(slide, SegmentRequest(model=oracle(), tile=96))
    next(report for report in job if report.partial is not None)
    job.close()
    notes = []
    elsewhere = SegmentRequest(model=oracle(), tile=96, nms_threshold=0.2)
    run(segment(slide, elsewhere), lambda r: notes.append(r.note))
    assert not any("resumed" in note for note in notes)
    ordered = SegmentRequest(model=oracle(), tile=96, order_from=(200.0, 200.0))
    run(segment(slide, ordered), lambda r: notes.append(r.note))
    assert any(note.startswith("resumed: 1 of") for note in notes)


KILLED = """
    import sys
    from napari_prts.segmentation import SegmentRequest, segment
    from napari_prts.slide import open_slide
    slide = open_slide(sys.argv[1])
    for report in segment(slide, SegmentRequest(region=(1200, 1400, 130, 200), tile=128)):
        print(report.done, flush=True)
        if report.done == 3:
            sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="a process is killed with SIGKILL")
def test_a_killed_run_is_resumed_and_comes_out_the_same(demo_slide_path):
    """The embedded model on real tissue, in a process of its own."""
    from napari_prts.slide import open_slide

    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(demo_slide_path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while child.stdout.readline().strip() != "3":
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    slide = open_slide(demo_slide_path)
    request = SegmentRequest(region=(1200, 1400, 130, 200), tile=128)
    notes = []
    resumed = run(segment(slide, request), lambda r: notes.append(r.note))
    assert any(note.startswith("resumed: 3 of ") for note in notes)
    undisturbed = run(segment(slide, request))
    assert len(resumed) > 8
    np.testing.assert_array_equal(resumed.hashes, undisturbed.hashes)
    np.testing.assert_array_equal(resumed.scores, undisturbed.scores)


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("segmentation step")]


def test_closing_a_job_leaves_no_thread():
    slide = Slide.from_array(PIXELS, mpp=0.4)
    job = segment(slide, SegmentRequest(model=oracle(), tile=96))
    next(job), next(job)
    job.close()
    for thread in our_threads():
        # A forward pass that was under way may end; nothing else is begun.
        thread.join(30)
    assert not our_threads()


def test_closing_does_not_wait_for_work_that_hangs():
    """The step is in the middle of its work, and ends only after the job was closed."""
    inside, go_on = threading.Event(), threading.Event()
    begun = []

    def slow(item: int) -> int:
        begun.append(item)
        if item == 1:
            inside.set()
            go_on.wait()
        return item

    job = overlapped(range(100), Step(lambda item: item), Step(slow), Step(lambda item: item))
    assert next(job) == 0
    inside.wait()
    job.close()
    go_on.set()
    for thread in our_threads():
        thread.join()
    assert begun == [0, 1]


def test_few_items_wait_between_steps():
    """However slow the one who takes: what is read ahead does not grow."""
    taken = []
    job = overlapped(iter(range(1000)), Step(lambda n: taken.append(n) or n), Step(abs), ahead=2)
    results = [next(job) for _ in range(10)]
    assert results == list(range(10))
    assert len(taken) <= 10 + 2 * 2 + 3
    job.close()
    assert not our_threads()


def test_several_threads_a_step_lose_nothing():
    found = list(overlapped(range(200), Step(lambda n: n, threads=4), Step(abs, threads=2)))
    assert sorted(found) == list(range(200))
    assert list(overlapped([], Step(abs))) == []


def test_what_goes_wrong_in_a_thread_is_raised_to_the_caller():
    def fails(item: int) -> int:
        if item == 3:
            raise ModelError("The network broke.")
        return item

    job = overlapped(range(100), Step(abs), Step(fails), Step(abs))
    seen = []
    with pytest.raises(ModelError, match="broke"):
        seen.extend(job)
    assert not our_threads()
