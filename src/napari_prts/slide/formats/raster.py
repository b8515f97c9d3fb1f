"""JPEG and PNG images: headers checked first, pixels decoded whole or row by row."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_prts.slide import fingerprint
from napari_prts.slide.colours import Coding, to_rgb
from napari_prts.slide.formats.slide_file import SlideFile, check_samples, damaged, refused
from napari_prts.slide.pixels import KeptPixels, RgbImage

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

    return _slide_file(path, "jpeg", shape)


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

    return _slide_file(path, "png", (rows, columns))


class RasterPixels(KeptPixels):
    """Pixels of an image that can only be decoded from its first row on.

    Parameters
    ----------
    path : Path
        The image.
    kind : str
        ``"jpeg"`` or ``"png"``.
    shape : tuple of int
        Rows and columns by its header.
    """

    def __init__(self, path: Path, kind: str, shape: tuple[int, int]) -> None:
        super().__init__(shape, self._decode)
        self._path = path
        self._kind = kind

    def bands(self, rows: int) -> Iterator[RgbImage]:
        """Decode the image in bands of rows, so that it is never held whole.

        Parameters
        ----------
        rows : int
            Rows of a band; the last one may be shorter.

        Yields
        ------
        ndarray of uint8, shape (row, column, 3)
            From top to bottom.

        Raises
        ------
        SlideError
            If the image cannot be decoded to its end.
        """
        import pyvips

        try:
            image = pyvips.Image.new_from_file(
                str(self._path), access="sequential", fail_on="warning"
            )
            self._check_shape((image.height, image.width))
            region = pyvips.Region.new(image)
            for top in range(0, image.height, rows):
                height = min(rows, image.height - top)
                band = np.frombuffer(region.fetch(0, top, image.width, height), np.uint8)
                yield self._colours(band.reshape(height, image.width, -1))
        except pyvips.Error as error:
            raise damaged(self._path, f"it cannot be decoded ({_one_line(error)})") from error

    def preview(self) -> RgbImage | None:
        """Decode a JPEG at an eighth of its size, which is many times quicker; None for a PNG."""
        if self._kind != "jpeg":
            return None
        import pyvips

        try:
            small = pyvips.Image.jpegload(str(self._path), shrink=8).numpy()
        except pyvips.Error as error:
            raise damaged(self._path, f"it cannot be decoded ({_one_line(error)})") from error
        return self._colours(np.asarray(small, np.uint8))

    def _decode(self) -> RgbImage:
        import imagecodecs

        decode = imagecodecs.jpeg_decode if self._kind == "jpeg" else imagecodecs.png_decode
        try:
            image = np.asarray(decode(self._path.read_bytes()))
        except (RuntimeError, ValueError) as error:
            raise damaged(self._path, f"it cannot be decoded ({error})") from error
        self._check_shape(image.shape[:2])
        return self._colours(image)

    def _check_shape(self, found: tuple[int, ...]) -> None:
        if found != self.shape:
            raise damaged(self._path, f"its pixels, {found}, do not fit its header, {self.shape}")

    def _colours(self, image: RgbImage) -> RgbImage:
        return to_rgb(image, Coding.RGBA if image.shape[2] == 4 else Coding.RGB)


def _slide_file(path: Path, kind: str, shape: tuple[int, int]) -> SlideFile:
    pixels = RasterPixels(path, kind, shape)
    return SlideFile(path, kind, fingerprint.of_file(path), None, (pixels,))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
