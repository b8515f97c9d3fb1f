"""Barcodes of bins and cells, as Space Ranger writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError

_BIN = np.frombuffer(b"s_002um_00000_00000-1", np.uint8)
_LAST_DIGITS = (12, 18)
_CELL_PREFIX = b"cellid_"


def barcodes_of(bins: NDArray[np.integer]) -> NDArray[np.bytes_]:
    """Names such as ``s_002um_00305_01021-1`` of (array row, array column) bins, (n, 2)."""
    letters = np.tile(_BIN, (len(bins), 1))
    for last, numbers in zip(_LAST_DIGITS, bins.T, strict=True):
        for digit in range(5):
            letters[:, last - digit] += (numbers // 10**digit % 10).astype(np.uint8)
    return letters.view(f"S{len(_BIN)}").ravel()


def bins_of(barcodes: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """(array row, array column) of bins of any size, (n, 2), from names as above.

    Raises
    ------
    VisiumHDError
        If a barcode is no bin's.
    """
    letters = np.ascontiguousarray(barcodes).astype(f"S{len(_BIN)}").view(np.uint8)
    letters = letters.reshape(len(barcodes), len(_BIN))
    known = (letters[:, :2] == _BIN[:2]).all(axis=1)
    places = np.zeros((len(barcodes), 2), np.int64)
    for axis, last in enumerate(_LAST_DIGITS):
        for place in range(last - 4, last + 1):
            digits = letters[:, place] - np.uint8(ord("0"))
            known &= digits <= 9
            places[:, axis] = places[:, axis] * 10 + digits
    if not known.all():
        example = barcodes[~known][0].decode(errors="replace")
        raise VisiumHDError(
            f"The barcode {example} is not that of a bin, such as s_008um_00305_01021-1: the "
            "matrix is not from a Visium HD run of Space Ranger. Copy it again from the run."
        )
    return places


def cell_ids_of(barcodes: NDArray[np.bytes_]) -> NDArray[np.int64] | None:
    """Numbers of cells, 12 of ``cellid_000000012-1``; None if a barcode is no cell's."""
    if not np.char.startswith(barcodes, _CELL_PREFIX).all():
        return None
    digits = np.char.partition(np.char.partition(barcodes, _CELL_PREFIX)[..., 2], b"-")[..., 0]
    if not np.char.isdigit(digits).all():
        return None
    ids: NDArray[np.int64] = digits.astype(np.int64)
    return ids
