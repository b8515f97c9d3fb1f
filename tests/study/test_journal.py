"""Every change of the nuclei is on disk before the user makes the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study, open_study, records
from napari_prts.study import journal as journal_module
from napari_prts.study.journal_files import JOURNAL, in_use, read_journal
from napari_prts.study.recovery import KEPT

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


@pytest.fixture
def slide() -> Slide:
    return Slide.from_array(np.full((300, 300, 3), 240, np.uint8), mpp=0.5)


def grid(count: int) -> Nuclei:
    """Squares in rows of a thousand."""
    corner = np.stack(np.divmod(np.arange(count), 1000), axis=1) * 12
    return Nuclei.from_polygons((SQUARE + corner[:, None]).astype(np.float32))


def begun(slide: Slide, edits: int = 3) -> Study:
    """A study with two nuclei and some more that were drawn, all on disk."""
    study = Study(slide)
    study.set_nuclei(Nuclei.from_polygons([SQUARE, SQUARE + 30]), {"model": "he-open"})
    for number in range(edits):
        study.edit(added=[SQUARE + 60 + number], label=f"draw {number}")
    assert not study.autosave.wait().pending
    return study


def journal_of(study: Study) -> Path:
    study.autosave.wait()
    session = study.autosave.session
    assert session is not None
    return session / JOURNAL


def left_by_a_session(slide: Slide, edits: int) -> Path:
    """Folder of the journal of a session that has ended."""
    study = begun(slide, edits)
    study.autosave.close()
    return journal_of(study).parent


def same(one: Nuclei, other: Nuclei) -> bool:
    """Whether two tables are the same, row for row and bit for bit."""
    names = ("vertices", "offsets", "ids", "scores", "sources", "next_id")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_nothing_is_written_before_something_is_done(slide: Slide, tmp_path: Path) -> None:
    study = Study(slide)
    study.set_mpp(0.4)
    study.autosave.wait()
    assert study.autosave.session is None
    assert study.saved.at is None
    assert study.recoverable is None
    with pytest.raises(NucleiError, match="nothing to restore"):
        study.restore()


def test_a_small_change_is_with_the_system_when_the_call_returns(slide: Slide) -> None:
    study = begun(slide)
    path = journal_of(study)
    before = path.stat().st_size
    study.edit(removed=[0])
    assert path.stat().st_size > before


def test_many_nuclei_are_written_aside_and_come_back_bit_for_bit(slide: Slide) -> None:
    study, many = Study(slide), grid(30_000)
    study.set_nuclei(many, {"model": "he-open"})
    study.edit(removed=[17], added=[SQUARE + 0.25], label="swap")
    assert not study.autosave.wait().pending
    assert list(journal_of(study).parent.glob("*.nuclei"))
    again = Study(slide)
    assert same(again.restore(), study.nuclei)
    assert again.undo() == study.undo() == "swap"
    assert same(again.nuclei, study.nuclei)
    np.testing.assert_array_equal(again.nuclei.vertices, many.vertices)


def test_segmenting_a_region_is_kept_with_its_scores(slide: Slide) -> None:
    study = begun(slide)
    study.set_segmented(
        Nuclei.from_polygons([SQUARE + 1, SQUARE + 35], scores=[0.7, 0.8]), (0, 0, 50, 50), {}
    )
    study.autosave.wait()
    assert same(Study(slide).restore(), study.nuclei)


def test_outlines_that_cross_themselves_come_back_as_they_were_mended(slide: Slide) -> None:
    study = begun(slide)
    bow = np.array([[0, 0], [10, 10], [0, 10], [12, 0]], np.float64)
    study.edit(added=[bow], replaced={0: bow + 40})
    study.autosave.wait()
    assert same(Study(slide).restore(), study.nuclei)


def test_the_array_of_an_outline_may_be_changed_after_the_edit(slide: Slide) -> None:
    study, drawn = begun(slide), SQUARE + 100
    study.edit(added=[drawn])
    drawn += 50
    study.autosave.wait()
    assert same(Study(slide).restore(), study.nuclei)


def test_an_edit_that_changes_nothing_or_is_refused_leaves_no_record(slide: Slide) -> None:
    study = begun(slide)
    size = journal_of(study).stat().st_size
    study.edit()
    with pytest.raises(NucleiError):
        study.edit(removed=[10**6])
    assert journal_of(study).stat().st_size == size


def test_a_torn_last_record_costs_that_one_edit(slide: Slide) -> None:
    study = begun(slide)
    before, path = study.nuclei, journal_of(study)
    whole = path.stat().st_size
    study.edit(added=[SQUARE + 200])
    content = journal_of(study).read_bytes()
    for length in range(whole, len(content)):
        path.write_bytes(content[:length])
        assert read_journal(path.parent).problem == ""
    assert same(Study(slide).restore(), before)


def test_an_end_of_zeros_as_a_power_cut_leaves_is_a_torn_record(slide: Slide) -> None:
    study = begun(slide)
    path = journal_of(study)
    path.write_bytes(path.read_bytes() + bytes(300))
    assert same(Study(slide).restore(), study.nuclei)


@pytest.mark.parametrize("part", ["length", "facts", "outline"])
def test_a_damaged_record_in_the_middle_is_told(slide: Slide, part: str) -> None:
    study = begun(slide, edits=4)
    path = journal_of(study)
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content)) if content.startswith(b"\xf5rec", i)]
    place = {"length": 5, "facts": 60, "outline": starts[3] - starts[2] - 3}[part]
    content[starts[2] + place] ^= 0x40
    path.write_bytes(content)

    again = Study(slide)
    assert again.recoverable is not None
    assert "2 corrections before the damage" in again.recoverable.problem
    with pytest.warns(UserWarning, match="is damaged"):
        again.restore()
    assert len(again.nuclei) == 3
    assert path.exists()


def test_nuclei_that_were_not_wholly_written_are_told_and_those_before_restored(
    slide: Slide,
) -> None:
    study = begun(slide)
    before = study.nuclei
    study.set_nuclei(grid(30_000))
    study.edit(removed=[5])
    next(journal_of(study).parent.glob("*.nuclei")).unlink()
    again = Study(slide)
    with pytest.warns(UserWarning, match="not wholly written"):
        again.restore()
    assert same(again.nuclei, before)


def test_a_file_that_is_no_journal_is_not_offered_nor_removed(slide: Slide) -> None:
    path = journal_of(begun(slide))
    path.write_bytes(b"something else")
    assert Study(slide).recoverable is None
    with pytest.raises(NucleiError, match="no journal"):
        read_journal(path.parent)
    for _ in range(KEPT + 2):
        left_by_a_session(slide, 1)
    assert path.exists()


def test_two_studies_of_one_slide_write_journals_of_their_own(slide: Slide) -> None:
    one, two = begun(slide), begun(slide)
    one.edit(removed=[0])
    two.edit(added=[SQUARE + 120])
    one.edit(removed=[1])
    assert journal_of(one) != journal_of(two)
    newest, older = Study(slide).autosave.recoverables
    assert newest.session == journal_of(one).parent
    assert same(Study(slide).restore(newest), one.nuclei)
    assert same(Study(slide).restore(older), two.nuclei)


def test_beginning_anew_keeps_the_journals_before_and_the_one_with_most_work(slide: Slide) -> None:
    work = left_by_a_session(slide, edits=20)
    later = [left_by_a_session(slide, edits=1) for _ in range(KEPT + 2)]
    known = [found.session for found in Study(slide).autosave.recoverables]
    assert work in known
    assert known[:KEPT] == later[::-1][:KEPT]
    assert len(known) == KEPT + 2


def test_a_journal_in_use_is_never_removed(slide: Slide) -> None:
    study = begun(slide, edits=1)
    assert in_use(journal_of(study).parent)
    for _ in range(KEPT + 3):
        left_by_a_session(slide, edits=2)
    study.edit(removed=[0])
    assert journal_of(study).exists()


def test_folding_keeps_undo_and_redo_and_drops_what_they_cannot_reach(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begun(slide)
    monkeypatch.setattr(journal_module, "FOLD", 2000)
    for number in range(30):
        study.edit(added=[SQUARE + number])
        study.undo()
    study.edit(removed=[0], label="kept")
    study.edit(removed=[1], label="taken back")
    study.undo()
    study.autosave.wait()
    monkeypatch.setattr(journal_module, "FOLD", 0)
    for _ in range(20):
        study.undo()
        study.redo()
    contents = read_journal(journal_of(study).parent)
    assert sum(change.is_step for change in contents.changes) < 30

    again = Study(slide)
    assert same(again.restore(), study.nuclei)
    assert again.redo() == "taken back"
    assert [again.undo() for _ in range(3)] == ["taken back", "kept", "draw 2"]
    new = again.edit(added=[SQUARE])
    assert new[0] >= study.nuclei.next_id


def test_nuclei_out_of_reach_of_undo_are_removed_from_the_disk(slide: Slide) -> None:
    study = begun(slide)
    for _ in range(3):
        study.set_nuclei(grid(30_000))
        study.undo()
    study.edit(removed=[0])
    study.autosave.wait()
    study.autosave.wait()
    assert not list(journal_of(study).parent.glob("*.nuclei"))
    assert same(Study(slide).restore(), study.nuclei)


def test_a_fold_that_was_interrupted_leaves_the_journal_as_it_was(slide: Slide) -> None:
    study = begun(slide)
    path = journal_of(study)
    path.with_name(f"{JOURNAL}.new").write_bytes(path.read_bytes()[:40])
    path.with_name("000009.part").write_bytes(b"half")
    assert same(Study(slide).restore(), study.nuclei)


def test_a_full_disk_is_told_and_made_good_when_there_is_room_again(slide: Slide) -> None:
    study = begun(slide)
    with no_file_longer_than(journal_of(study).stat().st_size + 100):
        study.edit(added=[SQUARE + 3])
        study.edit(added=[SQUARE + 4])
        saved = study.autosave.wait()
        assert saved.pending
        assert "not saved" in saved.problem
        assert "NAPARI_PRTS_DATA" in saved.problem
    study.autosave.retry()
    saved = study.autosave.wait()
    assert (saved.pending, saved.problem) == (False, "")
    assert same(Study(slide).restore(), study.nuclei)


def test_a_full_disk_in_the_middle_of_many_nuclei_is_told_too(slide: Slide) -> None:
    study = begun(slide)
    with no_file_longer_than(100_000):
        study.set_nuclei(grid(30_000))
        study.edit(removed=[3])
        assert study.autosave.wait().problem
    study.edit(removed=[4])
    assert study.autosave.wait().problem == ""
    assert same(Study(slide).restore(), study.nuclei)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Let the system refuse to write on, as a full disk does."""
    resource = pytest.importorskip("resource", reason="Windows knows no such limit")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_data_folder_that_cannot_be_made_is_told(
    slide: Slide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NAPARI_PRTS_DATA", str(tmp_path / "file"))
    study = Study(slide)
    study.edit(added=[SQUARE])
    assert "not saved" in study.autosave.wait().problem
    os.remove(tmp_path / "file")
    study.edit(added=[SQUARE + 20])
    assert study.autosave.wait().problem == ""
    assert same(Study(slide).restore(), study.nuclei)


def test_without_autosave_nothing_is_kept(slide: Slide) -> None:
    study = Study(slide, autosave=False)
    study.edit(added=[SQUARE])
    study.autosave.wait()
    assert Study(slide).recoverable is None


def test_undo_works_after_saving(demo_slide_path: Path, tmp_path: Path) -> None:
    import napari_prts

    study = napari_prts.open(demo_slide_path)
    study.edit(added=[SQUARE, SQUARE + 40], label="draw")
    study.edit(removed=[0], label="delete")
    study.save(tmp_path / "study")
    assert study.undo() == "delete"
    assert study.redo() == "delete"
    study.autosave.wait()
    crashed = napari_prts.open(demo_slide_path)
    crashed.restore()
    assert [crashed.undo(), crashed.undo(), crashed.undo()] == ["delete", "draw", None]


def test_a_saved_study_brings_its_provenance_and_corrections(
    demo_slide_path: Path, tmp_path: Path
) -> None:
    import napari_prts

    study = napari_prts.open(demo_slide_path)
    study.set_nuclei(Nuclei.from_polygons([SQUARE]), {"model": "he-open"})
    study.edit(added=[SQUARE + 40])
    study.save(tmp_path / "study")
    again = open_study(tmp_path / "study")
    assert same(again.nuclei, study.nuclei)
    assert again.nuclei_provenance == study.nuclei_provenance
    # It is safe in its folder: a journal begins with the first correction.
    again.autosave.wait()
    assert again.autosave.session is None
    again.edit(removed=[0])
    assert again.nuclei_provenance["corrections"] == {"added": 1, "edited": 0, "removed": 1}
    again.autosave.wait()
    assert same(Study(again.slide).restore(), again.nuclei)


def test_provenance_goes_back_with_undo(slide: Slide) -> None:
    study = begun(slide)
    study.set_nuclei(Nuclei.empty(), {"imported_from": "x.geojson"})
    study.undo()
    assert study.nuclei_provenance["model"] == "he-open"
    assert study.nuclei_provenance["corrections"]["added"] == 3
    study.autosave.wait()
    again = Study(slide)
    again.restore()
    again.redo()
    assert again.nuclei_provenance["imported_from"] == "x.geojson"


def test_records_keep_facts_and_arrays() -> None:
    arrays = {"ids": np.arange(3), "points": np.ones((2, 2), np.float32), "none": np.zeros((0, 2))}
    head, back = records.unpack(records.pack({"label": "Größe", "path": Path("x")}, arrays))
    assert head == {"label": "Größe", "path": "x"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype
