"""What a click did can be written as Python, and that Python does it again."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as for_any
from hypothesis import strategies as some
from PIL import Image

import napari_prts
from napari_prts.errors import ExpressionError, PrtsError
from napari_prts.expression import TrainRequest
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, write_geojson
from napari_prts.segmentation import SegmentRequest
from napari_prts.slide import Slide
from napari_prts.study import Study, StudyTrainRequest
from napari_prts.study.as_python import WIDTH, Name, call, comment, given, literal
from napari_prts.study.recipe import (
    opening,
    script,
    segment_line,
    train_line,
    with_cells,
    with_measured,
    with_nuclei,
    with_prediction,
)
from napari_prts.study.recipe_exploring import ask_line, cell_lines, group_lines, group_steps
from napari_prts.visium_hd import simulate_job

TEXTS = some.text() | some.characters(categories=["Cs", "Cc", "Cf", "Zl"]).map(str)
PLAIN = TEXTS | some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False)
VALUES = some.recursive(
    PLAIN,
    lambda inner: (
        some.lists(inner)
        | some.lists(inner).map(tuple)
        | some.dictionaries(TEXTS | some.integers(), inner)
    ),
    max_leaves=12,
)


def ran(source: str) -> dict[str, Any]:
    """Run a script as a file of its own would be; return its names."""
    names: dict[str, Any] = {}
    exec(compile(source, "copied.py", "exec"), names)
    return names


def study_of(source: str) -> Study:
    found = ran(source)["study"]
    assert isinstance(found, Study)
    return found


def same_nuclei(one: Nuclei, other: Nuclei) -> bool:
    return np.array_equal(one.ids, other.ids) and np.array_equal(one.hashes, other.hashes)


@pytest.fixture
def picture(tissue_slide: Slide, tmp_path: Path) -> Path:
    """A small real slide without a pixel size, in a folder with a difficult name."""
    folder = tmp_path / 'Prof. O\'Neill "2"\\müller'
    folder.mkdir()
    path = folder / "skin.png"
    Image.fromarray(np.asarray(tissue_slide.levels[0])[:400, :400]).save(path)
    return path


@pytest.fixture(scope="module")
def section(
    demo_slide: Slide, demo_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The embedded slide, nuclei of it, and simulated counts on disk."""
    folder = tmp_path_factory.mktemp("section")
    nuclei = demo_nuclei.take(np.arange(0, len(demo_nuclei), 2))
    write_geojson(nuclei, folder / "nuclei.geojson")
    run(simulate_job(demo_slide, nuclei, folder / "hd", genes=20, seed=0))
    assert demo_slide.path is not None
    return {"slide": demo_slide.path, "nuclei": folder / "nuclei.geojson", "hd": folder / "hd"}


@pytest.fixture
def measured(section: dict[str, Path]) -> Study:
    """The same as a study, up to its measured cells."""
    study = napari_prts.open(section["slide"])
    study.import_nuclei(section["nuclei"])
    study.measure(section["hd"], min_umi=10)
    return study


# Values and calls


@for_any(VALUES)
def test_any_value_is_read_again_as_it_was(value: Any) -> None:
    again = ast.literal_eval(_finite(literal(value)))
    assert again == value
    assert type(again) is type(value)


def _finite(source: str) -> str:
    # literal_eval calls nothing, not even float.
    return source.replace('float("inf")', "1e999").replace('float("-inf")', "-1e999")


@for_any(path=TEXTS, gene=TEXTS, number=some.floats(allow_nan=False))
def test_any_path_and_any_gene_reach_a_call_unchanged(path: str, gene: str, number: float) -> None:
    got: list[Any] = []
    source = call("take", Path(path), gene=gene, at=number, of=Name("got"))
    ran_with = {"take": lambda *plain, **named: got.append((plain, named)), "got": got}
    exec(source, ran_with)
    assert got[0][0] == (str(Path(path)),)
    assert got[0][1] == {"gene": gene, "at": number, "of": got}
    # It survives a file, which holds no lone surrogates and no other line ends.
    assert source.encode("utf-8").decode("utf-8") == source


@for_any(TEXTS)
def test_no_text_breaks_out_of_a_comment(words: str) -> None:
    assert ast.parse(comment(words)).body == []


def test_numbers_that_are_not_finite_and_numpys_own() -> None:
    assert np.isnan(eval(literal(float("nan"))))
    assert literal(np.float32(0.5)) == "0.5"
    assert literal(np.array([1, 2])) == "[1, 2]"
    assert literal((1,)) == "(1,)"


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="A object cannot be written as Python"):
        literal(object())


def test_a_long_call_has_one_argument_a_line() -> None:
    source = call("study.segment", model="m" * 50, region=(1.0, 2.0, 3.0, 4.0))
    assert source.splitlines() == [
        "study.segment(",
        f'    model="{"m" * 50}",',
        "    region=(1.0, 2.0, 3.0, 4.0),",
        ")",
    ]


