"""Reading Space Ranger folders, real and written by hand, whole and broken."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from scipy.io import mmwrite

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd import read_space_ranger

from .conftest import FolderWriter

SQUARE = "binned_outputs/square_002um"


@pytest.mark.parametrize("start", ["", "binned_outputs", SQUARE])
def test_a_real_folder_is_read_from_any_of_its_levels(tiny_outs: Path, start: str) -> None:
    section = read_space_ranger(tiny_outs / start)
    assert section.path == tiny_outs / SQUARE
    assert section.counts.shape == (10, 10)
    assert section.counts.dtype == np.int32
    assert section.genes[:3].tolist() == ["Xkr4", "Rp1", "Sox17"]
    assert section.gene_ids[0] == "ENSMUSG00000051951"
    assert section.mpp == pytest.approx(0.27382, abs=1e-5)
    assert section.bin_um == 2.0
    assert section.in_tissue.all()
    assert not section.simulated
    assert section.truth is None


def test_positions_follow_the_barcodes_of_the_matrix(tiny_outs: Path) -> None:
    """The machine's matrix and parquet are in different orders."""
    section = read_space_ranger(tiny_outs)
    table = pq.read_table(tiny_outs / SQUARE / "spatial" / "tissue_positions.parquet").to_pandas()
    assert table["barcode"].tolist() != [name.decode() for name in section.barcodes]
    columns = ["pxl_row_in_fullres", "pxl_col_in_fullres"]
    for barcode, position in zip(section.barcodes, section.positions, strict=True):
        row = table.set_index("barcode").loc[barcode.decode(), columns]
        assert position.tolist() == row.tolist()


def test_the_mtx_folder_says_the_same_as_the_h5(tiny_outs: Path, tmp_path: Path) -> None:
    """In this real folder two files are called .gz but are not compressed."""
    copy = tmp_path / "outs"
    shutil.copytree(tiny_outs, copy)
    (copy / SQUARE / "filtered_feature_bc_matrix.h5").unlink()
    h5, mtx = read_space_ranger(tiny_outs), read_space_ranger(copy)
    assert (h5.counts != mtx.counts).nnz == 0
    for name in ("genes", "gene_ids", "barcodes", "positions"):
        assert np.array_equal(getattr(h5, name), getattr(mtx, name))


@pytest.fixture
def mtx_outs(write_folder: FolderWriter) -> Path:
    """Two bins x three genes, in the three files alone."""
    counts = np.array([[1, 0, 2], [0, 5, 0]])
    outs = write_folder(counts, [[1, 1], [2, 2]], genes=["NA", "B", "C"])
    square = outs / SQUARE
    folder = square / "filtered_feature_bc_matrix"
    folder.mkdir()
    (square / "filtered_feature_bc_matrix.h5").unlink()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        mmwrite(file, sparse.coo_matrix(counts.T), field="integer", symmetry="general")
    lines = [f"ENS{name}\t{name}\tGene Expression\n" for name in ("NA", "B", "C")]
    with gzip.open(folder / "features.tsv.gz", "wt") as file:
        file.writelines(lines)
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as file:
        file.writelines(["s_002um_00000_00000-1\n", "s_002um_00001_00000-1\n"])
    return outs


def test_mtx_counts_are_transposed_to_bins_by_genes(mtx_outs: Path) -> None:
    section = read_space_ranger(mtx_outs)
    assert section.counts.toarray().tolist() == [[1, 0, 2], [0, 5, 0]]
    assert section.genes.tolist() == ["NA", "B", "C"]


