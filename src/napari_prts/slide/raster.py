"""JPEG and PNG images: their headers are checked first, the pixels are decoded whole."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.colours import Coding, to_rgb
from napari_prts.slide.pixels import KeptPixels, RgbImage
from napari_prts.slide.slide_file import SlideFile, check_samples, damaged, refused

# Markers that begin a frame and so carry the image's size (ITU-T T.81, table B.1).
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}
_SCAN, _END = 0xDA, b"\xff\xd9"

_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def read_jpeg(path: Path) -> SlideFile:
    """Open a JPEG.

    Its resolution tags are print sizes and say nothing about microns.

    Raises
    ------
    SlideError
        If it is cut short, greyscale, CMYK or not 8-bit.
    """
    data = path.read_bytes()
    shape = _check_jpeg(path, data)

    def decode() -> NDArray[np.uint8]:
        import imagecodecs

        return np.asarray(imagecodecs.jpeg_decode(path.read_bytes()))

    return _image(path, "jpeg", shape, decode)


def read_png(path: Path) -> SlideFile:
    """Open a PNG; transparent pixels are laid on white.

    Raises
    ------
    SlideError
        If it is cut short, greyscale or not 8-bit.
    """
    with path.open("rb") as file:
        header = file.read(33)
    if len(header) < 33 or header[12:16] != b"IHDR":
        raise damaged(path, "the PNG header is cut short")
    columns, rows, depth, kind = struct.unpack(">IIBB", header[16:26])
    check_samples(path, _PNG_SAMPLES.get(kind, 1))
    if depth > 8:
        raise refused(path, f"{depth}-bit")

    def decode() -> NDArray[np.uint8]:
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(path.read_bytes()))

    return _image(path, "png", (rows, columns), decode)


def _image(
    path: Path, kind: str, shape: tuple[int, int], decode: Callable[[], NDArray[np.uint8]]
) -> SlideFile:
    def make() -> RgbImage:
        try:
            image = decode()
        except MemoryError:
            size = math.prod(shape) * 3 / 2**30
            raise SlideError(
                f"{path} needs {size:.1f} GiB of memory to be opened: a {kind.upper()} can only be "
                "decoded whole. Convert it to a tiled TIFF on a larger machine."
            ) from None
        except (RuntimeError, ValueError) as error:
            raise damaged(path, f"it cannot be decoded ({error})") from error
        if image.shape[:2] != shape or image.ndim != 3:
            raise damaged(path, f"its pixels, {image.shape}, do not fit its header, {shape}")
        return to_rgb(image, Coding.RGBA if image.shape[2] == 4 else Coding.RGB)

    pixels = KeptPixels(shape, make)
    return SlideFile(path, kind, fingerprint.of_file(path), None, (pixels,))


def _check_jpeg(path: Path, data: bytes) -> tuple[int, int]:
    """Return rows and columns of a whole, 8-bit, three-colour JPEG."""
    shape: tuple[int, int] | None = None
    for marker, body in _segments(path, data):
        if marker in _FRAMES:
            precision, rows, columns, samples = struct.unpack(">BHHB", data[body : body + 6])
            if samples == 4:
                raise refused(path, "CMYK (four printing inks)")
            check_samples(path, samples)
            if precision != 8:
                raise refused(path, f"{precision}-bit")
            shape = rows, columns
        elif marker == _SCAN:
            # Pixel data hold no end marker but the last; without it the decoder would fill
            # the rest with grey and say nothing.
            if data.find(_END, body) < 0:
                raise damaged(path, "the JPEG ends in the middle of its pixels")
            break
    if shape is None:
        raise damaged(path, "the JPEG has no image in it")
    return shape


def _segments(path: Path, data: bytes) -> list[tuple[int, int]]:
    """List markers and where their bodies begin, up to the first pixels."""
    found: list[tuple[int, int]] = []
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise damaged(path, "the JPEG ends in its header")
        marker = data[position + 1]
        if marker in (0x00, 0xFF):
            position += 1
        elif marker in _BARE:
            position += 2
        else:
            if position + 10 > len(data):
                raise damaged(path, "the JPEG ends in its header")
            found.append((marker, position + 4))
            if marker == _SCAN:
                return found
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
