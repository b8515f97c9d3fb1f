"""Cells are compared once, then cut at any resolution, here or in a process beside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from anndata import AnnData

from napari_prts.analysis.apart import Apart
from napari_prts.analysis.cluster_request import ClusterRequest
from napari_prts.analysis.clustering import cluster, with_clusters
from napari_prts.analysis.clusters import Clusters, cluster_colours, renamed, small_limit
from napari_prts.analysis.neighbourhood import (
    Neighbourhood,
    find_clusters,
    find_neighbours,
    lay_out,
)
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress, run
from tests.analysis.tables import two_types


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return two_types()


@pytest.fixture(scope="module")
def alike(cells: AnnData) -> Neighbourhood:
    return run(find_neighbours(cells, ClusterRequest(n_top=20)))


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """A process that is ended and begun again; the long compiling is left to another."""
    process = Apart()
    yield process
    process.close()


def test_a_neighbourhood_holds_what_the_clusters_are_cut_from(alike: Neighbourhood) -> None:
    assert len(alike) == 120
    assert alike.components.shape == (120, 19)
    assert len(alike.genes) == 20
    assert alike.side is None
    graph = alike.connectivities
    assert (graph != graph.T).nnz == 0
    assert 0 < graph.data.min() <= graph.data.max() <= 1


def test_another_resolution_needs_no_other_neighbourhood(
    cells: AnnData, alike: Neighbourhood
) -> None:
    few, many = run(find_clusters(alike, 0.1)), run(find_clusters(alike, 4.0))
    assert len(few.sizes) == 2 < len(many.sizes)
    assert (few.resolution, many.resolution) == (0.1, 4.0)
    whole = run(cluster(cells, ClusterRequest(resolution=4.0, n_top=20, umap=False)))
    assert list(whole.obs["leiden"]) == list(many.labels)
    assert alike.graph is alike.graph


def test_clusters_are_written_into_a_copy(cells: AnnData, alike: Neighbourhood) -> None:
    found = run(find_clusters(alike, 4.0))
    places = np.zeros((120, 2), np.float32)
    clustered = with_clusters(cells, alike, found, places)
    assert list(clustered.obs["leiden"]) == list(found.labels)
    assert clustered.uns["leiden"]["params"]["resolution"] == 4.0
    assert clustered.uns["leiden"]["genes_used"] == 20
    assert "leiden" not in cells.obs
    assert clustered.obsm["X_umap"].shape == (120, 2)


def test_a_process_beside_finds_the_same(
    cells: AnnData, alike: Neighbourhood, process_beside: Apart
) -> None:
    apart = process_beside
    again = run(find_neighbours(cells, ClusterRequest(n_top=20), apart))
    np.testing.assert_array_equal(again.connectivities.toarray(), alike.connectivities.toarray())
    assert not apart.knows(alike.key)
    for resolution in (0.6, 4.0):
        here, there = (run(find_clusters(alike, resolution, a)) for a in (None, apart))
        np.testing.assert_array_equal(here.codes, there.codes)
        assert apart.knows(alike.key)


def test_umap_beside_tells_its_rounds_and_is_the_same(
    alike: Neighbourhood, process_beside: Apart
) -> None:
    seen: list[Progress] = []
    there = run(lay_out(alike, process_beside), seen.append)
    np.testing.assert_array_equal(there, run(lay_out(alike)))
    assert seen[-1].unit == "rounds"
    assert {progress.total for progress in seen} <= {0, 500}
    assert max(progress.done for progress in seen) > 0


def test_a_cancelled_step_ends_its_process_and_the_next_starts_another(
    alike: Neighbourhood, apart: Apart
) -> None:
    run(find_clusters(alike, 0.6, apart))
    job = lay_out(alike, apart)
    next(job)
    next(job)
    job.close()
    assert not apart.knows(alike.key)
    assert len(run(find_clusters(alike, 0.1, apart)).sizes) == 2


def test_a_cancelled_cut_is_left_to_finish_and_never_taken_for_the_next(
    alike: Neighbourhood, apart: Apart
) -> None:
    run(find_clusters(alike, 0.6, apart))
    job = find_clusters(alike, 4.0, apart)
    next(job)
    # The second step sends the request; whether the reply is there already does not matter.
    try:
        next(job)
        job.close()
    except StopIteration:
        pass
    assert apart.knows(alike.key)
    assert len(run(find_clusters(alike, 0.1, apart)).sizes) == 2


def test_older_graphs_are_given_again(cells: AnnData, alike: Neighbourhood, apart: Apart) -> None:
    run(find_clusters(alike, 0.1, apart))
    for seed in range(3):
        other = Neighbourhood(
            alike.components, alike.connectivities, alike.genes, ClusterRequest(seed=seed)
        )
        run(find_clusters(other, 0.1, apart))
    assert len(run(find_clusters(alike, 0.1, apart)).sizes) == 2


def test_what_fails_beside_is_told(alike: Neighbourhood, apart: Apart) -> None:
    broken = Neighbourhood(alike.components, "no graph", alike.genes, alike.request)
    with pytest.raises(ExpressionError, match="could not be grouped"):
        run(find_clusters(broken, 0.1, apart))
    assert len(run(find_clusters(alike, 0.1, apart)).sizes) == 2


def test_a_job_hears_that_its_process_is_gone(alike: Neighbourhood) -> None:
    process = Apart()
    job = find_clusters(alike, 0.1, process)
    next(job)
    next(job)
    process.close()
    with pytest.raises(ExpressionError, match="ended unexpectedly"):
        run(job)


def test_a_process_that_was_closed_starts_again(alike: Neighbourhood) -> None:
    with_end = Apart()
    with_end.close()
    assert len(run(find_clusters(alike, 0.1, with_end)).sizes) == 2
    with_end.close()


def test_a_resolution_is_above_nought(alike: Neighbourhood) -> None:
    with pytest.raises(ExpressionError, match="above 0"):
        run(find_clusters(alike, 0.0))


def test_small_is_two_in_a_hundred_as_in_the_paper() -> None:
    # 1,200 of 60,000 cells.
    assert small_limit(60_000) == 1200
    assert small_limit(5_000) == 100
    assert small_limit(500_000) == 1200
    found = Clusters(np.repeat([0, 1, 2], [600, 392, 8]), 0.6)
    assert found.small.sum() == 8
    assert list(found.sizes) == [600, 392, 8]
    assert found.small[-8:].all()


def test_every_cluster_has_a_colour_of_its_own() -> None:
    for count in (1, 20, 28, 60):
        assert len(set(cluster_colours(count))) == count


def test_clusters_get_the_names_that_were_typed() -> None:
    found = Clusters(np.array([0, 0, 1, 2]), 0.6)
    named = renamed(found.labels, {"0": "neuron", "2": " neuron ", "1": ""})
    assert list(named) == ["neuron", "neuron", "1", "neuron"]
    assert list(named.categories) == ["neuron", "1"]
