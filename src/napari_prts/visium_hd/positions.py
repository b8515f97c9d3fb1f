"""Pixel positions of bins, joined to a matrix by barcode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError

COLUMNS = ("barcode", "in_tissue", "pxl_row_in_fullres", "pxl_col_in_fullres")


def read_positions(
    path: Path, barcodes: NDArray[np.bytes_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the pixel position of each bin of a matrix.

    Parameters
    ----------
    path : Path
        ``tissue_positions.parquet``, with more bins than the matrix or as many.
    barcodes : (bins,) bytes
        Bins of the matrix.

    Returns
    -------
    positions : (bins, 2) float64
        (row, column) in full-resolution pixels.
    in_tissue : (bins,) bool

    Raises
    ------
    VisiumHDError
        If the file is damaged, or a bin of the matrix has no position: then
        matrix and positions are from different samples.
    """
    table = _read_table(path)
    known = table["barcode"].cast(pa.binary())
    found = pc.index_in(pa.array(barcodes, type=pa.binary()), value_set=known)
    if found.null_count:
        _refuse_unknown(path, barcodes, found)
    rows = found.to_numpy(zero_copy_only=False)
    if len(rows) and np.bincount(rows).max() > 1:
        raise VisiumHDError(
            f"The matrix beside {path.parent} names a barcode twice; it is damaged."
        )
    positions = np.column_stack([table[column].to_numpy()[rows] for column in COLUMNS[2:]]).astype(
        np.float64, copy=False
    )
    if not np.isfinite(positions).all():
        raise VisiumHDError(f"{path} has bins without a pixel position; it is damaged.")
    return positions, table["in_tissue"].to_numpy()[rows].astype(bool)


def _read_table(path: Path) -> pa.Table:
    try:
        table: pa.Table = pq.read_table(path, columns=list(COLUMNS))
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise VisiumHDError(f"{path} cannot be read ({reason}). Copy it again.") from error
    missing = set(COLUMNS) - set(table.column_names)
    if missing:
        raise VisiumHDError(
            f"{path} lacks the columns {', '.join(sorted(missing))}: it is not a "
            "tissue_positions.parquet of Space Ranger."
        )
    return table


def _refuse_unknown(path: Path, barcodes: NDArray[np.bytes_], found: pa.Array) -> None:
    unknown = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))
    example = barcodes[unknown[0]].decode(errors="replace")
    raise VisiumHDError(
        f"{path} has no position for {len(unknown):,} of {len(barcodes):,} bins of the matrix "
        f"(first {example}): matrix and positions are from different samples or bin sizes. "
        "Take both from the same run."
    )
