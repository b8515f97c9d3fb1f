"""Counts of 2 um bins from ``feature_slice.h5``, where the filtered matrix is missing.

The file keeps each gene as an image of the bins: it is made for looking at single
genes. All genes together are read quicker from the matrix, so this is for folders
that have nothing else, such as public data sets with the large archives left out.
What it says is the same: the bins under tissue are in ``masks/filtered`` and their
counts in ``feature_slices``.

Source: 10x Genomics, Space Ranger documentation, "Feature slice H5" (versions 3.0
to 4.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd.barcodes import barcodes_of
from napari_prts.visium_hd.matrix import CountMatrix, as_counts, decoded, genes_only


def read_feature_slice(path: Path) -> CountMatrix:
    """Read the bins under tissue, in the order of their barcodes.

    Genes of the reference without any count are there as well, in its order.

    Raises
    ------
    VisiumHDError
        If the file is damaged, is another kind of .h5, or its counts are no integers.
    """
    try:
        with h5py.File(path, "r") as file:
            names, ids, types = (
                file["features"][key][:].astype("S") for key in ("name", "id", "feature_type")
            )
            mask = file["masks/filtered"]
            under_tissue = mask["data"][:] != 0
            bins = np.stack([mask[key][:][under_tissue] for key in ("row", "col")], axis=1)
            if not len(bins):
                raise ValueError("no bin lies under tissue")
            bins = bins[np.lexsort(bins.T[::-1])].astype(np.int64)
            counts = _gathered(file["feature_slices"], bins, len(names), path)
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise VisiumHDError(
            f"{path} is not a whole feature_slice.h5 of Space Ranger ({error}). Copy it again, or "
            "copy filtered_feature_bc_matrix.h5 instead."
        ) from error
    matrix = CountMatrix(counts, decoded(names), decoded(ids), barcodes_of(bins), simulated=False)
    return genes_only(matrix, decoded(types))


def _gathered(
    slices: h5py.Group, bins: NDArray[np.int64], genes: int, path: Path
) -> sparse.csr_matrix:
    """Counts of the bins, (bins, genes)."""
    # The number of each bin at its place on the grid; the machine's has 11 million places.
    numbers = np.full(bins.max(0) + 1, -1, np.int32)
    numbers[bins[:, 0], bins[:, 1]] = np.arange(len(bins), dtype=np.int32)
    data, rows, columns = [], [], []
    for gene, row, column, counts in _each_gene(slices):
        if gene >= genes:
            raise ValueError(f"a slice of gene {gene}, but {genes} genes are named")
        on_grid = np.flatnonzero((row < numbers.shape[0]) & (column < numbers.shape[1]))
        number = numbers[row[on_grid], column[on_grid]]
        known = number >= 0
        data.append(as_counts(counts[on_grid][known], path))
        rows.append(number[known])
        columns.append(np.full(int(known.sum()), gene, np.int32))
    parts = (_joined(data), (_joined(rows), _joined(columns)))
    return sparse.csr_matrix(parts, shape=(len(bins), genes), dtype=np.int32)


def _each_gene(
    slices: h5py.Group,
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]:
    for name in slices:
        group = slices[name]
        row, column = (group[key][:].astype(np.int64) for key in ("row", "col"))
        yield int(name), row, column, group["data"][:]


def _joined(parts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate(parts) if parts else np.empty(0, np.int32)
