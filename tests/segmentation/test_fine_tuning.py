"""A model learns from corrected regions, is kept under a name, and says what it was made of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.errors import ModelError
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import Nuclei, write_geojson
from napari_prts.segmentation import SegmentRequest, load_model, save_model, segment
from napari_prts.segmentation.fine_tuning import FineTuneRequest, fine_tune
from napari_prts.segmentation.fine_tuning_choice import Trial, Trials
from napari_prts.segmentation.fine_tuning_deal import deal, teaching_tiles
from napari_prts.segmentation.fine_tuning_regions import (
    CONTEXT,
    IGNORED,
    Corrected,
)
from napari_prts.segmentation.fine_tuning_shapes import equal_parts
from napari_prts.segmentation.fine_tuning_steps import Lesson, as_tensors, taught
from napari_prts.segmentation.model import weights_hash
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.scoring import NucleiScore
from napari_prts.segmentation.training import stardist_loss
from napari_prts.segmentation.user_models import (
    Origin,
    check_new_name,
    free_name,
    list_models,
    user_models,
)
from napari_prts.slide import Slide
from tests.cli.running import fail, succeed, write_slide

REGION = (80.0, 100.0, 420.0, 420.0)


def holding(slide, nuclei, count):
    """The smallest square from a corner of the tissue that holds so many whole nuclei."""
    for side in range(100, 600, 10):
        region = (80.0, 100.0, float(side), float(side))
        corrected = Corrected.of(slide, nuclei, (region,))
        if corrected.whole(corrected.shape).sum() >= count:
            return region
    raise AssertionError("the skin has fewer nuclei than that")


def quick(name="skin-1", **changes):
    """A request that takes seconds: each run the same steps, whatever the machine."""
    few = {"regions": (REGION,), "minutes": None, "steps": 10, "batch": 1, "checks": 2}
    few |= {"held_out": 0.5, "device": "cpu"}
    return FineTuneRequest(name=name, **{**few, **changes})


@pytest.fixture(scope="module")
def coarse():
    """The embedded model, run at the slide's own scale, which is quicker."""
    return replace(load_model(), mpp=0.499)


@pytest.fixture(scope="module")
def right_nuclei(tissue_slide, coarse):
    """What the embedded model finds stands for what a user made sure of; one is by hand."""
    found = run(segment(tissue_slide, SegmentRequest(model=coarse, device="cpu")))
    (first, *_) = found.in_rectangle(200, 200, 330, 330)
    outline = found.vertices[slice(*found.offsets[first : first + 2])]
    return found.replace(int(found.ids[first]), outline)


@pytest.fixture(scope="module")
def region(tissue_slide, right_nuclei):
    """Enough nuclei to hold half of them out, too few to choose a threshold by."""
    return holding(tissue_slide, right_nuclei, 60)


@pytest.fixture(scope="module")
def timid(coarse):
    """The embedded model, spoilt: it is hardly ever sure of a nucleus."""
    network = type(coarse.network)(coarse.config)
    network.load_state_dict(coarse.network.state_dict())
    with torch.no_grad():
        network.prob.bias -= 2.5
    return replace(coarse, name="timid", network=network.eval(), hash=weights_hash(network))


# --- learning


@pytest.fixture(scope="module")
def learned(tissue_slide, right_nuclei, timid, tmp_path_factory, region):
    """A model that learned from a piece of skin, and all that the job said meanwhile."""
    reports: list[Progress] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_PRTS_DATA", str(tmp_path_factory.mktemp("data")))
        request = quick(regions=(region,), base=timid, learning_rate=1e-3, pull=0)
        tuned = run(fine_tune(tissue_slide, right_nuclei, request), reports.append)
        again, listed = load_model("skin-1"), list_models()
    return tuned, again, listed, reports


def test_it_finds_more_of_what_was_held_out(learned):
    tuned, *_ = learned
    assert tuned.better
    assert tuned.after.f1[0.5] > tuned.before.f1[0.5]
    assert tuned.recommended == "skin-1"
    assert tuned.words.endswith("after; model 'skin-1' saved.")


