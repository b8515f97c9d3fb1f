"""Clusters of both sides get one colour where they hold the same cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from napari_prts.analysis.cluster_matching import (
    confusion,
    match_clusters,
    proportions,
    shared_labels,
)
from napari_prts.analysis.cluster_request import ClusterRequest
from napari_prts.analysis.clusters import renamed
from napari_prts.analysis.joint import find_neighbours_of_both, with_clusters_of_both
from napari_prts.analysis.neighbourhood import find_clusters
from napari_prts.errors import ExpressionError
from napari_prts.jobs import run
from tests.analysis.tables import table, two_types


def labels(text: str) -> pd.Categorical:
    return pd.Categorical(list(text))


def test_clusters_that_hold_the_same_cells_have_one_colour() -> None:
    first, second = labels("aaaaaabbbbcc"), labels("yyyyyyxxxxzz")
    found = match_clusters(first, second)
    assert found.pairs == (("a", "y"), ("b", "x"), ("c", "z"))
    assert found.first == {"a": 0, "b": 1, "c": 2}
    assert found.second == {"x": 1, "y": 0, "z": 2}
    assert found.agreement == 1
    assert len(found.colours) == 3


def test_a_cluster_without_a_match_has_a_colour_of_its_own() -> None:
    #                     b is split into x and z
    first, second = labels("aaaabbbbbb"), labels("yyyyxxxxzz")
    found = match_clusters(first, second)
    assert found.pairs == (("a", "y"), ("b", "x"))
    assert found.second == {"x": 1, "y": 0, "z": 2}
    assert found.agreement == pytest.approx(0.8)
    # And the other way round: two on the left, one on the right.
    turned = match_clusters(second, first)
    assert turned.first == {"x": 0, "y": 1, "z": 2}
    assert turned.second == {"a": 1, "b": 0}


def test_a_large_cluster_does_not_draw_a_small_one_to_itself() -> None:
    # u holds all of a and most of b; of the two, b is most of u.
    first = labels("a" * 10 + "b" * 30 + "c" * 5)
    second = labels("u" * 10 + "u" * 30 + "v" * 5)
    assert dict(match_clusters(first, second).pairs) == {"b": "u", "c": "v"}


def test_what_is_shared_by_chance_alone_is_no_match() -> None:
    # Every pair shares as many cells as every other.
    first, second = labels("aabb" * 5), labels("xyxy" * 5)
    found = match_clusters(first, second)
    assert found.pairs == ()
    assert len({*found.first.values(), *found.second.values()}) == 4
    assert found.agreement == 0


def test_the_best_sum_of_overlaps_is_found() -> None:
    """Greedy by overlap would pair a with x (9 of 13) and leave b with nothing."""
    first = labels("a" * 9 + "a" * 3 + "b" * 8)
    second = labels("x" * 9 + "y" * 3 + "x" * 8)
    found = dict(match_clusters(first, second).pairs)
    assert found == {"b": "x", "a": "y"} or found == {"a": "x"}


def test_confusion_and_proportions_by_hand() -> None:
    first, second = labels("aaab"), labels("xxyx")
    counts = confusion(first, second)
    assert counts.loc["a"].to_dict() == {"x": 2, "y": 1}
    assert counts.loc["b"].to_dict() == {"x": 1, "y": 0}
    shares = proportions({"predicted": first, "measured": labels("abbc")})
    assert shares["predicted"].to_dict() == {"a": 0.75, "b": 0.25, "c": 0}
    assert shares["measured"].to_dict() == {"a": 0.25, "b": 0.5, "c": 0.25}


def test_cells_without_a_cluster_are_left_out() -> None:
    first = pd.Categorical(["a", None, "b"])
    assert confusion(first, labels("xxy")).to_numpy().sum() == 2


def test_groupings_are_of_the_same_cells() -> None:
    with pytest.raises(ExpressionError, match="of 2 and of 3 cells"):
        match_clusters(labels("aa"), labels("xxx"))
    with pytest.raises(ExpressionError, match="No cell"):
        match_clusters(pd.Categorical([None], ["a"]), labels("x"))


def test_cells_of_both_tables_are_found_by_id() -> None:
    predicted, measured = table(np.eye(4), ids=[7, 5, 6, 9]), table(np.eye(4), ids=[5, 6, 7, 8])
    predicted.obs["leiden"], measured.obs["leiden"] = list("abcd"), list("bcax")
    first, second = shared_labels(predicted, measured)
    assert list(first) == list(second) == ["b", "c", "a"]
    del measured.obs["leiden"]
    with pytest.raises(ExpressionError, match="measured cells have no 'leiden'"):
        shared_labels(predicted, measured)


@pytest.fixture(scope="module")
def sides() -> tuple[AnnData, AnnData]:
    """Two types; the prediction is smooth and three times too high."""
    measured = two_types(cells=200)
    means = np.stack([np.asarray(measured.X)[k::2].mean(0) for k in range(2)])
    noise = np.random.default_rng(1).lognormal(0, 0.1, measured.shape)
    guess = 3 * means[np.arange(200) % 2] * noise
    return table(guess, genes=list(measured.var_names)), measured


def test_both_sides_grouped_together(sides: tuple[AnnData, AnnData]) -> None:
    cells = run(find_neighbours_of_both(*sides, ClusterRequest(n_top=20)))
    assert list(cells.side) == ["predicted"] * 200 + ["measured"] * 200
    found = run(find_clusters(cells, 0.1))
    first, second = with_clusters_of_both(*sides, cells, found)
    # A nucleus is in one and the same cluster, predicted and measured.
    assert len(found.sizes) == 2
    assert (first.obs["leiden"].to_numpy() == second.obs["leiden"].to_numpy()).mean() > 0.98
    assert first.uns["leiden_colors"] == second.uns["leiden_colors"]
    names = renamed(first.obs["leiden"], {"0": "one", "1": "other"})
    assert set(names) == {"one", "other"}
    assert first.obsm["X_pca"].shape[0] == second.obsm["X_pca"].shape[0] == 200


def test_sides_of_other_nuclei_are_not_grouped_together(sides: tuple[AnnData, AnnData]) -> None:
    strangers = sides[1].copy()
    strangers.obs["id"] += 1000
    with pytest.raises(ExpressionError, match="same nuclei"):
        run(find_neighbours_of_both(sides[0], strangers))
