"""What a reader finds in a slide file, and the words in which bad files are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide.pixel_size import PixelSize
from napari_prts.slide.pixels import Pixels, RgbImage

_ADVICE = "Export the H&E image as 8-bit RGB (for example from QuPath or ImageScope) and open that."


@dataclass(frozen=True)
class SlideFile:
    """An open slide file.

    Parameters
    ----------
    path : Path
        Where it is.
    format : str
        ``"aperio-svs"``, ``"hamamatsu-ndpi"``, ``"philips-tiff"``, ``"ventana-bif"``,
        ``"ome-tiff"``, ``"tiff"``, ``"ome-zarr"``, ``"dicom"``, ``"jpeg"``, ``"png"``, or what
        OpenSlide calls it.
    fingerprint : str
        By content.
    stated : PixelSize or None
        Pixel size as the file has it.
    levels : tuple of Pixels
        Full resolution first.
    associated : mapping of str to callable
        Pictures that come with the slide, by name, lower case: ``"label"`` (it may
        carry a patient's name), ``"macro"``, ``"thumbnail"``. Each is read when
        called, as (row, column, 3) uint8.
    remarks : tuple of str
        Sentences for the user about what was not as it should be.
    """

    path: Path
    format: str
    fingerprint: str
    stated: PixelSize | None
    levels: tuple[Pixels, ...]
    associated: Mapping[str, Callable[[], RgbImage]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def refused(path: Path, what: str) -> SlideError:
    """Make the error for pixels that are not 8-bit RGB; ``what`` completes "the image is"."""
    return SlideError(f"{path}: the image is {what}; a slide must be 8-bit RGB. {_ADVICE}")


def damaged(path: Path, what: str) -> SlideError:
    """Make the error for a file that is not whole; ``what`` is a clause."""
    return SlideError(
        f"{path} is damaged or incomplete: {what}. Copy it again from where it came from."
    )


def check_dtype(path: Path, dtype: np.dtype[np.generic] | str) -> None:
    """Refuse everything but uint8.

    Raises
    ------
    SlideError
        Naming the bits per sample.
    """
    kind = np.dtype(dtype)
    if kind == np.uint8:
        return
    if kind.kind == "f":
        raise refused(path, f"floating point ({kind.name})")
    if kind.kind == "b":
        raise refused(path, "black and white (1 bit)")
    signed = "signed " if kind.kind == "i" else ""
    raise refused(path, f"{signed}{8 * kind.itemsize}-bit")


def check_samples(path: Path, samples: int) -> None:
    """Refuse everything but 3 or 4 samples a pixel.

    Raises
    ------
    SlideError
        Naming the number of channels.
    """
    if samples in (3, 4):
        return
    if samples == 1:
        raise refused(path, "greyscale (one channel)")
    if samples == 2:
        raise refused(path, "greyscale with opacity (two channels)")
    raise refused(path, f"of {samples} channels")