def test_it_is_loaded_by_its_name(learned):
    tuned, again, listed, _ = learned
    assert again.hash == tuned.model.hash
    assert again.name == "skin-1"
    (entry,) = [entry for entry in listed if entry.origin is Origin.USER]
    assert entry.name == "skin-1"
    assert "timid tuned on" in entry.words
    assert [entry.name for entry in listed][:2] == ["he-open", "2D_versatile_he"]


def test_its_card_says_what_it_was_made_of(learned, timid, tissue_slide, region):
    tuned, again, *_ = learned
    made = again.card["training"]
    assert (made["base"], made["base_hash"]) == ("timid", timid.hash)
    assert made["slide"]["fingerprint"] == tissue_slide.fingerprint
    assert made["slide"]["name"] == "skin"
    assert made["regions"] == [list(region)]
    assert made["nuclei"] > 12
    assert made["corrected_by_hand"] == 1
    assert made["settings"]["steps"] == 10
    assert made["cancelled"] is False
    assert made["held_out"]["f1_after"] == round(tuned.after.f1[0.5], 4)
    assert again.card["licence"] == timid.card["licence"]
    assert set(again.card["versions"]) == {"napari-prts", "torch", "stardist"}
    assert again.card["metrics"]["held out"]["before"] == tuned.before.as_dict()


def test_progress_counts_up_in_steps(learned):
    *_, reports = learned
    counts = [report.done for report in reports if report.total]
    assert counts == sorted(counts)
    assert reports[-1].done == reports[-1].total
    assert {report.unit for report in reports} == {"steps"}


def test_the_base_model_is_left_as_it_was(learned, timid):
    assert weights_hash(timid.network) == timid.hash


@pytest.mark.parametrize("frozen", ["encoder", "none"])
def test_a_frozen_encoder_keeps_its_weights(tissue_slide, right_nuclei, coarse, region, frozen):
    corrected = Corrected.of(tissue_slide, right_nuclei, (region,))
    patches = run(corrected.patches(tissue_slide, coarse.mpp))
    tiles = teaching_tiles(corrected, patches, corrected.shape)
    lesson = Lesson(frozen, 2, None, 1, 1e-3, pull=1, average=0.5, checks=1, seed=0)
    limits = Normalisation.from_pixels(patches[0].image)
    *_, last = taught(coarse.network, tiles, limits, lesson, torch.device("cpu"))
    before, after = coarse.network.state_dict(), last.network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    encoder = {name for name in before if name.startswith(("pooled.", "down.", "middle."))}
    assert same == (encoder if frozen == "encoder" else set())


def test_the_same_seed_learns_the_same(tissue_slide, right_nuclei, coarse, region):
    hashes = [
        run(
            fine_tune(
                tissue_slide,
                right_nuclei,
                quick(name, regions=(region,), base=coarse, steps=2, checks=1),
            )
        ).model.hash
        for name in ("one", "two")
    ]
    assert hashes[0] == hashes[1]


def test_few_nuclei_are_held_out_in_turn(tissue_slide, right_nuclei, coarse):
    small = holding(tissue_slide, right_nuclei, 16)
    corrected = Corrected.of(tissue_slide, right_nuclei, (small,))
    dealt = deal(corrected, 0.25, 0)
    assert dealt.in_turn
    assert dealt.runs == len(dealt.folds) + 1
    tuned = run(
        fine_tune(
            tissue_slide, right_nuclei, quick(regions=(small,), base=coarse, steps=2, checks=1)
        )
    )
    held = tuned.model.card["training"]["held_out"]
    assert held["in_turn"]
    assert held["nuclei"] > 0.5 * corrected.whole(corrected.shape).sum()


def test_the_tuned_model_finds_nuclei(tissue_slide, right_nuclei, coarse, region):
    run(
        fine_tune(
            tissue_slide, right_nuclei, quick(regions=(region,), base=coarse, steps=1, checks=1)
        )
    )
    found = run(segment(tissue_slide, SegmentRequest(model="skin-1", region=(0, 0, 300, 300))))
    assert len(found) > 10


