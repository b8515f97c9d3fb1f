"""A session is one file that brings everything back; it never is half there."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_prts.errors import PrtsError
from napari_prts.expression import TrainRequest, train
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide, open_slide
from napari_prts.study import Study
from napari_prts.study.session_file import SessionCard, open_session, save_session
from napari_prts.study.session_parts import SessionParts
from tests.expression.sections import make_section
from tests.study.saved_studies import full_study

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


def save(study: Study, path: Path, **view: object) -> Path:
    return run(save_session(SessionParts.of(study, view), path))


def reopen(path: Path, slide: Slide | Path | None = None) -> SessionParts:
    return run(open_session(SessionCard.read(path), slide))


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    return full_study(tissue_slide, tissue_nuclei)


def test_everything_comes_back(study: Study, tmp_path: Path) -> None:
    path = save(study, tmp_path / "a.prts", camera={"row": 3.5})
    parts = reopen(path, study.slide)
    again = parts.study()
    assert parts.view == {"camera": {"row": 3.5}}
    np.testing.assert_array_equal(again.nuclei.vertices, study.nuclei.vertices)
    assert again.nuclei_provenance["model"] == "threshold"
    np.testing.assert_array_equal(again.chosen, study.chosen)
    for side in ("predicted", "measured"):
        before, after = study.expression(side), again.expression(side)
        assert list(before.var_names) == list(after.var_names)
        assert (before.X != after.X).sum() == 0
        np.testing.assert_array_equal(before.obs["id"], after.obs["id"])
    before, after = study.clusters["predicted"], again.clusters["predicted"]
    assert list(before.obs["leiden"]) == list(after.obs["leiden"])
    assert list(before.uns["leiden_colors"]) == list(after.uns["leiden_colors"])
    np.testing.assert_array_equal(before.obsm["X_umap"], after.obsm["X_umap"])
    np.testing.assert_array_equal(after.X, again.expression("predicted").X)


def test_the_model_comes_back(tmp_path: Path) -> None:
    section = make_section(cells=200)
    settings = TrainRequest(epochs=1, batch=64, device="cpu")
    model = run(train(section.features, section.measured, section.nuclei, section.slide, settings))
    study = Study(section.slide, autosave=False)
    study.set_model(model)
    again = reopen(save(study, tmp_path / "m.prts"), section.slide).study().model
    assert again is not None
    # The hash is of all weights and of the card.
    assert again.hash == model.hash
    assert again.genes == model.genes


def test_expression_is_in_the_file_once(study: Study, tmp_path: Path) -> None:
    path = save(study, tmp_path / "a.prts")
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        archive.extract("clusters-predicted.h5ad", tmp_path)
    assert set(sizes) == {
        "session.json",
        "nuclei.geojson",
        "measured.h5ad",
        "predicted.h5ad",
        "clusters-predicted.h5ad",
    }
    import anndata

    assert anndata.read_h5ad(tmp_path / "clusters-predicted.h5ad").X is None


@pytest.fixture
def moved(demo_slide_path: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A session of a slide in a folder beside it."""
    slide = tmp_path / "slides" / "section.svs"
    slide.parent.mkdir()
    shutil.copy(demo_slide_path, slide)
    study = Study(open_slide(slide, 0.25), autosave=False)
    study.edit(added=[SQUARE, SQUARE + 40])
    return save(study, tmp_path / "sessions" / "mine.prts"), slide


def test_a_stated_pixel_size_is_kept(moved: tuple[Path, Path]) -> None:
    again = reopen(moved[0])
    assert again.slide.mpp == 0.25
    assert again.slide.path == moved[1].resolve()
    assert len(again.nuclei) == 2


