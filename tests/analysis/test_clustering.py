"""Cells fall into the groups that they were made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from napari_prts.analysis import ClusterRequest, cluster, markers
from napari_prts.analysis.normalising import log_normalised
from napari_prts.errors import ExpressionError
from napari_prts.h5ad import read_h5ad, write_h5ad
from napari_prts.jobs import Progress, run
from tests.analysis.tables import table, two_types


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return two_types()


@pytest.fixture(scope="module")
def clustered(cells: AnnData) -> AnnData:
    return run(cluster(cells))


def test_two_types_become_two_clusters(cells: AnnData, clustered: AnnData) -> None:
    pairs = set(zip(cells.obs["kind"], clustered.obs["leiden"], strict=True))
    assert len(pairs) == len({kind for kind, _ in pairs}) == 2
    assert list(clustered.obs["leiden"].cat.categories) == ["0", "1"]
    assert clustered.obsm["X_umap"].shape == (120, 2)
    assert clustered.obsm["X_pca"].shape == (120, 29)
    assert len(clustered.uns["leiden_colors"]) == 2


def test_the_cells_themselves_are_not_touched(clustered: AnnData) -> None:
    fresh = two_types()
    np.testing.assert_array_equal(clustered.X, fresh.X)
    assert list(clustered.var_names) == list(fresh.var_names)
    assert set(clustered.obs) == {"id", "kind", "leiden", "leiden_small"}
    assert "leiden" not in fresh.obs


def test_the_same_seed_gives_the_same_clusters(cells: AnnData, clustered: AnnData) -> None:
    again = run(cluster(cells))
    assert list(again.obs["leiden"]) == list(clustered.obs["leiden"])
    np.testing.assert_array_equal(again.obsm["X_umap"], clustered.obsm["X_umap"])


def test_the_largest_cluster_comes_first() -> None:
    lopsided = two_types()
    kept = np.flatnonzero((lopsided.obs["kind"] == "1") | (np.arange(120) < 40))
    sizes = run(cluster(lopsided[kept].copy())).obs["leiden"].value_counts(sort=False)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_progress_is_told_and_the_job_can_be_closed(cells: AnnData) -> None:
    seen: list[Progress] = []
    job = cluster(cells)
    seen.append(next(job))
    job.close()
    assert (seen[0].done, seen[0].unit) == (0, "steps")


def test_clusters_survive_their_file(clustered: AnnData, tmp_path: Path) -> None:
    again = read_h5ad(write_h5ad(clustered, tmp_path / "clusters.h5ad"))
    assert list(again.obs["leiden"].cat.categories) == ["0", "1"]
    assert again.uns["leiden"]["params"]["resolution"] == 0.6
    assert list(again.uns["leiden_colors"]) == list(clustered.uns["leiden_colors"])


def test_markers_are_the_genes_that_made_the_type(cells: AnnData, clustered: AnnData) -> None:
    found = markers(clustered, most=10)
    first = clustered.obs["leiden"][cells.obs["kind"] == "0"].iloc[0]
    assert {int(marker.gene[4:]) for marker in found[first]} <= set(range(15))
    assert len(found[first]) == 10
    assert all(marker.p_adjusted < 0.01 for marker in found[first])
    scores = [marker.score for marker in found[first]]
    assert scores == sorted(scores, reverse=True)


def test_markers_need_two_clusters(cells: AnnData, clustered: AnnData) -> None:
    with pytest.raises(ExpressionError, match="group them first"):
        markers(cells)
    one = clustered.copy()
    one.obs["leiden"] = "0"
    with pytest.raises(ExpressionError, match="need two"):
        markers(one)
    lonely = clustered.copy()
    lonely.obs["leiden"] = ["2", *clustered.obs["leiden"][1:]]
    assert markers(lonely)["2"] == ()


def test_normalising_is_counts_per_median_total_then_log1p() -> None:
    cells = table([[1, 1, 0], [6, 2, 0], [0, 0, 0]])
    found = log_normalised(cells)
    assert list(found.var_names) == ["A", "B"]
    # Totals 2 and 8, median 5; the empty cell stays empty.
    wanted = np.log1p([[2.5, 2.5], [6 * 5 / 8, 2 * 5 / 8], [0, 0]])
    np.testing.assert_allclose(found.X.toarray(), wanted, rtol=1e-6)


def test_cells_without_counts_and_sparse_tables_can_be_grouped(cells: AnnData) -> None:
    some = cells.copy()
    some.X[:3] = 0
    some.X = sparse.csr_matrix(some.X)
    assert run(cluster(some)).obs["leiden"].notna().all()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (np.ones((9, 5)), "9 cells are too few"),
        (np.ones((20, 2)), "2 genes with counts are too few"),
        (np.zeros((20, 5)), "no counts"),
        (np.full((20, 5), -1.0), "negative"),
    ],
)
def test_what_cannot_be_grouped_is_refused(counts: np.ndarray, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        run(cluster(table(counts)))


@pytest.mark.parametrize("wrong", [{"resolution": 0.0}, {"n_top": 1}, {"n_pcs": 0}])
def test_impossible_requests_are_refused(wrong) -> None:
    with pytest.raises(ExpressionError):
        ClusterRequest(**wrong)


def test_as_few_as_ten_cells_can_be_grouped() -> None:
    few = run(cluster(two_types(cells=10, genes=6)))
    assert few.obsm["X_umap"].shape == (10, 2)


def test_a_whole_section_of_cells() -> None:
    rng = np.random.default_rng(0)
    kind = np.arange(9000) % 2
    rates = np.where(np.arange(40)[None] // 20 == kind[:, None], 4.0, 0.5)
    many = AnnData(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)))
    many.obs["id"] = np.arange(9000)
    clustered = run(cluster(many, ClusterRequest(resolution=0.1, umap=False)))
    together = clustered.obs.assign(kind=kind).groupby(["leiden", "kind"], observed=True).size()
    assert together.groupby("leiden", observed=True).max().sum() > 0.99 * len(kind)


SEARCHED = """
import numpy as np
from napari_prts.analysis.graph_steps import neighbour_graph
components = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
compared = neighbour_graph(components, 15, seed=0)
searched = neighbour_graph(components, 15, seed=0, exact_up_to=0)
print(compared.nnz, compared.astype(bool).multiply(searched.astype(bool)).nnz)
"""


def test_neighbours_that_are_searched_for_are_nearly_those_that_are_compared() -> None:
    """As among more than 60,000 cells; scanpy has to read what the search returns."""
    # To compile the search takes half a minute, to interpret it among 500 cells a second.
    command, environment = [sys.executable, "-c", SEARCHED], {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    compared, shared = map(int, done.stdout.split())
    assert compared > 500 * 15
    assert shared > 0.9 * compared
