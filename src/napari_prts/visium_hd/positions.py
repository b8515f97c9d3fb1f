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
_ARRAY_COLUMNS = ("array_row", "array_col")

# Barcodes are places on the grid, the same in every sample, so that they match across samples.
# What tells samples apart is the tissue: of one sample the filtered matrix has exactly the bins
# that its positions call in_tissue.
_MOST_OUTSIDE_TISSUE = 0.01
# The printed grid is straight to some pixels over thousands of bins.
_PITCH_TOLERANCE = 0.02
_SHORTEST_BASELINE_BINS = 50


def read_positions(
    path: Path, barcodes: NDArray[np.bytes_], pitch_px: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the pixel position of each bin of a matrix.

    Parameters
    ----------
    path : Path
        ``tissue_positions.parquet``, with more bins than the matrix or as many.
    barcodes : (bins,) bytes
        Bins of the matrix.
    pitch_px : float, optional
        Distance of neighbouring bins in full-resolution pixels by the scale factors.

    Returns
    -------
    positions : (bins, 2) float64
        (row, column) in full-resolution pixels.
    in_tissue : (bins,) bool

    Raises
    ------
    VisiumHDError
        If the file is damaged, or belongs to another sample than the matrix or the
        scale factors: a bin of the matrix has no position, many bins of the matrix are
        not under tissue here, or bins are not ``pitch_px`` apart.
    """
    table = _read_table(path)
    rows = _rows_of(path, table, barcodes)
    positions = np.empty((len(rows), 2))
    for axis, column in enumerate(COLUMNS[2:]):
        positions[:, axis] = table[column].to_numpy()[rows]
    if not np.isfinite(positions).all():
        raise VisiumHDError(f"{path} has bins without a pixel position; it is damaged.")
    in_tissue = table["in_tissue"].to_numpy()[rows].astype(bool)
    _check_tissue(path, in_tissue)
    if pitch_px is not None and set(_ARRAY_COLUMNS) <= set(table.column_names):
        places = np.column_stack([table[column].to_numpy()[rows] for column in _ARRAY_COLUMNS])
        _check_pitch(path, places, positions, pitch_px)
    return positions, in_tissue


def _rows_of(path: Path, table: pa.Table, barcodes: NDArray[np.bytes_]) -> NDArray[np.int32]:
    """Where each bin of the matrix is in the table."""
    known = table["barcode"].cast(pa.binary())
    found = pc.index_in(pa.array(barcodes, type=pa.binary()), value_set=known)
    if found.null_count:
        _refuse_unknown(path, barcodes, found)
    rows: NDArray[np.int32] = found.to_numpy(zero_copy_only=False)
    if len(rows) and np.bincount(rows).max() > 1:
        raise VisiumHDError(
            f"The matrix beside {path.parent} names a barcode twice; it is damaged."
        )
    return rows


def _check_tissue(path: Path, in_tissue: NDArray[np.bool_]) -> None:
    outside = 1 - float(in_tissue.mean()) if len(in_tissue) else 0.0
    if outside > _MOST_OUTSIDE_TISSUE:
        raise VisiumHDError(
            f"{path} calls {outside:.0%} of the {len(in_tissue):,} bins of the filtered matrix not "
            "under tissue: matrix and positions are from different samples. Take both from the "
            "same run."
        )


def _check_pitch(
    path: Path, places: NDArray[np.integer], positions: NDArray[np.float64], pitch_px: float
) -> None:
    """Compare two bins far apart on the grid with their distance in pixels."""
    if not len(places):
        return
    corner = places.sum(1)
    ends = places[[corner.argmin(), corner.argmax()]].astype(np.float64)
    bins = float(np.hypot(*(ends[1] - ends[0])))
    if bins < _SHORTEST_BASELINE_BINS:
        return
    pixels = float(np.hypot(*(positions[corner.argmax()] - positions[corner.argmin()])))
    if abs(pixels / bins / pitch_px - 1) > _PITCH_TOLERANCE:
        raise VisiumHDError(
            f"By {path} neighbouring bins are {pixels / bins:.3g} px apart, by the scale factors "
            f"{pitch_px:.3g} px: they are from different samples or images. Take both from the "
            "same run."
        )


def _read_table(path: Path) -> pa.Table:
    try:
        wanted = [*COLUMNS, *_ARRAY_COLUMNS]
        there = pq.read_schema(path).names
        table: pa.Table = pq.read_table(path, columns=[name for name in wanted if name in there])
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