def test_session_and_slide_moved_together_are_found(
    moved: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    for name in ("slides", "sessions"):
        shutil.copytree(tmp_path / name, other / name)
        shutil.rmtree(tmp_path / name)
    card = SessionCard.read(other / "sessions" / "mine.prts")
    assert card.slide_path() == (other / "slides" / "section.svs").resolve()
    assert len(run(open_session(card)).nuclei) == 2


def test_a_slide_beside_the_session_is_found(moved: tuple[Path, Path]) -> None:
    session, slide = moved
    slide.rename(session.parent / slide.name)
    assert SessionCard.read(session).slide_path() == (session.parent / slide.name).resolve()


def test_a_lost_slide_is_asked_for(moved: tuple[Path, Path], tmp_path: Path) -> None:
    session, slide = moved
    there = slide.rename(tmp_path / "new name.svs")
    card = SessionCard.read(session)
    assert card.slide_path() is None
    with pytest.raises(PrtsError, match=r"not at .*section\.svs any more.*say where it is now"):
        run(open_session(card))
    assert len(run(open_session(card, there)).nuclei) == 2


def test_another_slide_is_refused(study: Study, moved: tuple[Path, Path]) -> None:
    with pytest.raises(PrtsError, match="not the slide"):
        reopen(moved[0], study.slide)


def test_an_image_in_memory_has_to_be_given(study: Study, tmp_path: Path) -> None:
    with pytest.raises(PrtsError, match="image in memory"):
        reopen(save(study, tmp_path / "a.prts"))


def test_files_that_are_no_session_are_refused(tmp_path: Path, demo_slide_path: Path) -> None:
    with pytest.raises(PrtsError, match="does not exist"):
        SessionCard.read(tmp_path / "none.prts")
    with pytest.raises(PrtsError, match="is a folder"):
        SessionCard.read(tmp_path)
    with pytest.raises(PrtsError, match="not a session"):
        SessionCard.read(demo_slide_path)
    with zipfile.ZipFile(tmp_path / "other.prts", "w") as archive:
        archive.writestr("letter.txt", "dear reader")
    with pytest.raises(PrtsError, match="not a session"):
        SessionCard.read(tmp_path / "other.prts")


def test_a_cut_or_damaged_file_is_refused(study: Study, tmp_path: Path) -> None:
    whole = save(study, tmp_path / "a.prts").read_bytes()
    (tmp_path / "cut.prts").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PrtsError, match="damaged"):
        SessionCard.read(tmp_path / "cut.prts")
    at = whole.index(b"nuclei.geojson") + 2000
    (tmp_path / "bad.prts").write_bytes(whole[:at] + b"\0" * 400 + whole[at + 400 :])
    with pytest.raises(PrtsError, match="nuclei cannot be read"):
        reopen(tmp_path / "bad.prts", study.slide)


def test_a_newer_file_asks_for_an_update(study: Study, tmp_path: Path) -> None:
    save(study, tmp_path / "a.prts")
    with zipfile.ZipFile(tmp_path / "a.prts") as old:
        card = json.loads(old.read("session.json"))
    with zipfile.ZipFile(tmp_path / "new.prts", "w") as new:
        new.writestr("session.json", json.dumps(card | {"format_version": 99}))
    with pytest.raises(PrtsError, match="newer napari-prts"):
        SessionCard.read(tmp_path / "new.prts")


def test_a_cancelled_save_leaves_the_old_file(study: Study, tmp_path: Path) -> None:
    path = save(study, tmp_path / "a.prts")
    before = path.read_bytes()
    job = save_session(SessionParts.of(study), path)
    next(job)
    next(job)
    job.close()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.prts"]


def test_a_place_that_cannot_be_written_is_told(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PrtsError, match="cannot be written"):
        save(study, tmp_path / "file" / "a.prts")


def test_what_is_changed_while_it_is_saved_is_not_in_it(study: Study, tmp_path: Path) -> None:
    job = save_session(SessionParts.of(study), tmp_path / "a.prts")
    next(job)
    count = len(study.nuclei)
    study.edit(added=[SQUARE])
    run(job)
    assert len(reopen(tmp_path / "a.prts", study.slide).nuclei) == count
