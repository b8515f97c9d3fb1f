"""Scores of gene sets, names from marker lists, markers, and how faint doubtful cells are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from napari_prts.analysis.cluster_names import name_clusters
from napari_prts.analysis.dimming import FAINTEST, confidence_opacity
from napari_prts.analysis.gene_set_scores import score_gene_set, top_genes
from napari_prts.analysis.marker_genes import (
    Marker,
    MarkerRequest,
    find_markers,
    marker_table,
    markers,
)
from napari_prts.analysis.tables import write_csv
from napari_prts.errors import ExpressionError
from napari_prts.jobs import run
from tests.analysis.tables import table, two_types

# Real markers of two types, mouse spelling, and genes of no type.
NEURON, MYELIN = ("Snap25", "Syt1", "Rbfox3", "Map2"), ("Mbp", "Plp1", "Mog", "Mag")


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """60 neurons and 60 oligodendrocytes."""
    made = two_types(genes=40)
    names = [f"Gene{number}" for number in range(40)]
    names[:4], names[20:24] = NEURON, MYELIN
    made.var_names = names
    made.obs["leiden"] = pd.Categorical(made.obs["kind"])
    return made


def test_a_set_is_high_in_the_cells_that_it_marks(cells: AnnData) -> None:
    found = run(score_gene_set({"measured": cells, "predicted": cells}, NEURON))
    assert list(found) == ["measured", "predicted"]
    scores = found["measured"].values
    neurons = (cells.obs["kind"] == "0").to_numpy()
    assert scores.shape == (120,)
    assert np.median(scores[neurons]) > 0.5
    assert np.median(scores[~neurons]) < -0.5
    assert (scores[neurons] > np.median(scores)).mean() > 0.95
    assert found["measured"].genes == NEURON


def test_capitals_do_not_matter_and_what_is_missing_is_told(cells: AnnData) -> None:
    found = run(score_gene_set({"measured": cells}, ["SNAP25", "syt1", "GFAP", "Gfap "]))
    assert found["measured"].genes == ("Snap25", "Syt1")
    assert found["measured"].missing == ("GFAP", "Gfap")


def test_a_set_must_have_genes_and_leave_some(cells: AnnData) -> None:
    with pytest.raises(ExpressionError, match="no genes"):
        run(score_gene_set({"measured": cells}, [" "]))
    with pytest.raises(ExpressionError, match="expressed in the measured cells"):
        run(score_gene_set({"measured": cells}, ["GFAP"]))
    with pytest.raises(ExpressionError, match="choose fewer"):
        run(score_gene_set({"measured": cells}, list(cells.var_names)))


def test_markers_make_sets_of_five(cells: AnnData) -> None:
    sets = top_genes(markers(cells))
    assert {name: len(genes) for name, genes in sets.items()} == {"0": 5, "1": 5}
    assert set(sets["0"]) <= set(cells.var_names[:20])
    assert top_genes({"0": ()}) == {}


def test_markers_are_a_job_and_a_table(cells: AnnData, tmp_path: Path) -> None:
    job = find_markers(cells, MarkerRequest(most=3))
    first = next(job)
    assert (first.done, first.total, first.unit) == (0, 40, "genes")
    found = run(job)
    assert found == {name: each[:3] for name, each in markers(cells).items()}
    rows = marker_table(found)
    assert list(rows.index) == ["0"] * 3 + ["1"] * 3
    assert list(rows["rank"]) == [1, 2, 3, 1, 2, 3]
    text = write_csv(rows, tmp_path / "markers.csv").read_text()
    assert text.startswith("cluster,rank,gene,score,log2_change,p_adjusted\n0,1,")
    assert marker_table({"0": (Marker("A", 1.0, 2.0, 0.5),)})["gene"].item() == "A"


@pytest.mark.parametrize("wrong", [{"most": 0}, {"least_log2_change": 0.0}])
def test_impossible_marker_requests_are_refused(wrong) -> None:
    with pytest.raises(ExpressionError):
        MarkerRequest(**wrong)


def test_clusters_are_named_by_the_lists_of_broad_types(cells: AnnData) -> None:
    found = run(name_clusters(cells))
    assert found.names == {"0": "neuron", "1": "oligodendrocyte"}
    # Astrocytes and the others have no two genes here.
    assert set(found.scores.columns) == {"neuron", "oligodendrocyte"}
    assert found.markers["neuron"] == ("SNAP25", "SYT1", "RBFOX3", "MAP2")
    assert found.scores.loc["0", "neuron"] > 0 > found.scores.loc["1", "neuron"]


def test_two_clusters_of_one_type_stay_apart(cells: AnnData) -> None:
    some = cells.copy()
    some.obs["leiden"] = pd.Categorical(
        np.where(some.obs["kind"] == "1", "1", np.where(np.arange(120) < 60, "0", "2"))
    )
    names = run(name_clusters(some, {"neuron": NEURON})).names
    # The oligodendrocytes have less of the only list than the average cell: no name.
    assert names == {"0": "neuron", "2": "neuron 2"}


def test_names_need_lists_and_clusters(cells: AnnData) -> None:
    with pytest.raises(ExpressionError, match="None of the 1 lists"):
        run(name_clusters(cells, {"glia": ("GFAP", "AQP4")}))
    with pytest.raises(ExpressionError, match="group them first"):
        run(name_clusters(cells, groups="missing"))


def test_doubtful_cells_are_faint() -> None:
    cells = table(np.ones((5, 1)))
    cells.obs["confidence"] = [0.0, 0.1, 0.2, 0.9, np.nan]
    cells.obs["unlike_training"] = [True, False, False, False, True]
    middle = FAINTEST + (1 - FAINTEST) / 2
    wanted = [FAINTEST, middle, 1, 1, FAINTEST]
    np.testing.assert_allclose(confidence_opacity(cells), wanted, rtol=1e-6)
    assert confidence_opacity(cells, faintest=0)[0] == 0


def test_opacity_needs_confidence() -> None:
    with pytest.raises(ExpressionError, match="predict them again"):
        confidence_opacity(table(np.ones((2, 1))))
    cells = table(np.ones((2, 1)))
    cells.obs["confidence"] = 1.0
    with pytest.raises(ExpressionError, match="from 0 to 1"):
        confidence_opacity(cells, faintest=2)
