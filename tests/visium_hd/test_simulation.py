"""A simulated section: the machine's layout, plausible counts, and the truth behind them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from anndata import AnnData, read_h5ad

from napari_prts.errors import MissingPixelSizeError, NucleiError, VisiumHDError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, measure_nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job, simulate_visium_hd
from napari_prts.visium_hd.looks import look_at
from napari_prts.visium_hd.programmes import make_programmes

SQUARE = "binned_outputs/square_002um"


@pytest.fixture(scope="module")
def cells(tissue_slide: Slide, tissue_nuclei: Nuclei, simulated: Path) -> AnnData:
    return run(measure(tissue_slide, tissue_nuclei, read_space_ranger(simulated)))


def test_the_layout_is_that_of_the_machine(simulated: Path, tiny_outs: Path) -> None:
    """Same groups, number types, columns and keys as the real folder."""

    def layout(outs: Path) -> tuple[dict[str, str], str, set[str]]:
        square = outs / SQUARE
        types: dict[str, str] = {}
        with h5py.File(square / "filtered_feature_bc_matrix.h5") as file:
            file.visititems(
                lambda name, item: (
                    types.update({name: item.dtype.kind + str(item.ndim)})
                    if isinstance(item, h5py.Dataset) and "target_sets" not in name
                    else None
                )
            )
            for name in ("data", "indices", "indptr", "shape", "barcodes"):
                types[name] = file["matrix"][name].dtype.str
        schema = pq.read_schema(square / "spatial" / "tissue_positions.parquet")
        columns = str([(field.name, str(field.type)) for field in schema])
        return (
            types,
            columns,
            set(json.loads((square / "spatial/scalefactors_json.json").read_text())),
        )

    assert layout(simulated) == layout(tiny_outs)
    assert (simulated / SQUARE / "spatial" / "tissue_lowres_image.png").is_file()


def test_it_says_simulated_wherever_it_shows(
    simulated: Path, cells: AnnData, tmp_path: Path
) -> None:
    marker = json.loads((simulated / "SIMULATED.json").read_text())
    assert marker["simulated"] is True
    assert marker["seed"] == 3
    assert marker["settings"]["umi_per_nucleus"] > 0
    assert cells.uns["visium_hd"]["kind"] == "simulated"
    shutil.copytree(simulated / SQUARE, tmp_path / "square_002um")
    alone = read_space_ranger(tmp_path)
    assert alone.simulated, "even without the marker beside it"
    assert alone.truth is None


def test_scanpy_reads_the_matrix(simulated: Path) -> None:
    import scanpy as sc

    bins = sc.read_10x_h5(simulated / SQUARE / "filtered_feature_bc_matrix.h5")
    section = read_space_ranger(simulated)
    assert bins.shape == section.counts.shape
    assert bins.var_names.tolist() == section.genes.tolist()
    assert (section.counts != bins.X).nnz == 0


def test_depth_is_that_of_visium_hd(cells: AnnData, tissue_nuclei: Nuclei) -> None:
    filters = cells.uns["visium_hd"]["filters"]
    assert filters["kept"] > 0.9 * len(tissue_nuclei)
    assert 100 < cells.obs["n_umi"].median() < 300
    assert 0.005 < cells.obs["mito"].mean() < 0.1


def test_true_rates_explain_the_counts_as_far_as_noise_allows(cells: AnnData) -> None:
    rates, counts = cells.layers["true_rate"], cells.X.toarray()
    assert cells.uns["visium_hd"]["cells_without_true_rate"] == 0
    ceilings = np.array(
        [np.corrcoef(np.log1p(rates[:, g]), np.log1p(counts[:, g]))[0, 1] for g in range(120)]
    )
    varies = cells.var["varies"].to_numpy()
    assert 0.6 < varies.mean() < 0.8
    assert 0.3 < ceilings[varies].mean() < 0.7
    assert ceilings[varies].mean() > ceilings[~varies].mean()
    share = rates / rates.sum(1, keepdims=True)
    spread = share.std(0) / share.mean(0)
    housekeeping = np.char.startswith(cells.var_names.to_numpy(str), "RPL")
    assert spread[varies].mean() > 2 * spread[housekeeping].mean()


def test_genes_of_types_are_selected(cells: AnnData) -> None:
    selected, varies = cells.var["selected"], cells.var["varies"]
    assert selected[varies].mean() > 3 * selected[~varies].mean()


def test_the_truth_names_the_types_of_each_nucleus(simulated: Path, tissue_nuclei: Nuclei) -> None:
    truth = read_h5ad(simulated / "truth.h5ad")
    assert truth.obs["id"].tolist() == tissue_nuclei.ids.tolist()
    shares = truth.obs.filter(like="share of ").to_numpy()
    assert shares.sum(1) == pytest.approx(np.ones(len(shares)), abs=1e-4)
    assert len(np.unique(truth.obs["type"])) == shares.shape[1] == 8
    assert truth.obs["type"].value_counts(normalize=True).min() > 0.01
    assert {"EPCAM", "KRT5", "COL1A1", "CD3E", "MT-CO1", "ACTB"} <= set(truth.var_names)
    assert truth.uns["simulated"]


def test_types_follow_what_is_visible(
    simulated: Path, tissue_slide: Slide, tissue_nuclei: Nuclei
) -> None:
    """A line fitted on one half of the nuclei foretells the types of the other half."""
    looks = look_at(run(measure_nuclei(tissue_slide, tissue_nuclei)), tissue_nuclei.centroids * 0.5)
    shares = read_h5ad(simulated / "truth.h5ad").obs.filter(like="share of ").to_numpy()
    design = np.column_stack([looks, np.ones(len(looks))])
    first = np.arange(len(looks)) % 2 == 0
    fit = np.linalg.lstsq(design[first], shares[first], rcond=None)[0]
    foretold = design[~first] @ fit
    agreement = [np.corrcoef(f, s)[0, 1] for f, s in zip(foretold.T, shares[~first].T, strict=True)]
    assert np.mean(agreement) > 0.5


def test_a_seed_gives_the_same_section_again(
    tissue_slide: Slide, tissue_nuclei: Nuclei, simulated: Path, tmp_path: Path
) -> None:
    again, other = (
        read_space_ranger(
            simulate_visium_hd(
                tissue_slide, tissue_nuclei, tmp_path / str(seed), genes=120, seed=seed
            )
        )
        for seed in (3, 4)
    )
    first = read_space_ranger(simulated)
    assert np.array_equal(first.barcodes, again.barcodes)
    assert (first.counts != again.counts).nnz == 0
    assert not np.array_equal(first.barcodes, other.barcodes)


def test_cells_that_were_not_simulated_have_no_true_rate(
    tissue_slide: Slide, tissue_nuclei: Nuclei, simulated: Path
) -> None:
    """Two nuclei are renumbered: same ids, other cells."""
    ids = tissue_nuclei.ids.copy()
    ids[[0, 1]] = ids[[1, 0]]
    renumbered = Nuclei.from_polygons(tissue_nuclei.polygons(), ids=ids)
    cells = run(measure(tissue_slide, renumbered, read_space_ranger(simulated)))
    unknown = np.isnan(cells.layers["true_rate"]).all(1)
    assert cells.uns["visium_hd"]["cells_without_true_rate"] == unknown.sum() <= 2
    assert set(cells.obs["id"][unknown]) <= set(ids[:2])


@pytest.mark.parametrize("genes", [1, 3, 20, 600])
def test_any_number_of_genes(genes: int) -> None:
    programmes = make_programmes(genes, np.random.default_rng(0))
    assert len(programmes.genes) == len(set(programmes.genes.tolist())) == genes
    assert ("GENE0001" in programmes.genes) == (genes == 600)


def test_one_nucleus_is_enough(tmp_path: Path) -> None:
    slide = Slide.from_array(np.full((60, 80, 3), 200, np.uint8), mpp=0.5)
    outline = np.array([(20, 20), (20, 36), (40, 36), (40, 20)], np.float32)
    nuclei = Nuclei.from_polygons([outline])
    section = read_space_ranger(simulate_visium_hd(slide, nuclei, tmp_path / "outs", genes=2))
    assert section.counts.sum() > 20


def test_what_cannot_be_simulated_is_refused(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path: Path
) -> None:
    with pytest.raises(NucleiError, match="no nuclei"):
        simulate_visium_hd(tissue_slide, Nuclei.empty(), tmp_path / "a")
    with pytest.raises(VisiumHDError, match="0 genes"):
        simulate_visium_hd(tissue_slide, tissue_nuclei, tmp_path / "a", genes=0)
    without_scale = Slide.from_array(np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(MissingPixelSizeError):
        simulate_visium_hd(without_scale, tissue_nuclei, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_never_replaced(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_bytes(b"not ours")
    with pytest.raises(VisiumHDError, match="something else"):
        simulate_visium_hd(tissue_slide, tissue_nuclei, tmp_path)
    assert (tmp_path / "notes.txt").read_bytes() == b"not ours"


def test_a_cancelled_simulation_leaves_nothing(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path: Path
) -> None:
    job = simulate_job(tissue_slide, tissue_nuclei, tmp_path / "outs", genes=5)
    for progress in job:
        if progress.note.startswith("simulating"):
            job.close()
            break
    assert list(tmp_path.iterdir()) == []
