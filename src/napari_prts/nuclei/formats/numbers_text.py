"""Millions of numbers to text and back, by Arrow.

Arrays go in and out of Arrow as bare buffers: its own conversions import pandas,
which takes longer than all the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The centre of our first pixel is (0, 0); whoever counts from its corner has it at (0.5, 0.5).
HALF_PIXEL = 0.5
# More decimals than these do not fit into double precision.
_MOST_DECIMALS = 15


def from_corner(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count from the first pixel's corner, with few decimals.

    Parameters
    ----------
    values : ndarray of float32
        Level-0 pixels, counted from the first pixel's centre.

    Returns
    -------
    ndarray of float64
        Half a pixel more, rounded to as few decimals as lead back to the very same
        float32 by :func:`from_centre`. Values nearer to 0 than 1e-8, but not 0, come
        back within 1e-16.
    """
    shifted = values.astype(np.float64) + HALF_PIXEL
    # The nearest other float32 is this far away. Rounding must stay within half of it.
    gap = np.spacing(np.nextafter(np.abs(values), np.float32(0))).astype(np.float64)
    decimals = np.floor(-np.log10(gap)).astype(np.int64) + 1
    for count in np.unique(decimals[decimals <= _MOST_DECIMALS]).tolist():
        some = decimals == count
        shifted[some] = np.round(shifted[some], count)
    return shifted


def from_centre(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Count from the first pixel's centre what was counted from its corner."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (values - HALF_PIXEL).astype(np.float32)


def lines_of_pairs(pairs: NDArray[np.floating]) -> bytes:
    """Write pairs of numbers, one ``a,b`` a line.

    Parameters
    ----------
    pairs : ndarray of float32 or float64, shape (n, 2)
        Finite numbers.

    Returns
    -------
    bytes
        The shortest decimal numbers that read back as the same float32 or float64.
    """
    import pyarrow as pa
    from pyarrow import csv

    kind = pa.float32() if pairs.dtype == np.float32 else pa.float64()
    columns = [
        pa.Array.from_buffers(kind, len(pairs), [None, pa.py_buffer(np.ascontiguousarray(column))])
        for column in pairs.T
    ]
    text = pa.BufferOutputStream()
    table = pa.Table.from_arrays(columns, names=["a", "b"])
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    return bytes(text.getvalue().to_pybytes())


def ring_texts(
    points: NDArray[np.floating], offsets: NDArray[np.int64], between: tuple[bytes, bytes]
) -> list[str]:
    """Write closed rings as text.

    Parameters
    ----------
    points : ndarray of float32 or float64, shape (v, 2)
        Vertices of all rings end to end, in the order in which they are written.
    offsets : ndarray of int64, shape (n + 1,)
        Where each ring's vertices begin.
    between : tuple of bytes
        What stands between the numbers of a pair, and between pairs.
    """
    # Each ring's first vertex comes again at its end.
    closed = np.insert(np.arange(len(points)), offsets[1:], offsets[:-1])
    text = lines_of_pairs(points[closed])
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    ends = line_ends[offsets[1:] + np.arange(len(offsets) - 1)]
    starts = np.append(0, ends[:-1] + 1)
    in_pair, of_pairs = between
    return [
        text[start:end].replace(b",", in_pair).replace(b"\n", of_pairs).decode()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def numbers_of(lines: bytes) -> NDArray[np.float64]:
    """Read numbers, one a line.

    Raises
    ------
    ValueError
        If a line is no number.
    """
    import pyarrow as pa
    from pyarrow import csv

    if not lines:
        return np.zeros(0)
    table = csv.read_csv(
        pa.BufferReader(lines),
        read_options=csv.ReadOptions(column_names=["number"]),
        convert_options=csv.ConvertOptions(column_types={"number": pa.float64()}),
    )
    chunks = table.column("number").chunks
    if any(chunk.null_count for chunk in chunks):
        raise ValueError("a number is missing among the coordinates")
    return np.concatenate(
        [
            np.frombuffer(chunk.buffers()[1], np.float64, len(chunk), 8 * chunk.offset)
            for chunk in chunks
        ]
    )
