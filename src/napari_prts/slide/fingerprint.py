"""Fingerprints: the same pixels have the same one, wherever the file lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

_ENDS = 256 * 1024
_SAMPLE = 64 * 1024
_SAMPLES = 16


def of_file(path: Path) -> str:
    """Fingerprint a file by its size, beginning, end and 16 pieces between.

    A gigabyte slide takes milliseconds. Two files that differ only between the
    pieces and are equally long are taken for the same.
    """
    digest = xxhash.xxh3_128()
    size = os.path.getsize(path)
    digest.update(size.to_bytes(8, "little"))
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        for start in np.linspace(_ENDS, max(size - _ENDS, _ENDS), _SAMPLES, dtype=np.int64):
            file.seek(int(start))
            digest.update(file.read(_SAMPLE))
        file.seek(max(size - _ENDS, 0))
        digest.update(file.read(_ENDS))
    return digest.hexdigest()


def of_array(pixels: NDArray[np.uint8]) -> str:
    """Fingerprint an image in memory by its shape and all its pixels."""
    digest = xxhash.xxh3_128(repr(pixels.shape).encode())
    # Row bands, so that a view that is not contiguous is not copied whole.
    for top in range(0, pixels.shape[0], 1024):
        digest.update(np.ascontiguousarray(pixels[top : top + 1024]).data)
    return digest.hexdigest()


def of_parts(*parts: bytes) -> str:
    """Fingerprint pieces of metadata and pixels that stand for a slide."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
