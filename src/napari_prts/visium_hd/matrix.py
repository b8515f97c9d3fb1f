"""Count matrices as Space Ranger writes them: one .h5 file, or a folder of .mtx.gz and .tsv.gz."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.io import mminfo, mmread

from napari_prts.errors import VisiumHDError

GENE_EXPRESSION = "Gene Expression"
SIMULATED_ATTRIBUTE = "simulated"


@dataclass(frozen=True, eq=False)
class CountMatrix:
    """Counts of one Space Ranger matrix.

    Parameters
    ----------
    counts : csr_matrix, (bins, genes), int32
        UMI counts.
    genes, gene_ids : (genes,) str
        Symbols, which may repeat, and identifiers.
    barcodes : (bins,) bytes
        As in the file, in the file's order.
    simulated : bool
        Whether the file itself says that it was simulated.
    """

    counts: sparse.csr_matrix
    genes: NDArray[np.str_]
    gene_ids: NDArray[np.str_]
    barcodes: NDArray[np.bytes_]
    simulated: bool


def read_h5(path: Path) -> CountMatrix:
    """Read ``filtered_feature_bc_matrix.h5``.

    Only features of the type "Gene Expression" are kept.

    Raises
    ------
    VisiumHDError
        If the file is damaged, is another kind of .h5, or its counts are no integers.
    """
    try:
        with h5py.File(path, "r") as file:
            matrix = file["matrix"]
            features = matrix["features"]
            n_features, n_bins = (int(size) for size in matrix["shape"][:])
            # Read as what they are kept as: the file's 64 bits would double the memory.
            index_type = _index_type(len(matrix["data"]))
            # The machine stores features x barcodes by column: barcodes x features by row.
            parts = (
                matrix["data"][:],
                matrix["indices"].astype(index_type)[:],
                matrix["indptr"].astype(index_type)[:],
            )
            barcodes = matrix["barcodes"][:].astype("S")
            names, ids, types = (
                features[key][:].astype("S") for key in ("name", "id", "feature_type")
            )
            simulated = bool(file.attrs.get(SIMULATED_ATTRIBUTE, False))
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise VisiumHDError(
            f"{path} is not a whole Space Ranger matrix ({error}). Copy the file again from the "
            "Space Ranger run."
        ) from error
    counts = _checked_csr(parts, (n_bins, n_features), path)
    if len(barcodes) != n_bins or not len(names) == len(ids) == len(types) == n_features:
        raise VisiumHDError(
            f"{path} is damaged: its matrix is {n_features} features x {n_bins} barcodes, but it "
            f"names {len(names)} features and {len(barcodes)} barcodes."
        )
    matrix = CountMatrix(counts, decoded(names), decoded(ids), barcodes, simulated)
    return genes_only(matrix, decoded(types))


def read_mtx(folder: Path) -> CountMatrix:
    """Read the folder ``filtered_feature_bc_matrix`` of three files.

    Files that are called .gz without being compressed are read as well.

    Raises
    ------
    VisiumHDError
        If a file is missing or damaged, or the counts are no integers.
    """
    matrix, features, barcodes = (
        _either(folder, name) for name in ("matrix.mtx", "features.tsv", "barcodes.tsv")
    )
    feature_table = _read_tsv(features)
    if feature_table.shape[1] < 2:
        raise VisiumHDError(f"{features} has one column; Space Ranger writes id, name and type.")
    ids, names = (feature_table[column].to_numpy(str) for column in (0, 1))
    types = (
        feature_table[2].to_numpy(str)
        if feature_table.shape[1] > 2
        else np.full(len(ids), GENE_EXPRESSION)
    )
    bin_names = _read_tsv(barcodes)[0].to_numpy().astype("S")
    counts = _read_market(matrix)
    if counts.shape != (len(bin_names), len(ids)):
        raise VisiumHDError(
            f"The files in {folder} do not belong together: the matrix is {counts.shape[1]} "
            f"features x {counts.shape[0]} barcodes, features.tsv names {len(ids)} and "
            f"barcodes.tsv {len(bin_names)}."
        )
    return genes_only(CountMatrix(counts, names, ids, bin_names, simulated=False), types)


def genes_only(matrix: CountMatrix, types: NDArray[np.str_]) -> CountMatrix:
    """Leave out features that are no genes, such as antibodies; ``types`` has one a feature."""
    keep = types == GENE_EXPRESSION
    if keep.all():
        return matrix
    return replace(
        matrix,
        counts=matrix.counts[:, keep],
        genes=matrix.genes[keep],
        gene_ids=matrix.gene_ids[keep],
    )


def _index_type(entries: int) -> type[np.signedinteger[Any]]:
    return np.int64 if entries > np.iinfo(np.int32).max else np.int32


def _checked_csr(
    parts: tuple[NDArray[Any], NDArray[Any], NDArray[Any]], shape: tuple[int, int], path: Path
) -> sparse.csr_matrix:
    data, indices, indptr = parts
    try:
        counts = sparse.csr_matrix((as_counts(data, path), indices, indptr), shape=shape)
        counts.check_format(full_check=True)
    except ValueError as error:
        raise VisiumHDError(
            f"{path} is damaged ({error}). Copy the file again from the Space Ranger run."
        ) from error
    return counts


def as_counts(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
    """Take whole numbers of 0 or more.

    Raises
    ------
    VisiumHDError
        If they are something else, naming ``path``.
    """
    if not np.issubdtype(values.dtype, np.number):
        raise VisiumHDError(f"{path} holds {values.dtype} where counts should be.")
    whole = np.issubdtype(values.dtype, np.integer) or bool((values == np.rint(values)).all())
    if not whole:
        example = values[values != np.rint(values)][0]
        raise VisiumHDError(
            f"{path} holds values that are not counts, such as {example:g}: normalised data cannot "
            "be summed into nuclei. Give the raw matrix of Space Ranger."
        )
    if len(values) and values.min() < 0:
        raise VisiumHDError(f"{path} holds negative counts ({values.min():g}); it is damaged.")
    return values.astype(np.int32, copy=False)


def decoded(values: NDArray[np.bytes_]) -> NDArray[np.str_]:
    """Text of UTF-8 bytes."""
    decoded: NDArray[np.str_] = np.char.decode(values, "utf-8")
    return decoded


def _either(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise VisiumHDError(f"{folder} lacks {name}.gz, which Space Ranger writes beside the others.")


def _opened(path: Path) -> BufferedReader | gzip.GzipFile:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _read_tsv(path: Path) -> pd.DataFrame:
    try:
        with _opened(path) as stream:
            # A gene may be called NA.
            return pd.read_csv(stream, sep="\t", header=None, dtype=str, keep_default_na=False)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VisiumHDError(f"{path} cannot be read ({error}). Copy it again.") from error


def _read_market(path: Path) -> sparse.csr_matrix:
    try:
        with _opened(path) as stream:
            _, _, entries, _, field, _ = mminfo(stream)
        if field == "pattern" and entries:
            raise VisiumHDError(f"{path} says which entries are there, but not their counts.")
        with _opened(path) as stream:
            counts = sparse.csr_matrix(mmread(stream).T)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VisiumHDError(f"{path} cannot be read ({error}). Copy it again.") from error
    counts.data = as_counts(counts.data, path)
    return counts