# --- cancelling


def test_cancelled_before_the_first_look_leaves_nothing(tissue_slide, right_nuclei, coarse, region):
    job = fine_tune(tissue_slide, right_nuclei, quick(regions=(region,), base=coarse))
    for _ in range(3):
        next(job)
    job.close()
    assert not user_models().exists()


def test_cancelled_later_keeps_the_best_so_far(tissue_slide, right_nuclei, timid, region):
    request = quick(regions=(region,), base=timid, steps=20, checks=4, learning_rate=1e-3, pull=0)
    job = fine_tune(tissue_slide, right_nuclei, request)
    for report in job:
        if "now" in report.note and report.done >= 11:
            break
    job.close()
    made = load_model("skin-1").card["training"]
    assert made["cancelled"] is True
    assert 0 < made["kept_step"] <= 11
    assert made["held_out"]["better"]


# --- what is chosen


def scored(right: int, wrong: int = 0) -> NucleiScore:
    return NucleiScore((0.5, 0.6, 0.7), (right,) * 3, (wrong,) * 3, (100 - right,) * 3, 1, 100, 0)


def test_the_best_look_wins_not_the_last():
    trials = Trials(0.6)
    for check, right in enumerate([50, 60, 80, 70], start=-1):
        trials.add(Trial(check, 0.6, 10 * (check + 1), scored(right)))
    choice = trials.choice()
    assert (choice.check, choice.step) == (1, 20)
    assert choice.better
    assert choice.before == scored(50)


def test_of_equals_the_earlier_one_and_the_nearest_threshold():
    trials = Trials(0.6)
    for check in (-1, 0, 1):
        for prob in (0.3, 0.6, 0.65):
            trials.add(Trial(check, prob, check + 1, scored(70 if check >= 0 else 50)))
    assert (trials.choice().check, trials.choice().prob) == (0, 0.6)


def test_the_base_model_may_win_with_another_threshold():
    trials = Trials(0.6)
    for prob, right in ((0.6, 50), (0.4, 80)):
        trials.add(Trial(Trials.BASE, prob, 0, scored(right)))
        trials.add(Trial(0, prob, 5, scored(60)))
    assert (trials.choice().check, trials.choice().prob) == (Trials.BASE, 0.4)


def test_no_better_is_said():
    trials = Trials(0.6)
    trials.add(Trial(Trials.BASE, 0.6, 0, scored(80)))
    trials.add(Trial(0, 0.6, 5, scored(79)))
    assert not trials.choice().better


# --- what is learned from


def square(row, column, side):
    return [[row, column], [row, column + side], [row + side, column + side], [row + side, column]]


GLASS = Slide.from_array(np.full((400, 400, 3), 240, np.uint8), mpp=0.5, name="glass")


def labels_of(polygons, region, mpp=0.5, part=None):
    corrected = Corrected.of(GLASS, Nuclei.from_polygons(polygons), (region,))
    (patch,) = run(corrected.patches(GLASS, mpp))
    return corrected.labels(patch, corrected.shape if part is None else part), patch


def test_nuclei_that_the_border_cuts_are_ignored():
    region = (100.0, 100.0, 100.0, 100.0)
    whole, cut, outside = square(140, 140, 20), square(190, 140, 20), square(240, 140, 20)
    labels, patch = labels_of([whole, cut, outside], region)

    def at(row, column):
        return labels[int(row - patch.corner[0]), int(column - patch.corner[1])]

    assert at(150, 150) == 1
    assert at(192, 150) == IGNORED, "the part of a cut nucleus inside the region"
    assert at(205, 150) == IGNORED, "the part outside"
    assert at(250, 150) == IGNORED, "a nucleus outside is not background"
    assert at(120, 120) == 0, "known background"
    assert at(101, 120) == IGNORED, "the rim, where a cut nucleus may not be outlined"
    assert at(90, 120) == IGNORED


