"""Cells are grouped once, cut at any resolution, and a cluster has one name on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

from napari_prts.errors import ExpressionError
from napari_prts.h5ad import read_h5ad, write_h5ad
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.study.group_tables import (
    GREY,
    carried,
    cells_of,
    colours_of,
    legend,
    with_hidden,
    with_names,
)
from napari_prts.study.grouping import Grouping, GroupRequest, group_job, lay_out_job, still_good
from tests.widgets.cells import kinds_of, measured_cells, predicted_cells

COARSE = {"predicted": 0.3, "measured": 0.3, "together": 0.3}


@pytest.fixture(scope="module")
def sides(tissue_nuclei: Nuclei) -> dict[str, AnnData]:
    return {"predicted": predicted_cells(tissue_nuclei), "measured": measured_cells(tissue_nuclei)}


@pytest.fixture(scope="module")
def each(sides: dict[str, AnnData]) -> Grouping:
    return run(group_job(sides, GroupRequest("each", COARSE), {}, {}))


def test_each_side_finds_its_types_and_matched_clusters_share_name_and_colour(
    each: Grouping, tissue_nuclei: Nuclei
) -> None:
    predicted, measured = each.clusters["predicted"], each.clusters["measured"]
    for kind in range(3):
        cells = kinds_of(tissue_nuclei) == kind
        (name,) = set(predicted.obs["leiden"][cells])
        assert (measured.obs["leiden"][cells] == name).mean() > 0.9
        assert colours_of(predicted)[name] == colours_of(measured)[name]
    rows = legend(each.clusters)
    assert [row.name for row in rows][:3] == ["0", "1", "2"]
    assert rows[0].cells["predicted"] == (kinds_of(tissue_nuclei) == 0).sum()
    assert rows[0].share["predicted"] == pytest.approx(0.5, abs=0.01)


def test_clusters_copy_no_expression(each: Grouping, sides: dict[str, AnnData]) -> None:
    for side, table in sides.items():
        assert np.shares_memory(each.clusters[side].X, table.X)
        assert "leiden" not in table.obs


def test_another_resolution_cuts_the_same_graph(each: Grouping, sides: dict[str, AnnData]) -> None:
    finer = GroupRequest("each", COARSE | {"predicted": 2.5})
    again = run(group_job(sides, finer, each.graphs, each.clusters))
    assert again.graphs["predicted"].cells is each.graphs["predicted"].cells
    assert again.clusters["predicted"].obs["leiden"].nunique() > 3
    assert list(again.graphs["predicted"].cuts) == [0.3, 2.5]
    assert list(again.graphs["measured"].cuts) == [0.3]


def test_a_graph_is_good_for_its_own_tables_alone(
    each: Grouping, sides: dict[str, AnnData]
) -> None:
    assert set(still_good(each.graphs, sides)) == {"predicted", "measured"}
    other = sides | {"predicted": sides["predicted"].copy()}
    assert set(still_good(each.graphs, other)) == {"measured"}


def test_both_together_have_the_same_clusters(sides: dict[str, AnnData]) -> None:
    found = run(group_job(sides, GroupRequest("together", COARSE), {}, {}))
    tables = found.clusters
    assert colours_of(tables["predicted"]) == colours_of(tables["measured"])
    name, graph = run(lay_out_job(found.graphs, "together"))
    assert graph.places is not None
    assert len(graph.places) == sum(table.n_obs for table in sides.values())
    assert {side: rows.stop - rows.start for side, rows in graph.rows(name).items()} == {
        side: table.n_obs for side, table in sides.items()
    }


def test_one_side_is_matched_with_what_the_other_had(
    each: Grouping, sides: dict[str, AnnData]
) -> None:
    named = with_names(each.clusters, {"0": "neuron"})
    request = GroupRequest("measured", COARSE | {"measured": 0.35})
    again = run(group_job(sides, request, each.graphs, named))
    assert set(again.clusters) == {"predicted", "measured"}
    assert "neuron" in set(again.clusters["measured"].obs["leiden"])


def test_names_are_given_on_both_sides_and_kept_in_files(each: Grouping, tmp_path: Path) -> None:
    named = with_names(each.clusters, {"0": "neuron", "1": "", "2": "immune"})
    assert [row.name for row in legend(named)][:3] == ["neuron", "1", "immune"]
    colours = colours_of(named["measured"])
    assert colours["neuron"] == colours_of(each.clusters["predicted"])["0"]
    write_h5ad(with_hidden(named, ["immune"])["measured"], tmp_path / "cells.h5ad")
    back = read_h5ad(tmp_path / "cells.h5ad")
    assert colours_of(back) == colours
    hidden = {row.name for row in legend({"measured": back}) if row.hidden}
    assert hidden == {"immune"}
    assert not any(row.hidden for row in legend(with_hidden(named, [])))


def test_two_clusters_of_one_name_become_one(each: Grouping) -> None:
    merged = legend(with_names(each.clusters, {"0": "tissue", "1": "tissue"}))
    before = legend(each.clusters)
    assert merged[0].cells["predicted"] == sum(row.cells["predicted"] for row in before[:2])
    assert merged[0].colour == before[0].colour


def test_typed_names_go_on_when_the_resolution_changes(
    each: Grouping, sides: dict[str, AnnData]
) -> None:
    named = with_names(each.clusters, {"0": "neuron", "1": "skin"})
    finer = GroupRequest("each", dict.fromkeys(COARSE, 2.5))
    again = run(group_job(sides, finer, each.graphs, named))
    names = [row.name for row in legend({"predicted": again.clusters["predicted"]})]
    assert {"neuron", "neuron 2", "skin"} <= set(names)
    cells = set(cells_of(again.clusters["predicted"], "neuron 2"))
    assert cells < set(cells_of(named["predicted"], "neuron"))
    assert carried(again.clusters["predicted"], None) == {}


def test_few_cells_are_grey(each: Grouping) -> None:
    few = {side: table.copy() for side, table in each.clusters.items()}
    for table in few.values():
        table.uns["leiden"] = table.uns["leiden"] | {"small_below": 30}
    rows = {row.name: row for row in legend(with_names(few, {"0": "neuron"}))}
    assert rows["neuron"].colour != GREY
    assert rows["2"].small == ("predicted", "measured")
    assert rows["2"].colour == GREY


def test_what_cannot_be_grouped_is_told(sides: dict[str, AnnData]) -> None:
    with pytest.raises(ExpressionError, match="choose one of each"):
        GroupRequest("all")
    with pytest.raises(ExpressionError, match="Nothing measured to group"):
        run(group_job({"predicted": sides["predicted"]}, GroupRequest("measured"), {}, {}))
    with pytest.raises(ExpressionError, match="predict, or open"):
        run(group_job({}, GroupRequest(), {}, {}))
