"""Spots: reading, which cells they hold, and learning cells from them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from napari_prts.correlation import mean_pcc
from napari_prts.errors import ExpressionError, ModelError
from napari_prts.expression.spot_training import (
    SpotModel,
    SpotSection,
    SpotTrainRequest,
    train_on_spots,
)
from napari_prts.expression.spot_views import cell_view
from napari_prts.expression.spots import (
    Spots,
    cells_of_spots,
    log_per,
    read_spots,
    variable_genes,
)
from napari_prts.features import Features
from napari_prts.jobs import Progress, run


def spots(counts: object, centres: object = None) -> Spots:
    table = np.asarray(counts, np.float32)
    places = np.zeros((len(table), 2)) if centres is None else np.asarray(centres, float)
    names = tuple(f"s{i}" for i in range(len(table)))
    genes = tuple(f"G{i}" for i in range(table.shape[1]))
    return Spots(names, genes, sparse.csr_matrix(table), places)


# Reading


def test_a_real_section_is_read(shared_data: Path) -> None:
    folder = shared_data / "her2st"
    section = read_spots(folder / "C2.counts.tsv.gz", folder / "C2.spots.tsv")
    assert len(section) == 187
    assert section.names[0] == "10x21"
    assert section.counts.max() > 10
    assert len(section.genes) > 10_000
    row, column = section.centres.T
    assert 0 < row.min() < row.max() < 9_902
    assert 0 < column.min() < column.max() < 9_921


def test_the_tables_are_joined_by_name_and_unselected_spots_left_out(tmp_path: Path) -> None:
    (tmp_path / "counts.tsv").write_text("\tA\tB\n2x3\t1\t2\n1x1\t3\t4\n9x9\t5\t6\n4x4\t7\t8\n")
    (tmp_path / "spots.tsv").write_text(
        "x\ty\tpixel_x\tpixel_y\tselected\n1\t1\t10.5\t20.5\t1\n2\t3\t30\t40\t1\n4\t4\t5\t6\t0\n"
    )
    section = read_spots(tmp_path / "counts.tsv", tmp_path / "spots.tsv")
    assert section.names == ("2x3", "1x1")
    assert section.genes == ("A", "B")
    np.testing.assert_array_equal(section.counts.toarray(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(section.centres, [[40, 30], [20.5, 10.5]])


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    counts, places = tmp_path / "counts.tsv", tmp_path / "spots.tsv"
    counts.write_text("\tA\n1x1\t3\n")
    with pytest.raises(ExpressionError, match=r"spots\.tsv cannot be read"):
        read_spots(counts, places)
    places.write_text("x\ty\n1\t1\n")
    with pytest.raises(ExpressionError, match="no column 'pixel_x'"):
        read_spots(counts, places)
    places.write_text("x\ty\tpixel_x\tpixel_y\n5\t5\t1\t1\n")
    with pytest.raises(ExpressionError, match="no spots in common"):
        read_spots(counts, places)
    places.write_text("x\ty\tpixel_x\tpixel_y\n1\t1\t1\t1\n")
    counts.write_text("\tA\n1x1\tmany\n")
    with pytest.raises(ExpressionError, match="something else than counts"):
        read_spots(counts, places)
    counts.write_text("\tA\n1x1\t-1\n")
    with pytest.raises(ExpressionError, match="negative"):
        read_spots(counts, places)
    with pytest.raises(ExpressionError, match="do not fit together"):
        Spots(("a",), ("A", "B"), sparse.csr_matrix((1, 1)), np.zeros((1, 2)))


# Numbers of the method


def test_log_expression_is_of_counts_per_ten_thousand_of_all_genes() -> None:
    section = spots([[1, 3, 0], [0, 0, 0]])
    expected = np.log1p([[7_500, 0, 2_500], [0, 0, 0]])
    np.testing.assert_allclose(section.log_expression(("G1", "none", "G0")), expected, rtol=1e-6)
    np.testing.assert_allclose(log_per(np.array([[1.0]]), np.array([2.0])), np.log1p([[5_000]]))


def test_genes_are_the_union_of_each_sections_variable_ones_that_are_detected() -> None:
    """G0 varies most in the first section, G2 in the second; G2 is in 6 of 8 spots."""
    first = spots([[9, 1, 1, 5], [1, 1, 1, 5], [9, 1, 1, 5], [1, 1, 1, 5]])
    second = spots([[5, 1, 90, 1], [5, 1, 0, 1], [5, 1, 90, 1], [5, 1, 0, 1]])
    assert variable_genes([first, second], most_variable=1) == ("G0", "G2")
    assert variable_genes([first, second], most_variable=1, detected=0.75) == ("G0",)
    without = Spots(("s",), ("G0", "G1"), sparse.csr_matrix((1, 2)), np.zeros((1, 2)))
    assert variable_genes([first, second], most_variable=1, measured_in=[without]) == ("G0",)
    with pytest.raises(ExpressionError, match="more than 100%"):
        variable_genes([first], detected=1.0)


def test_the_issues_genes_come_out(shared_data: Path) -> None:
    folder = shared_data / "her2st"
    sections = [
        read_spots(folder / f"{name}.counts.tsv.gz", folder / f"{name}.spots.tsv")
        for name in ("C2", "C3", "C4", "C5", "B4")
    ]
    assert len(variable_genes(sections[:3])) == 1_360
    assert len(variable_genes(sections[:3], measured_in=sections)) == 1_356


# Which cells


def test_a_spot_has_the_cells_within_its_radius() -> None:
    section = spots([[1], [1]], [[100, 100], [100, 300]])
    centroids = np.array([[100, 100], [100, 199], [100, 202], [30, 300], [170, 371]])
    found = cells_of_spots(section, centroids, mpp=0.5)
    np.testing.assert_array_equal(found.members.toarray(), [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(found.cells, [2, 3])
    values = np.arange(10.0).reshape(5, 2)
    np.testing.assert_allclose(found.sums(values), [[2, 4], [18, 21]])
    np.testing.assert_allclose(found.means(values), [[1, 2], [6, 7]])


def test_a_spot_without_cells_gets_the_five_nearest() -> None:
    section = spots([[1], [1]], [[0, 0], [1000, 1000]])
    centroids = np.array([[float(i), 0.0] for i in range(8)])
    found = cells_of_spots(section, centroids, mpp=0.5)
    np.testing.assert_array_equal(found.empty, [False, True])
    np.testing.assert_array_equal(found.members.toarray()[1], [0, 0, 0, 1, 1, 1, 1, 1])
    with pytest.raises(ExpressionError, match="no nuclei"):
        cells_of_spots(section, np.zeros((0, 2)), mpp=0.5)


# Learning


CELLS, LOOKS, GENES = 1500, 10, 30


def section(seed: int, key: str = "made-up", genes: int = GENES) -> SpotSection:
    """Cells of two activities that show in their looks; spots have the sums of their counts."""
    truth = np.random.default_rng(0)
    loadings, slopes = truth.normal(size=(2, LOOKS)), truth.normal(size=(2, GENES))
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 2000, (CELLS, 2))
    # Activities change smoothly over the section, as tissue does.
    waves = np.sin(points / 300 + rng.uniform(0, 6, 2)) + 0.3 * rng.normal(size=(CELLS, 2))
    looks = waves @ loadings + rng.normal(size=(CELLS, LOOKS)) + 3 * seed
    centres = np.stack(np.meshgrid(*[np.arange(100, 2000, 200)] * 2), axis=-1).reshape(-1, 2)
    names = tuple(str(index) for index in range(len(centres)))
    rates = np.exp(0.8 * waves @ slopes)
    empty = Spots(names, ("G",), sparse.csr_matrix((len(names), 1)), centres.astype(float))
    cells = cells_of_spots(empty, points, mpp=1.0)
    counts = rng.poisson(3 * cells.sums(rates))
    features = Features(
        np.arange(CELLS),
        looks[:, :4].astype(np.float32),
        looks[:, 4:].astype(np.float32),
        "made-up",
        key,
        0.5,
        {},
    )
    totals = counts.sum(1)
    expression = log_per(counts[:, :genes], totals)
    return SpotSection(features, points, cells, expression, totals)


NAMES = tuple(f"G{i}" for i in range(GENES))
QUICK = SpotTrainRequest(surroundings_um=((), (100.0,)), penalties=(0.01, 0.1, 1.0))


@pytest.fixture(scope="module")
def model() -> SpotModel:
    return run(train_on_spots([section(1), section(2), section(3)], NAMES, QUICK))


def test_cells_are_learnt_from_spots_alone(model: SpotModel) -> None:
    """An unseen section, its looks shifted as by another stain."""
    unseen = section(9)
    cells = model.predict(unseen.features, unseen.centroids_um)
    assert cells.shape == (CELLS, GENES)
    assert cells.dtype == np.float32
    assert mean_pcc(unseen.cells.means(cells), unseen.expression) > 0.6
    assert model.score > 0.6
    assert model.genes == NAMES


def test_what_a_spot_gets_is_the_mean_of_what_its_cells_get(model: SpotModel) -> None:
    unseen = section(9)
    cells = model.predict(unseen.features, unseen.centroids_um)
    spots_first = np.tile(model.mean, (len(unseen.expression), 1))
    for one in model.maps:
        view = cell_view(unseen.features, unseen.centroids_um, one.surroundings_um)
        spots_first += one.apply(unseen.cells.means(view)) / len(model.maps)
    np.testing.assert_allclose(unseen.cells.means(cells), spots_first, atol=1e-4)


def test_directions_that_predict_nothing_are_dropped(model: SpotModel) -> None:
    """Two activities: two directions are kept, the others hardly."""
    assert [one.surroundings_um for one in model.maps] == [(), (100.0,)]
    for one in model.maps:
        assert (one.shrinkage[:2] > 0.6).all()
        assert one.shrinkage[4:].mean() < 0.35
        assert (one.shrinkage <= 1).all()
        identity = one.to_genes @ one.to_genes.T
        np.testing.assert_allclose(identity, np.eye(len(identity)), atol=1e-8)


def test_noise_is_not_learnt() -> None:
    sections = []
    for seed in (1, 2, 3):
        made = section(seed)
        shuffled = np.random.default_rng(seed).permutation(made.expression)
        sections.append(dataclasses.replace(made, expression=shuffled))
    model = run(train_on_spots(sections, NAMES, QUICK))
    assert abs(model.score) < 0.15


def test_the_view_is_standardised_and_knows_the_surroundings() -> None:
    made = section(4)
    view = cell_view(made.features, made.centroids_um, (150.0,))
    assert view.shape == (CELLS, LOOKS + 1 + LOOKS + 1)
    assert np.abs(view).max() <= 3
    np.testing.assert_allclose(view.mean(0), 0, atol=0.05)
    looks = made.features.matrix[:, 0]
    distance = np.linalg.norm(made.centroids_um[:, None] - made.centroids_um[None], axis=2)
    weight = np.exp(-((distance / 150) ** 2) / 2)
    exact = weight @ looks / weight.sum(1)
    assert np.corrcoef(view[:, LOOKS + 1], exact)[0, 1] > 0.97


def test_progress_tells_the_best_score_and_a_job_can_be_closed() -> None:
    seen: list[Progress] = []
    job = train_on_spots([section(1), section(2), section(3)], NAMES, QUICK)
    seen.extend(itertools.islice(job, 6))
    job.close()
    assert {progress.total for progress in seen} == {6}
    assert [progress.done for progress in seen] == [0, 0, 0, 1, 2, 3]
    assert "left-out sections" in seen[-1].note


def test_the_same_data_give_the_same_model(model: SpotModel) -> None:
    again = run(train_on_spots([section(1), section(2), section(3)], NAMES, QUICK))
    np.testing.assert_array_equal(again.maps[1].to_directions, model.maps[1].to_directions)


def test_what_does_not_fit_is_refused(model: SpotModel) -> None:
    one = section(1)
    with pytest.raises(ExpressionError, match="at least 3"):
        run(train_on_spots([one, one], NAMES))
    with pytest.raises(ModelError, match="different encoders"):
        run(train_on_spots([one, one, section(2, key="other")], NAMES))
    with pytest.raises(ExpressionError, match="the same genes"):
        run(train_on_spots([one, one, section(2, genes=5)], NAMES))
    with pytest.raises(ExpressionError, match="does not fit together"):
        dataclasses.replace(one, expression=one.expression[1:])
    other = section(2, key="other")
    with pytest.raises(ModelError, match="trained with encoder made-up"):
        model.predict(other.features, other.centroids_um)
    with pytest.raises(ExpressionError, match="Nothing is to be fitted"):
        SpotTrainRequest(penalties=())
    with pytest.raises(ExpressionError, match="above 0"):
        SpotTrainRequest(surroundings_um=((-1.0,),))