def test_the_slides_edge_cuts_nothing():
    labels, patch = labels_of([square(0, 10, 20)], (0.0, 0.0, 100.0, 100.0))
    assert labels[CONTEXT + 5, CONTEXT + 15] == 1
    assert labels[CONTEXT, CONTEXT + 60] == 0, "no rim along the slide's edge"
    assert (labels[:CONTEXT] == IGNORED).all(), "beyond the slide nothing is known"
    assert patch.corner == (-CONTEXT, -CONTEXT)


def test_nothing_is_learned_where_nothing_is_known(tissue_slide):
    """Whatever the network says on ignored ground, the loss is the same."""
    labels = np.zeros((64, 64), np.int32)
    labels[20:30, 20:30] = 1
    labels[:, 32:] = IGNORED
    config = load_model().config
    _, prob, dist, known = as_tensors(np.zeros((64, 64, 3), np.float32), labels, config)
    assert known.shape == prob.shape == (1, 1, 32, 32)
    logit, predicted = torch.zeros_like(prob), torch.ones_like(dist)
    loss = stardist_loss(logit, predicted, prob, dist, known=known)
    logit[..., 16:], predicted[..., 16:] = 9, 99
    assert stardist_loss(logit, predicted, prob, dist, known=known) == loss
    logit[..., :16] = 9
    assert stardist_loss(logit, predicted, prob, dist, known=known) != loss


def test_known_everywhere_is_the_usual_loss():
    torch.manual_seed(0)
    logit, prob = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    predicted, dist = torch.rand(2, 4, 8, 8), torch.rand(2, 4, 8, 8)
    usual = stardist_loss(logit, predicted, prob, dist)
    known = stardist_loss(logit, predicted, prob, dist, known=torch.ones_like(prob))
    torch.testing.assert_close(known, usual)


places = st.integers(0, 360)
sides = st.integers(6, 40)
regions = st.tuples(places, places, st.integers(20, 200), st.integers(20, 200))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(places, places, sides), min_size=1, max_size=6),
    regions,
    st.sampled_from([0.4, 0.5, 0.8]),
)
def test_masks_of_any_region(boxes, region, mpp):
    """Known ground lies in the region, and a nucleus is known as a whole or not at all."""
    polygons = [square(row, column, side) for row, column, side in boxes]
    labels, patch = labels_of(polygons, tuple(map(float, region)), mpp)
    rows, columns = (
        corner + (np.arange(size) + 0.5) * patch.step
        for corner, size in zip(patch.corner, labels.shape, strict=True)
    )
    row, column, height, width = region
    inside = ((rows >= row) & (rows <= min(row + height, 400)))[:, None] & (
        (columns >= column) & (columns <= min(column + width, 400))
    )
    # A nucleus is drawn by pixel centres, at the edge up to half a pixel beside its outline.
    from scipy.ndimage import binary_dilation

    assert (labels[~binary_dilation(inside)] == IGNORED).all()
    for number in np.unique(patch.numbers[patch.numbers > 0]):
        seen = labels[(patch.numbers == number) & patch.on_slide]
        assert len(np.unique(seen)) <= 1, "whole or not at all"
        assert 0 not in seen, "never background"


@settings(max_examples=30)
@given(
    st.lists(st.tuples(places, places), min_size=8, max_size=60),
    st.sampled_from([2, 4, 8]),
    regions,
)
def test_parts_cover_the_regions_and_share_nothing(points, count, region):
    row, column, height, width = region
    shape = shapely.box(column, row, column + width, row + height)
    parts = equal_parts(shape, np.array(points, float), count)
    assert sum(part.area for part in parts) == pytest.approx(shape.area)
    assert shapely.union_all(parts).area == pytest.approx(shape.area)


def test_what_is_held_out_is_never_learned_from(tissue_slide, tissue_nuclei):
    corrected = Corrected.of(tissue_slide, tissue_nuclei, (REGION,))
    (patch,) = run(corrected.patches(tissue_slide, 0.4))
    for teach, out in deal(corrected, 0.25, 3).folds:
        taught, held = (corrected.labels(patch, part) != IGNORED for part in (teach, out))
        assert taught.any()
        assert held.any()
        assert not (taught & held).any()


