"""Measured cells, nuclei and features are matched by id, or refused with the reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_prts.errors import ExpressionError, ModelError
from napari_prts.expression.matching import chosen_features, match_measured
from tests.expression.sections import CONTEXT, GENES, LOCAL, MPP, Section, make_section


@pytest.fixture
def small() -> Section:
    return make_section(cells=40)


def match(section: Section, **options):
    return match_measured(
        section.features, section.measured, section.nuclei, section.slide, **options
    )


def test_rows_belong_together_whatever_their_order(small: Section) -> None:
    order = np.random.default_rng(1).permutation(40)
    shuffled = dataclasses.replace(small, measured=small.measured[order[:30]].copy())
    cells = match(shuffled)
    assert len(cells.ids) == 30
    for row in (0, 29):
        nucleus = int(small.nuclei.positions_of([cells.ids[row]])[0])
        np.testing.assert_array_equal(cells.features[row], small.features.matrix[nucleus])
        np.testing.assert_array_equal(
            cells.counts[row].toarray()[0], small.measured.X[nucleus].toarray()[0]
        )
        np.testing.assert_allclose(cells.centroids_um[row], small.nuclei.centroids[nucleus] * MPP)


def test_cells_of_nuclei_removed_since_are_left_out(small: Section) -> None:
    fewer = dataclasses.replace(small, nuclei=small.nuclei.remove(small.nuclei.ids[:4]))
    assert len(match(fewer).ids) == 36


@pytest.mark.parametrize(
    ("use", "count"), [("both", LOCAL + CONTEXT), ("local", LOCAL), ("global", CONTEXT)]
)
def test_local_and_global_features_can_be_used_alone(small: Section, use: str, count: int) -> None:
    assert match(small, use=use).features.shape == (40, count)


def test_selected_genes_are_learned_unless_all_are_wanted(small: Section) -> None:
    small.measured.var["selected"] = np.arange(GENES) < 5
    assert match(small).genes == tuple(f"GENE{i}" for i in range(5))
    assert len(match(small, genes="all").genes) == GENES
    small.measured.var["selected"] = False
    with pytest.raises(ExpressionError, match="selected"):
        match(small)


def test_cells_of_another_slide_are_refused(small: Section) -> None:
    small.measured.uns["visium_hd"]["slide_fingerprint"] = "another"
    with pytest.raises(ExpressionError, match="another slide"):
        match(small)


def test_cells_measured_with_other_nuclei_are_refused(small: Section) -> None:
    small.measured.obsm["spatial"] = small.measured.obsm["spatial"] + 100
    with pytest.raises(ExpressionError, match="other nuclei"):
        match(small)
    small.measured.obs["id"] += 100_000
    with pytest.raises(ExpressionError, match="None of the 40 measured cells"):
        match(small)


def test_only_raw_counts_are_taken(small: Section) -> None:
    small.measured.X = small.measured.X.astype(np.float32) * 0.5
    with pytest.raises(ExpressionError, match="not raw counts"):
        match(small)
    small.measured.X = small.measured.X * 0
    with pytest.raises(ExpressionError, match="no counts"):
        match(small)


def test_a_table_without_ids_is_refused(small: Section) -> None:
    del small.measured.obs["id"]
    with pytest.raises(ExpressionError, match="'id'"):
        match(small)


def test_features_that_are_no_numbers_are_refused(small: Section) -> None:
    small.features.local[3, 0] = np.nan
    with pytest.raises(ModelError, match=r"features of 1 nuclei"):
        chosen_features(small.features, "both")
    assert chosen_features(small.features, "global").shape == (40, CONTEXT)
