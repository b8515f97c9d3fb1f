"""Features on disk: what is found, what is not, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_prts.errors import PrtsError
from napari_prts.features import FeatureStore, FeatureTable
from napari_prts.features.bound import DEFAULT_LIMIT_BYTES, LIMIT_VARIABLE

SETTINGS = {"slide_mpp": 0.5, "mpp": 0.5, "tile": 256}
LOCAL, CONTEXT = 6, 4


def hashes_of(numbers: np.ndarray | range | list[int]) -> np.ndarray:
    return np.array([f"{n:016x}" for n in numbers], dtype="<U16")


def values_of(numbers: np.ndarray | range | list[int], size: int) -> np.ndarray:
    """Features that tell which nucleus they are of."""
    return (np.asarray(numbers)[:, None] + np.arange(size) / 10).astype(np.float32)


def put(table: FeatureTable, numbers: np.ndarray | range | list[int]) -> None:
    table.put(hashes_of(numbers), values_of(numbers, LOCAL), values_of(numbers, CONTEXT))


def check(table: FeatureTable, present: set[int], asked: np.ndarray | range | list[int]) -> None:
    """Exactly the nuclei that are present are found, each with its own features."""
    asked = np.asarray(asked)
    found, local, context = table.get(hashes_of(asked))
    assert found.tolist() == [int(n) in present for n in asked]
    assert np.array_equal(local[found], values_of(asked[found], LOCAL))
    assert np.array_equal(context[found], values_of(asked[found], CONTEXT))
    assert not local[~found].any()


@pytest.fixture
def table(tmp_path: Path) -> FeatureTable:
    return FeatureStore(tmp_path).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)


def again(table: FeatureTable) -> FeatureTable:
    """The same table as another process sees it."""
    return FeatureStore(table.folder.parent).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)


def test_what_is_put_is_found_again(table: FeatureTable) -> None:
    check(table, set(), range(5))
    put(table, range(100))
    put(table, range(50, 150))
    check(table, set(range(150)), [3, 149, 150, 77, 0, 3])
    check(again(table), set(range(150)), range(200))
    assert len(again(table)) == 150


def test_no_nuclei(table: FeatureTable) -> None:
    put(table, [])
    found, local, context = table.get(hashes_of([]))
    assert (len(found), local.shape, context.shape) == (0, (0, LOCAL), (0, CONTEXT))
    assert not table.folder.exists()


@pytest.mark.parametrize(
    ("slide", "encoder", "changed"),
    [
        ("another slide", "encoder", {}),
        ("slide", "another encoder", {}),
        ("slide", "encoder", {"slide_mpp": 0.499}),
        ("slide", "encoder", {"mpp": 0.25}),
        ("slide", "encoder", {"extraction": "grid"}),
        ("slide", "encoder", {"precision": "bfloat16"}),
        ("slide", "encoder", {"tile": 224}),
        ("slide", "encoder", {"stain": "matched"}),
    ],
)
def test_features_of_something_else_are_never_found(
    table: FeatureTable, slide: str, encoder: str, changed: dict[str, float]
) -> None:
    put(table, range(10))
    store = FeatureStore(table.folder.parent)
    other = store.table(slide, encoder, {**SETTINGS, **changed}, LOCAL, CONTEXT)
    check(other, set(), range(10))
    put(other, range(100, 110))
    check(again(table), set(range(10)), range(120))


def test_the_folder_says_what_it_holds(table: FeatureTable) -> None:
    put(table, [1])
    key = json.loads((table.folder / "key.json").read_text())
    assert (key["slide"], key["encoder"], key["settings"]) == ("slide", "encoder", SETTINGS)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=12),
)
def test_any_batches_in_any_order(tmp_path: Path, batches: list[list[int]]) -> None:
    store = FeatureStore(tmp_path / str(time.monotonic_ns()))
    table = store.table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
    present: set[int] = set()
    for batch in batches:
        put(table, batch)
        present |= set(batch)
    check(table, present, range(61))


def test_many_small_batches_become_few_files(table: FeatureTable) -> None:
    for start in range(0, 80, 2):
        put(table, [start, start + 1])
    assert len(list(table.folder.glob("*.zarr"))) < 16
    check(again(table), set(range(80)), range(90))


def test_rows_of_a_large_piece_are_found_wherever_they_lie(table: FeatureTable) -> None:
    # More than the chunks that are read at once.
    order = np.random.default_rng(0).permutation(20_000)
    put(table, order)
    for asked in ([order[0], order[-1], order[9_000]], np.arange(20_500), order[7_000:7_010]):
        check(again(table), set(range(20_000)), asked)
    next(table.folder.glob("*.zarr/local/c/7/0")).unlink()
    lost = again(table)
    check(lost, set(range(20_000)), [n for n in order if n not in set(order[7168:8192])][:50])
    assert not lost.get(hashes_of(order[7168:8192]))[0].any()


def test_a_part_without_columns(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).table("slide", "morphology", SETTINGS, LOCAL, 0)
    table.put(hashes_of([1, 2]), values_of([1, 2], LOCAL), np.empty((2, 0), np.float32))
    found, local, context = table.get(hashes_of([2, 3]))
    assert found.tolist() == [True, False]
    assert context.shape == (2, 0)
    assert np.array_equal(local[:1], values_of([2], LOCAL))


@pytest.mark.parametrize("damage", ["cut off", "changed", "gone", "metadata"])
@pytest.mark.parametrize("part", ["hashes", "local", "context"])
def test_a_damaged_piece_counts_as_not_there(table: FeatureTable, damage: str, part: str) -> None:
    put(table, range(10))
    put(table, range(1000, 1100))
    piece = next(table.folder.glob("*10-*.zarr")) / part
    chunk = piece / "c" / "0" / "0"
    if damage == "gone":
        chunk.unlink()
    elif damage == "cut off":
        chunk.write_bytes(chunk.read_bytes()[:-7])
    elif damage == "changed":
        content = bytearray(chunk.read_bytes())
        content[5] ^= 1
        chunk.write_bytes(content)
    else:
        (piece / "zarr.json").write_text("{")
    fresh = again(table)
    check(fresh, set(range(1000, 1100)), [*range(10), *range(1000, 1100)])
    put(fresh, range(10))
    check(fresh, {*range(10), *range(1000, 1100)}, [*range(10), *range(1000, 1100)])


def test_what_does_not_belong_is_refused(table: FeatureTable) -> None:
    with pytest.raises(ValueError, match="do not fit a table of 6 and 4 columns"):
        table.put(hashes_of([1]), values_of([1], 5), values_of([1], CONTEXT))
    with pytest.raises(ValueError, match="finite"):
        table.put(hashes_of([1]), np.full((1, LOCAL), np.nan, np.float32), values_of([1], CONTEXT))
    for wrong in ("too long to be a content hash", ""):
        with pytest.raises(ValueError, match="1 to 16 characters"):
            table.get(np.array([wrong, "abc"]))
    with pytest.raises(ValueError, match="ASCII"):
        table.get(np.array(["\N{GREEK SMALL LETTER MU}"]))


def test_size_and_clear(table: FeatureTable) -> None:
    store = FeatureStore(table.folder.parent)
    assert store.size() == 0
    put(table, range(1000))
    assert store.size() > 1000 * (LOCAL + CONTEXT) * 4
    store.clear()
    assert store.size() == 0
    check(table, set(), range(10))
    put(table, range(10))
    check(table, set(range(10)), range(10))


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_it_lists_what_it_holds_and_forgets_one_slide(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    assert store.tables() == []
    for slide, encoder in (("first", "a"), ("second", "a"), ("first", "b")):
        put(store.table(slide, encoder, SETTINGS, LOCAL, CONTEXT), range(2000))
    listed = store.tables()
    assert [(t.slide, t.encoder) for t in listed] == [
        ("first", "a"),
        ("second", "a"),
        ("first", "b"),
    ]
    assert all(t.settings == SETTINGS and time.time() - t.last_used < 60 for t in listed)
    assert store.size() == pytest.approx(on_disk(tmp_path), rel=0.05)
    assert sum(t.bytes for t in listed) == store.size()
    store.clear_slide("first")
    assert [t.slide for t in store.tables()] == ["second"]
    store.clear_slide("unknown")
    check(store.table("second", "a", SETTINGS, LOCAL, CONTEXT), set(range(2000)), range(2000))


# A table of 500 rows takes 31 kB: three and what is kept free are within this limit.
LIMIT = 100_000


def bounded(folder: Path, slide: str) -> FeatureTable:
    """A table in a store for three, as a new process sees it."""
    return FeatureStore(folder, LIMIT).table(slide, "encoder", SETTINGS, LOCAL, CONTEXT)


def used_hours_ago(table: FeatureTable, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(table.folder / "key.json", (then, then))


def slides_in(folder: Path) -> list[str]:
    return sorted(table.slide for table in FeatureStore(folder).tables())


def test_what_was_not_used_longest_goes_first(tmp_path: Path) -> None:
    for slide, hours in (("a", 2), ("b", 4), ("c", 3)):
        table = bounded(tmp_path, slide)
        put(table, range(500))
        used_hours_ago(table, hours)
    put(bounded(tmp_path, "d"), range(500))
    assert slides_in(tmp_path) == ["a", "c", "d"]
    # To read is to use.
    check(bounded(tmp_path, "c"), set(range(500)), range(3))
    put(bounded(tmp_path, "e"), range(500))
    assert slides_in(tmp_path) == ["c", "d", "e"]


def test_what_may_be_in_use_stays(tmp_path: Path) -> None:
    for slide in "abcdef":
        put(bounded(tmp_path, slide), range(500))
    assert slides_in(tmp_path) == list("abcdef")


def test_a_slide_that_is_too_large_loses_what_came_first(tmp_path: Path) -> None:
    other, table = bounded(tmp_path, "other"), bounded(tmp_path, "large")
    put(other, range(10))
    for start in range(0, 4000, 500):
        put(table, range(start, start + 500))
        # Written within less than the clock of some disks tells.
        for piece in table.folder.glob("*.zarr"):
            age = time.time() - piece.stat().st_mtime
            os.utime(piece, (0, time.time() - age - 60))
    assert FeatureStore(tmp_path).size() <= LIMIT
    fresh = bounded(tmp_path, "large")
    found = fresh.get(hashes_of(range(4000)))[0]
    assert found[3500:].all()
    assert not found[:1000].any()
    check(fresh, set(np.flatnonzero(found)), range(4000))
    assert slides_in(tmp_path) == ["large", "other"]


def test_room_is_looked_for_now_and_then(tmp_path: Path) -> None:
    table = bounded(tmp_path, "new")
    put(table, [1])
    for slide in "abcd":
        put(bounded(tmp_path, slide), range(500))
    for hours, slide in enumerate("dcba", 2):
        used_hours_ago(bounded(tmp_path, slide), hours)
    put(table, [2])
    assert slides_in(tmp_path) == ["a", "b", "c", "d", "new"]
    # What is written until the next look has been kept free.
    put(table, range(500))
    assert slides_in(tmp_path) == ["d", "new"]


@pytest.mark.parametrize("wrong", ["much", "0", "-3", "nan", "inf"])
def test_the_limit_must_be_a_positive_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, wrong)
    with pytest.raises(PrtsError, match=f"NAPARI_PRTS_FEATURES_GB is '{wrong}': set it to"):
        FeatureStore(tmp_path)


def test_where_the_limit_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert FeatureStore(tmp_path).limit_bytes == DEFAULT_LIMIT_BYTES
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    assert FeatureStore(tmp_path).limit_bytes == 500_000_000
    assert FeatureStore(tmp_path, 1234).limit_bytes == 1234
    with pytest.raises(PrtsError, match="limit_bytes is 0"):
        FeatureStore(tmp_path, 0)


def test_a_table_that_another_process_removes_is_made_again(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    table = store.table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
    stop, errors = threading.Event(), list[BaseException]()

    def clear() -> None:
        while not stop.wait(0.01):
            FeatureStore(tmp_path).clear()

    clearing = threading.Thread(target=clear)
    clearing.start()
    try:
        for start in range(0, 200, 5):
            put(table, range(start, start + 5))
            found, local, _ = table.get(hashes_of(range(200)))
            assert np.array_equal(local[found], values_of(np.flatnonzero(found), LOCAL))
    except BaseException as error:
        errors.append(error)
    finally:
        stop.set()
        clearing.join()
    assert not errors
    put(table, range(5))
    check(again(table), set(range(5)), range(5))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    table = FeatureStore(tmp_path / "file").table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
    with pytest.raises(PrtsError, match=r"cannot be kept in .*NAPARI_PRTS_CACHE"):
        put(table, [1])


def test_leavings_of_killed_processes_are_removed(table: FeatureTable) -> None:
    put(table, [1])
    old, new = table.folder / ".old.zarr.x", table.folder / ".new.zarr.x"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    put(table, [2])
    assert not old.exists()
    assert new.exists(), "another process may be writing it"


def test_it_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    """A process that writes without end is killed; what it had said it kept is there."""
    writer = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from napari_prts.features import FeatureStore
        from tests.features.test_store import put, SETTINGS, LOCAL, CONTEXT
        table = FeatureStore({str(tmp_path)!r}).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
        start = int(sys.argv[1])
        while True:
            put(table, range(start, start + 5))
            start += 5
            print(start, flush=True)
        """
    )
    kept = 0
    table = FeatureStore(tmp_path).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
    for pause in (0.05, 0.31):
        process = subprocess.Popen(
            [sys.executable, "-c", writer, str(kept)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(3):
            said = process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        kept = int((rest or [said])[-1])
        found, local, context = table.get(hashes_of(range(kept)))
        assert found.all()
        assert np.array_equal(local, values_of(range(kept), LOCAL))
        assert np.array_equal(context, values_of(range(kept), CONTEXT))


def test_it_survives_being_killed_while_it_makes_room(tmp_path: Path) -> None:
    """A process that removes a table at each step is killed; the others stay whole."""
    trimmer = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from tests.features.test_store import bounded, put, used_hours_ago
        for number in range(int(sys.argv[1]), 100_000):
            table = bounded(Path({str(tmp_path)!r}), str(number))
            put(table, range(500))
            used_hours_ago(table, 2)
            print(number, flush=True)
        """
    )
    last = -1
    for pause in (0.02, 0.17, 0.23):
        process = subprocess.Popen(
            [sys.executable, "-c", trimmer, str(last + 1)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(5):
            said = process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        last = int((process.stdout.read().split() or [said])[-1])
        process.wait()
        kept = slides_in(tmp_path)
        assert {str(last), str(last - 1)} <= set(kept)
        assert len(kept) <= 4
        # The one it was killed over may not even have its name yet.
        for slide in set(kept) - {str(last + 1), ""}:
            check(bounded(tmp_path, slide), set(range(500)), range(600))
            used_hours_ago(bounded(tmp_path, slide), 2)
    # What it left half removed goes with the next look.
    put(bounded(tmp_path, "end"), range(500))
    assert not list(tmp_path.glob(".gone-*"))


def test_several_write_and_read_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            table = FeatureStore(tmp_path).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
            mine: set[int] = set()
            for start in range(first, first + 40, 4):
                put(table, range(start, start + 4))
                mine |= set(range(start, start + 4))
                check(table, mine, range(first, first + 44))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    table = FeatureStore(tmp_path).table("slide", "encoder", SETTINGS, LOCAL, CONTEXT)
    assert len(table) == 3 * 40