def test_long_lists_are_wrapped() -> None:
    source = call("answer = study.ask", [(float(n), n / 7) for n in range(200)])
    assert max(map(len, source.splitlines())) <= WIDTH
    assert len(source.splitlines()) < 120


@dataclass(frozen=True)
class Request:
    name: str
    many: int = 3
    folder: Path | str = "cache"
    sizes: tuple[int, ...] = field(default_factory=lambda: (1, 2))


def test_only_what_differs_from_the_defaults_is_given() -> None:
    assert given(Request("a", folder=Path("cache"))) == {"name": "a"}
    assert given(Request("a", 4, sizes=(2,)), but=("name",)) == {"many": 4, "sizes": (2,)}
    assert given(SegmentRequest()) == {}
    assert given(TrainRequest(seed=2)) == {"seed": 2}


def test_lines_of_requests() -> None:
    request = SegmentRequest("he-open", prob_threshold=0.55, order_from=(5.0, 5.0))
    assert segment_line(request) == "study.segment(prob_threshold=0.55)"
    training = StudyTrainRequest("unet", TrainRequest(epochs=7, checkpoints="kept"), tiles="grid")
    assert train_line(training) == 'study.train(encoder="unet", tiles="grid", epochs=7)'


# Opening and nuclei


def test_without_a_slide_the_script_shows_the_way() -> None:
    assert script(opening(None)) == (
        'import napari_prts\n\nstudy = napari_prts.open("slide.svs")\n'
    )
    assert 'study.predict("model")' in script(*with_prediction(None))


def test_a_stated_pixel_size_is_written_and_that_of_the_file_is_not(
    picture: Path, demo_slide_path: Path
) -> None:
    assert "mpp" not in opening(napari_prts.open(demo_slide_path))
    study = napari_prts.open(picture, mpp=0.499)
    again = study_of(script(opening(study)))
    assert again.slide.path == picture
    assert (again.slide.mpp, again.slide.fingerprint) == (0.499, study.slide.fingerprint)


def test_nuclei_that_were_found_are_found_again(picture: Path) -> None:
    study = napari_prts.open(picture, mpp=0.499)
    study.segment(prob_threshold=0.5, region=(20.0, 30.0, 300.0, 310.0))
    copied = script(*with_nuclei(study))
    assert "study.segment(region=(20.0, 30.0, 300.0, 310.0), prob_threshold=0.5)" in copied
    assert "nms_threshold" not in copied
    assert len(study.nuclei) > 10
    assert same_nuclei(study_of(copied).nuclei, study.nuclei)


def test_nuclei_that_were_corrected_come_from_this_computers_own_copy(picture: Path) -> None:
    study = napari_prts.open(picture, mpp=0.499)
    study.segment()
    study.edit(removed=[3], added=[[(5, 5), (5, 30), (30, 30), (30, 5)]])
    copied = script(*with_nuclei(study))
    assert "study.restore(" in copied
    assert same_nuclei(study_of(copied).nuclei, study.nuclei)
    # Taken back, they are not those of the first search in all that is kept of them.
    study.undo()
    assert same_nuclei(study_of(script(*with_nuclei(study))).nuclei, study.nuclei)


def test_nuclei_that_no_script_can_make_are_said_to_be_so(picture: Path) -> None:
    study = Study(napari_prts.open_slide(picture, 0.499), autosave=False)
    study.edit(added=[[(5, 5), (5, 30), (30, 30), (30, 5)]])
    copied = script(*with_nuclei(study))
    assert "# These nuclei cannot be made again by a script: save a session" in copied
    ast.parse(copied)


def test_a_study_that_was_saved_is_opened_from_its_folder(picture: Path, tmp_path: Path) -> None:
    study = Study(napari_prts.open_slide(picture, 0.499), autosave=False)
    study.edit(added=[[(5, 5), (5, 30), (30, 30), (30, 5)]])
    study.save(tmp_path / "kept")
    copied = script(*with_nuclei(study))
    assert str(tmp_path / "kept") in copied
    assert "segment" not in copied
    assert same_nuclei(study_of(copied).nuclei, study.nuclei)
    # What is corrected after that is not in the folder.
    study.edit(removed=[0])
    assert "kept" not in script(*with_nuclei(study))


def test_a_saved_study_and_a_slide_are_opened_alike(picture: Path, tmp_path: Path) -> None:
    napari_prts.open(picture, mpp=0.499).save(tmp_path / "kept")
    assert napari_prts.open(tmp_path / "kept").slide.mpp == 0.499
    with pytest.raises(PrtsError, match="a pixel size of its own: leave mpp out"):
        napari_prts.open(tmp_path / "kept", mpp=0.5)


# Cells