@pytest.mark.parametrize("damaged", ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"])
@pytest.mark.parametrize("kind", ["missing", "truncated"])
def test_a_missing_or_truncated_file_of_the_mtx_folder_is_named(
    mtx_outs: Path, damaged: str, kind: str
) -> None:
    path = mtx_outs / SQUARE / "filtered_feature_bc_matrix" / damaged
    if kind == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(VisiumHDError, match=damaged):
        read_space_ranger(mtx_outs)


def test_mtx_files_of_different_samples_are_refused(mtx_outs: Path) -> None:
    path = mtx_outs / SQUARE / "filtered_feature_bc_matrix" / "barcodes.tsv.gz"
    with gzip.open(path, "wt") as file:
        file.write("s_002um_00000_00000-1\n")
    with pytest.raises(VisiumHDError, match="do not belong together"):
        read_space_ranger(mtx_outs)


def test_only_gene_expression_is_kept(write_folder: FolderWriter) -> None:
    outs = write_folder([[1, 2, 3]], [[0, 0]], genes=["CD3E", "CD3 antibody", "EPCAM"])
    with h5py.File(outs / SQUARE / "filtered_feature_bc_matrix.h5", "r+") as file:
        types = [b"Gene Expression", b"Antibody Capture", b"Gene Expression"]
        del file["matrix/features/feature_type"]
        file["matrix/features/feature_type"] = np.array(types)
    section = read_space_ranger(outs)
    assert section.genes.tolist() == ["CD3E", "EPCAM"]
    assert section.counts.toarray().tolist() == [[1, 3]]


def test_whole_numbers_stored_as_floats_are_counts(write_folder: FolderWriter) -> None:
    section = read_space_ranger(write_folder(np.array([[1.0, 2.0]]), [[0, 0]]))
    assert section.counts.dtype == np.int32


@pytest.mark.parametrize(
    ("values", "reason"),
    [([[0.5, 1.0]], "not counts, such as 0.5"), ([[-1, 2]], "negative counts")],
)
def test_what_is_not_a_count_is_refused(
    write_folder: FolderWriter, values: list[list[float]], reason: str
) -> None:
    with pytest.raises(VisiumHDError, match=reason):
        read_space_ranger(write_folder(np.array(values), [[0, 0]]))


def test_another_folder_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(VisiumHDError, match="neither binned_outputs/square_002um"):
        read_space_ranger(tmp_path)
    with pytest.raises(VisiumHDError, match="does not exist"):
        read_space_ranger(tmp_path / "nowhere")
    (tmp_path / "file.h5").write_bytes(b"")
    with pytest.raises(VisiumHDError, match="is a file"):
        read_space_ranger(tmp_path / "file.h5")


def test_coarser_bins_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binned_outputs" / "square_008um").mkdir(parents=True)
    with pytest.raises(VisiumHDError, match="holds square_008um but not square_002um"):
        read_space_ranger(tmp_path)


def test_scale_factors_of_other_bins_are_refused(write_folder: FolderWriter) -> None:
    outs = write_folder([[1]], [[0, 0]], scales={"bin_size_um": 8.0})
    with pytest.raises(VisiumHDError, match=r"bins of 2 um, but .* bins of 8 um.*mixed up"):
        read_space_ranger(outs)


@pytest.mark.parametrize("bin_um", [8, 16])
def test_larger_bins_are_read_when_asked_for(write_folder: FolderWriter, bin_um: int) -> None:
    outs = write_folder([[1, 2]], [[3, 4]], bin_um=bin_um)
    section = read_space_ranger(outs, bin_um)
    assert section.path.name == f"square_{bin_um:03d}um"
    assert section.bin_um == bin_um
    assert section.barcodes.tolist() == [f"s_{bin_um:03d}um_00000_00000-1".encode()]
    with pytest.raises(VisiumHDError, match=r"but not square_002um: nuclei are made from 2 um"):
        read_space_ranger(outs)
    with pytest.raises(VisiumHDError, match=rf"{bin_um} um, but nuclei .*give .*square_002um"):
        read_space_ranger(outs / "binned_outputs" / f"square_{bin_um:03d}um")


def test_bins_that_the_machine_does_not_make_are_refused(write_folder: FolderWriter) -> None:
    with pytest.raises(VisiumHDError, match="2, 8 and 16 um, not of 4 um"):
        read_space_ranger(write_folder([[1]], [[0, 0]]), bin_um=4)


def test_the_folder_of_the_whole_run_will_do(write_folder: FolderWriter) -> None:
    outs = write_folder([[1]], [[0, 0]])
    assert read_space_ranger(outs.parent).path == outs / SQUARE


def test_cells_of_space_ranger_are_no_bins(tmp_path: Path) -> None:
    (tmp_path / "segmented_outputs").mkdir()
    with pytest.raises(VisiumHDError, match="cells that Space Ranger found, not bins"):
        read_space_ranger(tmp_path / "segmented_outputs")


def test_a_matrix_of_another_tissue_is_refused(write_folder: FolderWriter) -> None:
    """Barcodes are places on the slide, alike in all samples: the tissue tells them apart."""
    counts, positions = np.ones((40, 1), int), np.zeros((40, 2))
    outs = write_folder(counts, positions, in_tissue=[1] * 30 + [0] * 10)
    with pytest.raises(VisiumHDError, match=r"25% of the 40 bins .*different samples"):
        read_space_ranger(outs)


def test_scale_factors_of_another_image_are_refused(write_folder: FolderWriter) -> None:
    """By the positions bins lie 4 px apart, by 0.25 um/px they would lie 8 px apart."""
    places = np.array([(number, 2 * number) for number in range(60)])
    outs = write_folder(np.ones((60, 1), int), 4.0 * places, places=places)
    assert len(read_space_ranger(outs)) == 60
    mixed = write_folder(
        *(np.ones((60, 1), int), 4.0 * places),
        places=places,
        scales={"microns_per_pixel": 0.25},
        name="mixed",
    )
    with pytest.raises(VisiumHDError, match="4 px apart, by the scale factors 8 px"):
        read_space_ranger(mixed)


def test_positions_as_csv_are_refused(write_folder: FolderWriter) -> None:
    outs = write_folder([[1]], [[0, 0]])
    parquet = outs / SQUARE / "spatial" / "tissue_positions.parquet"
    parquet.rename(parquet.with_suffix(".csv"))
    with pytest.raises(VisiumHDError, match=r"has tissue_positions.csv but not .*\.parquet"):
        read_space_ranger(outs)


def test_matrix_and_positions_of_different_samples_are_refused(write_folder: FolderWriter) -> None:
    outs = write_folder(
        [[1], [2]],
        [[0, 0], [1, 1]],
        position_barcodes=["s_002um_00000_00000-1", "s_002um_09999_00000-1"],
    )
    with pytest.raises(VisiumHDError, match=r"1 of 2 bins .*different samples"):
        read_space_ranger(outs)


def test_a_barcode_named_twice_is_refused(write_folder: FolderWriter) -> None:
    twice = ["s_002um_00000_00000-1"] * 2
    outs = write_folder([[1], [2]], [[0, 0], [1, 1]], barcodes=twice)
    with pytest.raises(VisiumHDError, match="twice"):
        read_space_ranger(outs)


def test_a_position_that_is_no_number_is_refused(write_folder: FolderWriter) -> None:
    with pytest.raises(VisiumHDError, match="without a pixel position"):
        read_space_ranger(write_folder([[1]], [[np.nan, 0]]))


@pytest.mark.parametrize(
    "missing",
    [
        "filtered_feature_bc_matrix.h5",
        "spatial/tissue_positions.parquet",
        "spatial/scalefactors_json.json",
    ],
)
def test_a_missing_file_is_named(write_folder: FolderWriter, missing: str) -> None:
    outs = write_folder([[1]], [[0, 0]])
    (outs / SQUARE / missing).unlink()
    with pytest.raises(VisiumHDError, match=Path(missing).name):
        read_space_ranger(outs)


@pytest.mark.parametrize(
    "damaged",
    [
        "filtered_feature_bc_matrix.h5",
        "spatial/tissue_positions.parquet",
        "spatial/scalefactors_json.json",
    ],
)
def test_a_truncated_file_is_named(write_folder: FolderWriter, damaged: str) -> None:
    outs = write_folder([[1]], [[0, 0]])
    path = outs / SQUARE / damaged
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(VisiumHDError, match=Path(damaged).name):
        read_space_ranger(outs)


def test_a_gene_index_beyond_the_features_is_refused(write_folder: FolderWriter) -> None:
    outs = write_folder([[0, 3]], [[0, 0]])
    with h5py.File(outs / SQUARE / "filtered_feature_bc_matrix.h5", "r+") as file:
        file["matrix/indices"][...] = 7
    with pytest.raises(VisiumHDError, match="damaged"):
        read_space_ranger(outs)


def test_scale_factors_of_another_machine_are_refused(write_folder: FolderWriter) -> None:
    outs = write_folder([[1]], [[0, 0]])
    scales = outs / SQUARE / "spatial" / "scalefactors_json.json"
    scales.write_text(json.dumps({"spot_diameter_fullres": 89.4}))
    with pytest.raises(VisiumHDError, match="microns_per_pixel"):
        read_space_ranger(outs)
    scales.write_text(json.dumps({"microns_per_pixel": 0.5}))
    with pytest.raises(VisiumHDError, match="lacks bin_size_um"):
        read_space_ranger(outs)
