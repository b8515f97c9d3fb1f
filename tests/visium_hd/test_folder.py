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


def test_mtx_counts_are_transposed_to_bins_by_genes(write_folder: FolderWriter) -> None:
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
    section = read_space_ranger(outs)
    assert section.counts.toarray().tolist() == counts.tolist()
    assert section.genes.tolist() == ["NA", "B", "C"]


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


def test_bins_of_8_um_are_refused(write_folder: FolderWriter) -> None:
    outs = write_folder([[1]], [[0, 0]], scales={"bin_size_um": 8.0})
    with pytest.raises(VisiumHDError, match="bins of 8 um"):
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