def test_a_model_and_its_prediction_are_made_again_bit_for_bit(measured: Study) -> None:
    measured.train(epochs=2, seed=3)
    predicted = measured.predict()
    copied = script(*with_prediction(measured))
    assert "study.measure(" in copied
    assert "min_umi=10" in copied
    assert "study.train(epochs=2, seed=3)\nstudy.predict()\n" in copied
    again = study_of(copied)
    assert np.array_equal(np.asarray(again.predicted.X), np.asarray(predicted.X))
    assert np.array_equal(again.predicted.obs["id"], predicted.obs["id"])
    assert again.model.hash == measured.model.hash


def test_a_model_on_disk_is_named_by_its_folder(measured: Study, tmp_path: Path) -> None:
    folder = measured.train(epochs=2).save(tmp_path / "model")
    study = study_of(script(*with_nuclei(measured)))
    study.predict(folder)
    copied = script(*with_prediction(study))
    assert str(folder) in copied
    again = study_of(copied)
    assert np.array_equal(np.asarray(again.predicted.X), np.asarray(study.predicted.X))


def test_a_model_that_was_trained_on_other_nuclei_is_not_trained_again(measured: Study) -> None:
    measured.train(epochs=2)
    measured.edit(removed=[int(measured.nuclei.ids[0])])
    copied = script(*with_prediction(measured))
    assert "study.train" not in copied
    assert "# The model is in memory alone: save a session or a study folder" in copied


def test_sections_of_saved_studies_train_along(measured: Study, tmp_path: Path) -> None:
    other = _mirrored(measured, tmp_path)
    measured.train(epochs=1, others=[other])
    copied = script(*with_prediction(measured))
    assert literal([other]) in copied
    assert len(measured.model.card["training"]["slides"]) == 2
    assert study_of(copied).model.hash == measured.model.hash


def _mirrored(study: Study, folder: Path) -> Path:
    """Save the same cells as those of another slide."""
    pixels = np.asarray(study.slide.levels[0])[::-1]
    Image.fromarray(pixels).save(folder / "mirrored.png")
    other = napari_prts.open(folder / "mirrored.png", mpp=study.slide.mpp)
    other.set_nuclei(study.nuclei)
    counts = study.measured.copy()
    counts.uns["visium_hd"]["slide_fingerprint"] = other.slide.fingerprint
    other.set_measured(counts)
    return other.save(folder / "other")


def test_regions_clusters_cells_and_scores_are_asked_again(measured: Study) -> None:
    measured.train(epochs=2)
    measured.predict()
    measured.group(resolutions={"predicted": 0.9})
    from napari_prts.analysis import Region

    outline = np.array([[100.0, 100], [100, 1500], [1500, 1500], [1500, 100]])
    answer = measured.ask(outline)
    drawn = Region(measured.chosen, "drawn", outline)
    lassoed = Region(measured.chosen[:40])
    cell = int(measured.predicted.obs["id"].iloc[5])
    found = ran(
        script(
            *with_cells(measured),
            *group_lines(measured, "each", {"predicted": 0.9, "measured": 1.8}),
            ask_line(measured, drawn).replace("answer", "inside"),
            ask_line(measured, lassoed).replace("answer", "few"),
            "trust = study.trust()",
            *cell_lines(measured, cell),
        )
    )
    assert found["inside"].cells == answer.cells
    assert found["inside"].genes.equals(answer.genes)
    assert found["few"].cells == measured.ask(ids=lassoed.ids).cells
    assert found["trust"].genes.equals(measured.trust().genes)
    assert list(found["predicted"].columns) == [measured.predicted.obs_names[5]]
    for side, table in measured.clusters.items():
        again = found["study"].clusters[side]
        assert list(again.obs["leiden"]) == list(table.obs["leiden"])
        assert list(again.uns["leiden_colors"]) == list(table.uns["leiden_colors"])


def test_clusters_on_screen_are_written_with_their_resolutions(measured: Study) -> None:
    measured.group("measured", {"measured": 1.0})
    wanted = 'study.group(way="measured", resolutions={"measured": 1.0})'
    assert group_steps(measured) == [wanted]
    # The other side's names are matched with those that are there.
    assert group_lines(measured, "predicted", {"predicted": 0.6}) == [
        wanted,
        'study.group(way="predicted")',
    ]


def test_measured_cells_alone_are_read_again(measured: Study) -> None:
    assert with_cells(measured) == with_measured(measured)
    again = study_of(script(*with_cells(measured)))
    assert (again.measured.X != measured.measured.X).nnz == 0


def test_what_cannot_be_asked_is_said(measured: Study) -> None:
    with pytest.raises(ExpressionError, match="Give an outline or ids, not both"):
        measured.ask([[0, 0], [0, 1], [1, 1]], ids=[1])
    with pytest.raises(ExpressionError, match="There is no resolution of 'both'"):
        measured.group(resolutions={"both": 1.0})
    assert ask_line(measured, None).startswith("# No region is asked yet")
    assert cell_lines(measured, None)[0].startswith("# No cell")
