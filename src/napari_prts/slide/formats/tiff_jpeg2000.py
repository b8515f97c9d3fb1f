"""Aperio's JPEG 2000 tiles, whose colours tifffile's decoder does not get right.

Compression 33003 is YCbCr, mostly with half as many columns of colour as of
brightness, which the decoder would return as noise; and neither the file nor
the tiles say how to turn it into RGB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_prts.slide.colours import Coding, to_rgb
from napari_prts.slide.pixels import RgbImage

YCBCR, RGB = 33003, 33005
# JPEG 2000, marker SIZ: after the code of the marker, the length and 34 bytes of sizes, three
# bytes for each component: depth, and how many columns and rows of the image it covers.
_SIZ = b"\xff\x51"
_COMPONENTS_AT = 36

Decoder = Callable[..., tuple[Any, tuple[int, ...], tuple[int, ...]]]


def decode_tile(data: bytes, compression: int) -> RgbImage:
    """Decode one tile of an Aperio slide.

    Parameters
    ----------
    data : bytes
        JPEG 2000 codestream of three components of 8 bits.
    compression : int
        33003 (YCbCr) or 33005 (RGB).

    Returns
    -------
    ndarray of uint8, shape (row, column, 3)
        Red, green, blue.

    Raises
    ------
    ValueError, RuntimeError, OSError
        If the tile is damaged.
    """
    if _is_subsampled(data):
        # Pillow spreads the colours over the columns; it also converts them.
        import PIL.Image

        with PIL.Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    import imagecodecs

    samples = np.asarray(imagecodecs.jpeg2k_decode(data))
    if samples.ndim != 3 or samples.shape[2] != 3 or samples.dtype != np.uint8:
        raise ValueError(f"a tile of {samples.shape} {samples.dtype} instead of 8-bit colours")
    return to_rgb(samples, Coding.YCBCR if compression == YCBCR else Coding.RGB)


def mend_decoder(page: Any) -> None:
    """Let a page be decoded by :func:`decode_tile`, to RGB, wherever tifffile decodes it.

    Parameters
    ----------
    page : tifffile.TiffPage
        Tiled page of three samples; nothing happens to pages of other compressions.
    """
    compression = int(page.compression)
    if compression in (YCBCR, RGB) and page.is_tiled:
        # tifffile makes this attribute when it is first asked for, and then keeps it.
        page.__dict__["decode"] = _decoder(page, compression)


def _decoder(page: Any, compression: int) -> Decoder:
    length, width = int(page.tilelength), int(page.tilewidth)
    columns = -(-int(page.imagewidth) // width)

    def decode(data: bytes | None, index: int, **_: Any) -> Any:
        row, column = divmod(index, columns)
        position = (0, 0, row * length, column * width, 0)
        if data is None:
            return None, position, (1, length, width, 3)
        tile = decode_tile(data, compression)
        if tile.shape != (length, width, 3):
            raise ValueError(f"a tile of {tile.shape} instead of ({length}, {width}, 3)")
        return tile[np.newaxis], position, (1, length, width, 3)

    return decode


def _is_subsampled(data: bytes) -> bool:
    start = data.find(_SIZ, 0, 1024)
    if start < 0:
        raise ValueError("no JPEG 2000 codestream")
    count, *_ = struct.unpack(">H", data[start + 2 + _COMPONENTS_AT :][:2])
    components = data[start + 4 + _COMPONENTS_AT :][: 3 * count]
    return any(step != 1 for at in (1, 2) for step in components[at::3])
