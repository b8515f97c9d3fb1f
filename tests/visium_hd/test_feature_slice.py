"""Counts gene by gene from feature_slice.h5, where the matrix is missing."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd import read_space_ranger

from .conftest import FolderWriter, write_features

PLACES = np.array([(0, 2), (0, 5), (3, 1), (7, 0)])
COUNTS = np.array([[1, 0, 2], [0, 0, 0], [0, 0, 9], [4, 0, 0]])
GENES = ["A", "B", "C"]


def _barcodes(places: NDArray[np.int64]) -> list[str]:
    return [f"s_002um_{row:05d}_{column:05d}-1" for row, column in places]


def _write_slices(path: Path, outside: bool = True) -> None:
    """As the machine keeps it: all bins with counts, and which of them lie under tissue."""
    counts, places = COUNTS, PLACES
    if outside:
        counts = np.vstack([counts, [[7, 7, 7], [5, 5, 5]]])
        places = np.vstack([places, [(1, 1), (2, 3000)]])
    with h5py.File(path, "w") as file:
        write_features(file.create_group("features"), GENES)
        by_gene = sparse.csc_matrix(counts)
        for gene in range(len(GENES)):
            part = slice(by_gene.indptr[gene], by_gene.indptr[gene + 1])
            bins = by_gene.indices[part]
            # A gene without counts has no slice.
            if len(bins):
                group = file.create_group(f"feature_slices/{gene}")
                group["row"], group["col"] = places[bins].T
                group["data"] = by_gene.data[part]
        mask = file.create_group("masks/filtered")
        order = [2, 0, 3, 1]
        mask["row"], mask["col"] = PLACES[order].T
        mask["data"] = np.ones(len(PLACES), int)


@pytest.fixture
def outs(write_folder: FolderWriter) -> Path:
    outs = write_folder(
        COUNTS, PLACES * 4.0, genes=GENES, barcodes=_barcodes(PLACES), places=PLACES
    )
    _write_slices(outs / "feature_slice.h5")
    return outs


def test_the_slices_say_the_same_as_the_matrix(outs: Path) -> None:
    matrix = read_space_ranger(outs)
    (outs / "binned_outputs/square_002um/filtered_feature_bc_matrix.h5").unlink()
    slices = read_space_ranger(outs)
    assert slices.counts.toarray().tolist() == matrix.counts.toarray().tolist()
    assert slices.counts.dtype == np.int32
    for name in ("genes", "gene_ids", "barcodes", "positions"):
        assert getattr(slices, name).tolist() == getattr(matrix, name).tolist()


@pytest.mark.parametrize("kind", ["truncated", "no mask", "nothing under tissue", "half counts"])
def test_damaged_slices_are_named(outs: Path, kind: str) -> None:
    (outs / "binned_outputs/square_002um/filtered_feature_bc_matrix.h5").unlink()
    path = outs / "feature_slice.h5"
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:300])
    else:
        with h5py.File(path, "r+") as file:
            if kind == "no mask":
                del file["masks"]
            elif kind == "nothing under tissue":
                file["masks/filtered/data"][...] = 0
            else:
                data = file["feature_slices/0/data"][:] / 2
                del file["feature_slices/0/data"]
                file["feature_slices/0/data"] = data
    with pytest.raises(VisiumHDError, match=r"feature_slice\.h5"):
        read_space_ranger(outs)