def test_a_polygon_is_a_region_too(tissue_slide, tissue_nuclei):
    triangle = ((100.0, 100.0), (100.0, 500.0), (500.0, 300.0))
    corrected = Corrected.of(tissue_slide, tissue_nuclei, (triangle,))
    assert corrected.shape.area == pytest.approx(80_000)
    inside = corrected.nuclei.take(corrected.whole(corrected.shape))
    assert 10 < len(inside) < len(tissue_nuclei)


# --- what is refused


@pytest.mark.parametrize("name", ["", "../skin", "a/b", ".hidden", "skin.", "CON", "x" * 64])
def test_names_that_are_none(name):
    with pytest.raises(ModelError, match="cannot be the name"):
        check_new_name(name)


@pytest.mark.parametrize("name", ["he-open", "HE-Open", "2D_versatile_he"])
def test_no_model_is_overwritten(name, tissue_slide, tissue_nuclei):
    with pytest.raises(ModelError, match=r"is overwritten: .*-2"):
        next(fine_tune(tissue_slide, tissue_nuclei, quick(name)))


def test_names_are_numbered():
    for name in ("skin", "skin-2"):
        (user_models() / name).mkdir(parents=True)
    assert free_name("skin") == "skin-3"
    assert free_name("skin-2") == "skin-3"
    assert free_name("liver") == "liver"


REFUSED = {
    "outside": ({"regions": ((9000.0, 0.0, 10.0, 10.0),)}, "lies outside"),
    "no region": ({"regions": ()}, "No region is given"),
    "no size": ({"regions": ((0.0, 0.0, 0.0, 10.0),)}, "is no region"),
    "a line": ({"regions": (((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)),)}, "is no region"),
    "few nuclei": ({"regions": ((0.0, 0.0, 12.0, 12.0),)}, "whole nuclei"),
    "no model": ({"base": "he-shut"}, "There is no StarDist model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_from(case, tissue_slide, tissue_nuclei):
    changes, words = REFUSED[case]
    with pytest.raises(ModelError, match=words):
        run(fine_tune(tissue_slide, tissue_nuclei, quick(**changes)))
    assert not user_models().exists()


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"held_out": 0.9}, {"learning_rate": 1.0}, {"frozen": "all"}]
)
def test_settings_out_of_range(changes):
    (what,) = changes
    with pytest.raises(ModelError, match=what):
        quick(**changes)


def test_the_card_of_a_users_model_may_be_damaged():
    folder = user_models() / "broken"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"training": 3}))
    assert "broken" in [entry.name for entry in list_models()]
    with pytest.raises(ModelError, match="not the card"):
        load_model("broken")


# --- from the command line


@pytest.fixture
def on_disk(tissue_slide, right_nuclei, coarse, tmp_path):
    """Slide, nuclei and base model as files."""
    slide = write_slide(tmp_path / "skin.tif", np.asarray(tissue_slide.levels[0]))
    write_geojson(right_nuclei, tmp_path / "skin.geojson")
    base = save_model(replace(coarse, name="coarse"), tmp_path / "coarse")
    return ("tune", slide, "--nuclei", tmp_path / "skin.geojson", "--model", base)


def test_the_command_says_what_came_of_it(on_disk):
    region = ("--region", "80,100,420,420", "--region", "520,100,100,100")
    done = succeed(*on_disk, *region, "--name", "mine", "--steps", 1)
    assert "F1 on the part held out" in done.stderr
    assert str(user_models() / "mine") in done.stdout
    made = load_model("mine").card["training"]
    assert made["base"] == "coarse"
    assert len(made["regions"]) == 2


def test_the_command_refuses_what_cannot_be(on_disk):
    assert "80,100" in fail(*on_disk, "--region", "80,100", "--name", "mine")
    assert "he-open-2" in fail(*on_disk, "--region", "80,100,42,42", "--name", "he-open")
    assert "whole nuclei" in fail(*on_disk, "--region", "80,100,42,42", "--name", "mine")
    assert not user_models().exists()
