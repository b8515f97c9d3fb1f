"""Asking a region: how many cells, which genes, and how far both sides agree there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.ndimage import gaussian_filter

from napari_prts.analysis.paired import Paired, pair
from napari_prts.analysis.region import Region
from napari_prts.analysis.region_answer import RegionAnswer
from napari_prts.analysis.region_genes import differing_genes
from napari_prts.analysis.regions import ask_region
from napari_prts.correlation import pcc_per_gene
from napari_prts.errors import ExpressionError, NucleiError
from napari_prts.jobs import run
from tests.analysis.tables import MadeUp, section, table, two_types


@pytest.fixture(scope="module")
def made() -> MadeUp:
    """900 cells on 1.8 x 1.8 mm, half a micrometre a pixel."""
    return section()


@pytest.fixture(scope="module")
def both(made: MadeUp) -> Paired:
    return pair(made.predicted, made.measured)


def rows_of(region: Region, cells: AnnData) -> np.ndarray:
    return np.flatnonzero(np.isin(cells.obs["id"], region.ids))


def test_means_and_correlations_are_those_of_the_regions_cells(made: MadeUp, both: Paired) -> None:
    region = Region.of_rows(made.predicted, np.arange(100, 400), "middle")
    answer = run(ask_region(both, region))
    predicted, measured = (np.asarray(side.X)[100:400] for side in (made.predicted, made.measured))
    assert (answer.name, answer.nuclei, answer.cells, answer.trained) == ("middle", 300, 300, 0)
    genes = answer.genes
    assert list(genes.index) == list(made.predicted.var_names)
    np.testing.assert_allclose(genes["mean_predicted"], predicted.mean(0), rtol=1e-5)
    np.testing.assert_allclose(genes["mean_measured"], measured.mean(0), rtol=1e-5)
    np.testing.assert_allclose(genes["share_measured"], (measured > 0).mean(0))
    wanted = pcc_per_gene(np.log1p(predicted), np.log1p(measured))
    np.testing.assert_allclose(genes["pcc"], wanted, atol=1e-9)
    profiles = np.log1p(predicted.mean(0)), np.log1p(measured.mean(0))
    assert answer.profile_pcc == pytest.approx(np.corrcoef(*profiles)[0, 1])


def test_a_mask_and_positions_name_the_same_cells(made: MadeUp) -> None:
    mask = np.zeros(made.measured.n_obs, bool)
    mask[[5, 9]] = True
    assert list(Region.of_rows(made.measured, mask).ids) == [5, 9]
    assert list(Region.of_rows(made.measured, [9, 5, 9]).ids) == [5, 9]


def test_a_drawn_region_has_an_area(made: MadeUp, both: Paired) -> None:
    # 1,000 x 2,000 px at 0.5 um are 0.5 x 1 mm.
    line = [[200, 100], [200, 2100], [1200, 2100], [1200, 100]]
    region = Region.of_outline(made.predicted, line)
    x, y = made.predicted.obsm["spatial"].T
    inside = (y > 200) & (y < 1200) & (x > 100) & (x < 2100)
    assert list(region.ids) == list(np.flatnonzero(inside))
    answer = run(ask_region(both, region))
    assert answer.area_um2 == pytest.approx(500_000)
    assert answer.nuclei_per_mm2 == pytest.approx(inside.sum() / 0.5)
    assert run(ask_region(both, Region(region.ids))).area_um2 is None


def test_cells_are_matched_by_id_and_genes_by_name() -> None:
    counts = np.random.default_rng(0).poisson(3, (40, 4)).astype(float)
    measured = table(counts, ids=list(range(40)), genes=["W", "X", "Y", "Z"])
    shuffled = np.random.default_rng(1).permutation(40)[:30]
    predicted = table(
        np.column_stack([counts[shuffled][:, [3, 1]], np.ones(30)]),
        ids=list(shuffled),
        genes=["Z", "X", "NEW"],
    )
    measured.X = sparse.csr_matrix(measured.X)
    answer = run(ask_region(pair(predicted, measured), Region(np.arange(35))))
    assert list(answer.genes.index) == ["Z", "X"]
    assert (answer.nuclei, answer.cells) == (35, int((shuffled < 35).sum()))
    np.testing.assert_allclose(answer.genes["pcc"], 1)
    np.testing.assert_allclose(answer.genes["mean_predicted"], answer.genes["mean_measured"])


def test_cells_that_trained_are_in_but_counted(made: MadeUp) -> None:
    predicted = made.predicted.copy()
    predicted.obs["split"] = np.where(np.arange(900) < 700, "train", "test")
    both = pair(predicted, made.measured)
    answer = run(ask_region(both, Region.of_rows(predicted, np.arange(600, 900))))
    assert (answer.cells, answer.trained) == (300, 100)


def test_one_side_alone_has_means_and_no_correlation(made: MadeUp) -> None:
    answer = run(ask_region(pair(None, made.measured), Region(np.arange(50))))
    assert list(answer.genes.columns) == ["mean_measured", "share_measured"]
    assert (answer.profile_pcc, answer.interval_from) == (None, "")
    answer = run(ask_region(pair(made.predicted, None), Region(np.arange(50))))
    assert list(answer.genes.columns) == ["mean_predicted", "share_predicted"]


def test_few_cells_have_no_correlation(both: Paired) -> None:
    answer = run(ask_region(both, Region(np.arange(9))))
    assert answer.genes[["pcc", "pcc_low", "pcc_high"]].isna().all(axis=None)
    assert answer.interval_from == ""
    assert answer.profile_pcc is not None


def test_a_small_region_has_fishers_interval_over_cells(both: Paired) -> None:
    """By hand: z of the PCC, give or take 1.96 / sqrt(n - 3)."""
    near = np.argsort(np.linalg.norm(both.places_um - both.places_um[0], axis=1))[:30]
    answer = run(ask_region(both, Region(both.ids[near])))
    assert answer.interval_from == "cells"
    gene = answer.genes.iloc[0]
    reach = 1.959964 / math.sqrt(27)
    assert gene["pcc_low"] == pytest.approx(math.tanh(math.atanh(gene["pcc"]) - reach))
    assert gene["pcc_high"] == pytest.approx(math.tanh(math.atanh(gene["pcc"]) + reach))


def test_a_gene_that_does_not_vary_has_no_correlation() -> None:
    rng = np.random.default_rng(0)
    predicted = table(np.column_stack([np.full(30, 0.7), rng.poisson(3, 30)]))
    measured = table(rng.poisson(3, (30, 2)))
    genes = run(ask_region(pair(predicted, measured), Region(np.arange(30)))).genes
    assert genes.loc["A", ["pcc", "pcc_low", "pcc_high"]].isna().all()
    assert genes.loc["B", ["pcc", "pcc_low", "pcc_high"]].notna().all()


def smooth_tissue(seed: int, genes: int = 40) -> tuple[AnnData, AnnData]:
    """Two sides whose genes share a pattern in part, each pattern some 200 um wide."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 2000, (2500, 2))
    pixels = (places // 20).astype(int)

    def patterns() -> np.ndarray:
        maps = [gaussian_filter(rng.normal(size=(100, 100)), 4, mode="wrap") for _ in range(genes)]
        return np.column_stack([m[pixels[:, 0], pixels[:, 1]] / m.std() for m in maps])

    shared = patterns()
    sides = []
    for _ in range(2):
        side = table(
            np.expm1(3 + 0.4 * (shared + patterns())), genes=[f"G{i}" for i in range(genes)]
        )
        side.obsm["spatial"] = places[:, ::-1].copy()
        side.uns["prts"] = {"mpp": 1.0}
        sides.append(side)
    return sides[0], sides[1]


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    """Half of the pattern is shared, so the true PCC is 0.5.

    The interval over squares holds it in most genes; one that took 2,500 cells as
    independent would be 0.06 wide and nearly always miss.
    """
    answer = run(ask_region(pair(*smooth_tissue(0)), Region(np.arange(2500))))
    assert answer.interval_from == "squares of tissue"
    genes = answer.genes
    held = (genes["pcc_low"] < 0.5) & (genes["pcc_high"] > 0.5)
    assert held.mean() > 0.85
    over_cells = np.abs(np.arctanh(genes["pcc"]) - np.arctanh(0.5)) < 1.96 / math.sqrt(2497)
    assert over_cells.mean() < 0.5


def test_without_squares_to_leave_out_independent_cells_give_the_same_interval() -> None:
    """Where cells are independent, both ways to tell the interval agree."""
    rng = np.random.default_rng(0)
    sides = []
    hidden = rng.normal(size=(3000, 60))
    for _ in range(2):
        logs = 4 + 0.3 * (hidden + rng.normal(size=hidden.shape))
        sides.append(table(np.expm1(logs), genes=[f"G{i}" for i in range(60)]))
        sides[-1].obsm["spatial"] = np.random.default_rng(1).uniform(0, 3000, (3000, 2))
        sides[-1].uns["prts"] = {"mpp": 1.0}
    genes = run(ask_region(pair(*sides), Region(np.arange(3000)))).genes
    width = np.arctanh(genes["pcc_high"]) - np.arctanh(genes["pcc_low"])
    assert width.mean() == pytest.approx(2 * 1.96 / math.sqrt(2997), rel=0.1)


def test_the_table_of_genes_is_a_file(both: Paired, tmp_path: Path) -> None:
    answer: RegionAnswer = run(ask_region(both, Region(np.arange(200))))
    file = answer.to_csv(tmp_path / "region.csv")
    again = pd.read_csv(file, index_col="gene")
    pd.testing.assert_frame_equal(
        again, answer.genes, check_exact=False, check_dtype=False, rtol=1e-5
    )


def test_progress_is_in_cells_and_the_job_can_be_closed(both: Paired) -> None:
    job = ask_region(both, Region(np.arange(500)))
    first = next(job)
    assert (first.done, first.total, first.unit) == (0, 500, "cells")
    job.close()


def test_what_cannot_be_asked_is_refused(made: MadeUp, both: Paired) -> None:
    with pytest.raises(ExpressionError, match="No cell lies in margin"):
        Region.of_outline(made.predicted, [[-9, -9], [-9, -5], [-5, -5]], "margin")
    with pytest.raises(NucleiError):
        Region.of_outline(made.predicted, [[0, 0], [5, 5]])
    with pytest.raises(ExpressionError, match="one value for each cell"):
        Region.of_rows(made.predicted, np.ones(5, bool))
    with pytest.raises(ExpressionError, match="row 900"):
        Region.of_rows(made.predicted, [900])
    with pytest.raises(ExpressionError, match="None of the 2 nuclei"):
        run(ask_region(both, Region(np.array([5000, 5001]))))
    with pytest.raises(ExpressionError, match="predict or measure"):
        pair(None, None)
    with pytest.raises(ExpressionError, match="group them first"):
        Region.of_group(made.predicted, "0")
    broken = made.measured.copy()
    broken.X[3, 2] = np.nan
    with pytest.raises(ExpressionError, match="measured expression has values"):
        run(ask_region(pair(made.predicted, broken), Region(np.arange(50))))


def test_genes_of_the_region_differ_from_the_rest() -> None:
    cells = two_types()
    region = Region.of_group(cells, "0", "kind")
    found = run(differing_genes(cells, region))
    assert (found.cells, found.rest, found.method) == (60, 60, "wilcoxon")
    assert len(found.genes) == cells.n_vars
    numbers = np.array([int(gene[4:]) for gene in found.genes.index])
    # The first half of the genes marks kind 0: higher here, the others lower.
    np.testing.assert_array_equal(found.genes["score"] > 0, numbers < 15)
    assert (found.genes["log2_change"] > 0).eq(found.genes["score"] > 0).all()
    assert (found.genes["p_adjusted"] < 0.01).all()
    assert found.genes["score"].abs().is_monotonic_decreasing


@pytest.mark.parametrize("method", ["wilcoxon", "t-test_overestim_var"])
def test_gene_by_gene_gives_what_scanpy_gives_at_once(made: MadeUp, method: str) -> None:
    import scanpy as sc

    from napari_prts.analysis.normalising import log_normalised

    # More genes than are tested at a time.
    wide = section(cells=200, genes=150)
    found = run(differing_genes(wide.measured, Region(np.arange(60)), method))
    whole = log_normalised(wide.measured)
    whole.obs["place"] = pd.Categorical(np.where(np.arange(200) < 60, "in", "out"))
    whole.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(whole, "place", groups=["in"], method=method)
    wanted = sc.get.rank_genes_groups_df(whole, "in").set_index("names").loc[found.genes.index]
    for ours, theirs in {
        "score": "scores",
        "log2_change": "logfoldchanges",
        "p": "pvals",
        "p_adjusted": "pvals_adj",
    }.items():
        np.testing.assert_allclose(found.genes[ours], wanted[theirs], rtol=1e-5)


def test_a_comparison_needs_cells_on_both_sides(made: MadeUp) -> None:
    with pytest.raises(ExpressionError, match="the rest 0"):
        run(differing_genes(made.measured, Region(np.arange(900), "all")))
    with pytest.raises(ExpressionError, match="unknown"):
        run(differing_genes(made.measured, Region(np.arange(90)), "t"))


def test_real_cells(shared_data: Path) -> None:
    """200 cells measured by Xenium: against themselves they agree, gene by gene."""
    import anndata

    cells = anndata.read_h5ad(shared_data / "xenium_ncbi858" / "NCBI858.h5ad")
    cells.obs["id"] = np.arange(cells.n_obs)
    region = Region.of_rows(cells, np.arange(100), "upper half")
    answer = run(ask_region(pair(cells, cells), region))
    assert answer.cells == 100
    varying = answer.genes["pcc"].dropna()
    assert len(varying) > 100
    np.testing.assert_allclose(varying, 1)
    assert answer.profile_pcc == pytest.approx(1)
