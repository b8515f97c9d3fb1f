"""Records in a file that is only ever appended to, each with its length and checksum."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

MAGIC = b"PRTSjrn1"
# Lets a reader find the next record behind a damaged one, to tell damage from a torn end.
_MARK = b"\xf5rec"
_FRAME = struct.Struct("<4sIIQ")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Scan:
    """What a file of records holds.

    Parameters
    ----------
    payloads : tuple of bytes
        The records from the first up to the end, or up to the first that is damaged.
    ends : int
        Bytes up to the end of the last of them.
    torn : int
        Bytes of a last record that was never wholly written.
    unread : int
        Whole records behind a damaged one.
    """

    payloads: tuple[bytes, ...]
    ends: int
    torn: int
    unread: int


def framed(payload: bytes, number: int) -> bytes:
    """Frame a record.

    Parameters
    ----------
    payload : bytes
        What it holds.
    number : int
        How many records stand before it: one that is missing between two is noticed.
    """
    checksum = xxhash.xxh3_64_intdigest(payload, seed=number)
    return _FRAME.pack(_MARK, len(payload), number, checksum) + payload


def scan(content: bytes) -> Scan | None:
    """Read all records.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    Scan or None
        None if this is no file of records.
    """
    if not content.startswith(MAGIC):
        return None
    payloads: list[bytes] = []
    place = len(MAGIC)
    while (payload := _record_at(content, place, len(payloads))) is not None:
        payloads.append(payload)
        place += _FRAME.size + len(payload)
    unread = _whole_records(content, place)
    torn = 0 if unread else len(content) - place
    return Scan(tuple(payloads), place, torn, unread)


def _record_at(content: bytes, place: int, number: int | None) -> bytes | None:
    if place + _FRAME.size > len(content):
        return None
    mark, length, written, checksum = _FRAME.unpack_from(content, place)
    begin = place + _FRAME.size
    if mark != _MARK or begin + length > len(content) or number not in (None, written):
        return None
    payload = content[begin : begin + length]
    return payload if xxhash.xxh3_64_intdigest(payload, seed=written) == checksum else None


def _whole_records(content: bytes, place: int) -> int:
    """Count the whole records anywhere behind a place."""
    found = 0
    while (place := content.find(_MARK, place)) >= 0:
        payload = _record_at(content, place, None)
        found += payload is not None
        place += 1 if payload is None else _FRAME.size + len(payload)
    return found


def pack(head: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Put facts and arrays into one record.

    Parameters
    ----------
    head : mapping
        Anything that JSON can hold; other values are kept as text.
    arrays : mapping of str to ndarray
        Kept bit for bit; those with the largest items first.
    """
    return b"".join([opening(head, arrays), *(raw(array) for array in arrays.values())])


def unpack(payload: bytes | memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take facts and arrays out of a record that :func:`pack` made.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """
    (length,) = _LENGTH.unpack_from(payload)
    place = _LENGTH.size + length
    head = json.loads(bytes(payload[_LENGTH.size : place]))
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind, shape in head.pop("arrays"):
        count = int(np.prod(shape, dtype=np.int64))
        # numpy reads nothing from the very end of a buffer.
        values = np.frombuffer(payload, kind, count, place) if count else np.empty(0, kind)
        arrays[name] = values.reshape(shape)
        place += arrays[name].nbytes
    return head, arrays


def opening(head: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return what stands before the arrays' bytes."""
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": layout}, default=_plain, skipkeys=True).encode()
    # Filled up to eight bytes, so that the arrays can be used where they lie.
    text += b" " * (-(len(text) + _LENGTH.size) % 8)
    return _LENGTH.pack(len(text)) + text


def raw(array: NDArray[Any]) -> bytes | memoryview:
    """Bytes of an array, without a copy where it lies in one piece."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
