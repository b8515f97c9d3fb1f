"""Millions of numbers to text and back, by Arrow.

Arrays go in and out of Arrow as bare buffers: its own conversions import pandas,
which takes longer than all the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lines_of_pairs(pairs: NDArray[np.float32]) -> bytes:
    """Write pairs of numbers, one ``a,b`` a line.

    Parameters
    ----------
    pairs : ndarray of float32, shape (n, 2)
        Finite numbers.

    Returns
    -------
    bytes
        The shortest decimal numbers that read back as the same float32.
    """
    import pyarrow as pa
    from pyarrow import csv

    columns = [
        pa.Array.from_buffers(
            pa.float32(), len(pairs), [None, pa.py_buffer(np.ascontiguousarray(column))]
        )
        for column in pairs.T
    ]
    text = pa.BufferOutputStream()
    table = pa.Table.from_arrays(columns, names=["a", "b"])
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    return bytes(text.getvalue().to_pybytes())


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
