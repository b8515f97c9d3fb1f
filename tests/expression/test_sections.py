"""Several sections train one model; what does not belong together is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from napari_prts.correlation import mean_pcc
from napari_prts.errors import ExpressionError
from napari_prts.expression import (
    ModelBundle,
    Section,
    SplitRequest,
    TrainRequest,
    load_bundle,
    predict,
    train,
    train_sections,
)
from napari_prts.expression.preparing import prepare
from napari_prts.expression.sections import match_sections
from napari_prts.jobs import run
from tests.expression.sections import GENES, make_section

NAMES = ("first", "second", "third")


def make_sections(cells: int = 300, stain: float = 0.0) -> list[Section]:
    """Three sections of one tissue: what looks mean is the same in all; so is not the stain."""
    made = []
    for seed, name in enumerate(NAMES):
        drawn = make_section(cells=cells, seed=seed, tissue=0)
        slide = dataclasses.replace(drawn.slide, name=name)
        shift = stain * seed
        features = dataclasses.replace(
            drawn.features,
            local=drawn.features.local + shift,
            context=drawn.features.context - shift,
        )
        made.append(Section(features, drawn.measured, drawn.nuclei, slide))
    return made


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return make_sections()


def quick(**options) -> TrainRequest:
    return TrainRequest(
        **{"epochs": 2, "batch": 64, "device": "cpu", "split": SplitRequest(gap_um=50), **options}
    )


def trained(sections: Sequence[Section], **options) -> ModelBundle:
    return run(train_sections(sections, quick(**options)))


def test_one_section_is_the_simplest_case(sections: list[Section]) -> None:
    one = sections[0]
    alone = run(train(one.features, one.measured, one.nuclei, one.slide, quick()))
    assert alone.hash == trained([one]).hash


def test_the_card_names_each_slide_and_its_cells(sections: list[Section], tmp_path) -> None:
    bundle = trained(sections)
    slides = bundle.card["training"]["slides"]
    assert [slide["name"] for slide in slides] == list(NAMES)
    assert [slide["fingerprint"] for slide in slides] == [s.slide.fingerprint for s in sections]
    for slide in slides:
        assert sum(slide["cells"].values()) == 300
        assert set(slide["cells"]) == {"train", "validation", "test", "gap"}
    assert bundle.card["training"]["cells"]["train"] == sum(s["cells"]["train"] for s in slides)

    again = load_bundle(bundle.save(tmp_path / "model"))
    for section, slide in zip(sections, slides, strict=True):
        table = run(predict(section.features, section.nuclei, section.slide, again))
        parts = table.obs["split"].value_counts().to_dict()
        assert {part: n for part, n in parts.items() if n} == slide["cells"]


def test_whole_sections_can_be_validation_and_test(sections: list[Section]) -> None:
    bundle = trained(sections, validation_sections=("second",), test_sections=("third",))
    cells = [slide["cells"] for slide in bundle.card["training"]["slides"]]
    assert cells == [{"train": 300}, {"validation": 300}, {"test": 300}]
    assert bundle.card["metrics"]["test_pcc"] is not None


def test_with_a_test_section_the_others_keep_strips_for_validation(
    sections: list[Section],
) -> None:
    matched = match_sections(sections, quick(test_sections=("third",)))
    labels = [set(each.plan.label(each.cells.centroids_um)) for each in matched]
    assert labels == [{"train", "validation", "gap"}, {"train", "validation", "gap"}, {"test"}]
    matched = match_sections(sections, quick(validation_sections=("third",)))
    labels = [set(each.plan.label(each.cells.centroids_um)) for each in matched]
    assert labels == [{"train", "test", "gap"}, {"train", "test", "gap"}, {"validation"}]


def test_only_genes_that_all_have_are_learned_whatever_their_order(
    sections: list[Section],
) -> None:
    first, second, third = sections
    fewer = second.measured[:, ::-1][:, : GENES - 4].copy()
    changed = [first, dataclasses.replace(second, measured=fewer), third]
    prepared = prepare(changed, quick())
    assert prepared.genes == tuple(f"GENE{i}" for i in range(4, GENES))
    # A cell of the second section keeps its own counts, gene by gene.
    cells = prepared.sections[1].cells
    row = int(np.flatnonzero(second.measured.obs["id"] == cells.ids[7])[0])
    np.testing.assert_array_equal(
        cells.counts[7].toarray()[0], second.measured.X[row].toarray()[0][4:]
    )


def test_selected_are_those_of_any_training_section_and_never_of_a_test_section(
    sections: list[Section],
) -> None:
    marked = []
    for section, chosen in zip(sections, (range(5), range(3, 8), range(20, 24)), strict=True):
        table = section.measured.copy()
        table.var["selected"] = np.isin(np.arange(GENES), list(chosen))
        marked.append(dataclasses.replace(section, measured=table))
    prepared = prepare(marked, quick(test_sections=("third",)))
    assert prepared.genes == tuple(f"GENE{i}" for i in range(8))
    assert len(prepare(marked, quick(genes="all")).genes) == GENES


def test_more_sections_teach_more() -> None:
    # A third section is predicted better by two that trained than by one of them.
    sections = make_sections(cells=400)

    def score(training: list[Section]) -> float:
        request = {"test_sections": ("third",), "epochs": 15}
        return trained([*training, sections[2]], **request).card["metrics"]["test_pcc"]

    assert score(sections[:2]) > score(sections[:1])


# Standardisation


def test_each_section_by_its_own_takes_the_stain_away() -> None:
    sections = make_sections(stain=40.0)
    whole = {"validation_sections": ("second",), "test_sections": ("third",), "epochs": 12}
    scores = {
        how: trained(sections, standardise=how, **whole).card["metrics"]["test_pcc"]
        for how in ("all", "section")
    }
    plain = trained(make_sections(), **whole).card["metrics"]["test_pcc"]
    assert scores["section"] > scores["all"] + 0.05
    assert scores["section"] == pytest.approx(plain, abs=0.05)


def test_a_new_slide_is_standardised_by_its_own_nuclei() -> None:
    sections = make_sections(stain=40.0)
    bundle = trained(sections[:2], standardise="section", epochs=12)
    assert bundle.standardise == "section"
    new = sections[2]
    table = run(predict(new.features, new.nuclei, new.slide, bundle))
    assert set(table.obs["split"]) == {"new"}
    assert table.uns["prts"]["standardise"] == "section"
    far = mean_pcc(np.log1p(table.X), np.log1p(new.measured.X.toarray()))
    assert far > 0.2
    with pytest.raises(ExpressionError, match=r"7 are too few.*standardise='all'"):
        run(predict(new.features.take(np.arange(7)), new.nuclei, new.slide, bundle))


def test_a_slide_the_model_knows_can_be_predicted_cell_by_cell() -> None:
    sections = make_sections(stain=40.0)
    bundle = trained(sections[:2], standardise="section")
    own = sections[1]
    whole = run(predict(own.features, own.nuclei, own.slide, bundle))
    some = run(predict(own.features.take(np.arange(7)), own.nuclei, own.slide, bundle))
    np.testing.assert_allclose(some.X, whole.X[:7], rtol=1e-4, atol=1e-5)


def test_what_a_model_does_not_know_of_itself_is_damage(sections: list[Section], tmp_path) -> None:
    bundle = trained(sections, standardise="section")
    assert load_bundle(bundle.save(tmp_path / "whole")).hash == bundle.hash
    without = {n: a for n, a in bundle.arrays.items() if n != "sections.std"}
    with pytest.raises(Exception, match="scaling of its sections"):
        ModelBundle(bundle.card, without)


# The sample of training cells


def test_the_sampled_training_cells_keep_their_counts(sections: list[Section]) -> None:
    prepared = prepare(sections, quick())
    bundle = trained(sections)
    counts = bundle.training_counts
    assert counts is not None
    assert counts.shape == (len(bundle.training_cells.rows), GENES)
    np.testing.assert_array_equal(
        counts.toarray(), prepared.parts["train"].counts[prepared.sampled].toarray()
    )


def test_a_training_cell_is_nearest_to_itself(sections: list[Section]) -> None:
    bundle = trained(sections)
    for section in sections:
        table = run(predict(section.features, section.nuclei, section.slide, bundle))
        training = (table.obs["split"] == "train").to_numpy()
        nearest = table.obs["nearest_training"].to_numpy()[training]
        np.testing.assert_array_equal(
            bundle.training_counts[nearest].toarray(),
            section.measured.X[np.flatnonzero(training)].toarray(),
        )


# What is refused


def test_the_same_section_twice(sections: list[Section]) -> None:
    with pytest.raises(ExpressionError, match=r"given twice \(first\)"):
        trained([sections[0], sections[1], sections[0]])


def test_features_by_different_encoders(sections: list[Section]) -> None:
    features = dataclasses.replace(sections[1].features, encoder="other", encoder_key="other-1")
    with pytest.raises(ExpressionError, match=r"made-up-1.*other-1.*one encoder"):
        trained([sections[0], dataclasses.replace(sections[1], features=features)])


def test_genes_of_another_species(sections: list[Section]) -> None:
    mouse = sections[1].measured.copy()
    mouse.var_names = [name.capitalize() for name in mouse.var_names]
    with pytest.raises(ExpressionError, match="Only 0 genes are in all 2 sections"):
        trained([sections[0], dataclasses.replace(sections[1], measured=mouse)])
    twice = sections[1].measured.copy()
    twice.var_names = ["GENE0", "GENE0", *twice.var_names[2:]]
    with pytest.raises(ExpressionError, match="second name a gene more than once"):
        trained([sections[0], dataclasses.replace(sections[1], measured=twice)])


def test_sections_that_are_not_there_or_leave_nothing_to_train_on(
    sections: list[Section],
) -> None:
    with pytest.raises(ExpressionError, match=r"'fourth' is not there; there are first, second"):
        trained(sections, test_sections=("fourth",))
    with pytest.raises(ExpressionError, match="leave at least one to train on"):
        trained(sections[:2], test_sections=("first",), validation_sections=("second",))
    with pytest.raises(ExpressionError, match="validation and a test section at once"):
        quick(test_sections=("first",), validation_sections=("first",))
    with pytest.raises(ExpressionError, match="no section"):
        trained([])
