"""Slides that OpenSlide reads: Ventana BIF, MIRAX, Leica SCN, Sakura, Zeiss CZI and others.

TIFF family files go through tifffile where it reads them rightly; OpenSlide is
for formats whose tiles overlap or lie in several files. It is an optional
extra, so nothing here may be needed to open any other slide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.formats.openslide_pixels import WHITE, OpenSlidePixels, lay_on
from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.pixel_size import LARGEST_MPP, LARGEST_TAGGED_MPP, SMALLEST_MPP, PixelSize
from napari_prts.slide.pixels import Pixels, RgbImage

_FORMATS = {
    "aperio": "aperio-svs",
    "dicom": "dicom",
    "generic-tiff": "tiff",
    "hamamatsu": "hamamatsu-ndpi",
    "leica": "leica-scn",
    "mirax": "mirax",
    "philips": "philips-tiff",
    "sakura": "sakura-svslide",
    "trestle": "trestle-tiff",
    "ventana": "ventana-bif",
    "zeiss": "zeiss-czi",
}
# What a file is by its name, where OpenSlide is not there to look into it.
_NAMES = {
    ".bif": "Ventana BIF",
    ".czi": "Zeiss CZI",
    ".mrxs": "MIRAX",
    ".scn": "Leica SCN",
    ".svslide": "Sakura",
    ".vms": "Hamamatsu VMS",
    ".vmu": "Hamamatsu VMU",
}
_SEVERAL_FILES = (".mrxs", ".vms", ".vmu")
_ASSOCIATED = ("label", "macro", "thumbnail")
# Rows and columns where the file has no tiles of its own.
_CHUNK = 512
_LARGEST_CHUNK = 1024
_HEX = re.compile(r"#?[0-9a-fA-F]{6}")


def openslide_vendor(path: Path) -> str | None:
    """Return OpenSlide's name for the maker of a slide file.

    Parameters
    ----------
    path : Path
        A file that exists.

    Returns
    -------
    str or None
        For example ``"mirax"``; None if OpenSlide does not know the file or
        is not installed.
    """
    try:
        import openslide
    except (ImportError, OSError):
        return None
    try:
        vendor = openslide.OpenSlide.detect_format(path)
    except openslide.OpenSlideError:
        return None
    return None if vendor is None else str(vendor)


def missing_reader(path: Path, kind: str | None = None) -> SlideError:
    """Make the error for a slide that needs OpenSlide where it is not installed.

    Parameters
    ----------
    path : Path
        The slide.
    kind : str, optional
        What it is, for example ``"Ventana BIF"``; by its name if left out.
    """
    kind = kind or _NAMES.get(path.suffix.lower(), "OpenSlide")
    article = "an" if kind[0] in "AEIO" else "a"
    return SlideError(
        f"{path}: this is {article} {kind} file: install the reader with  "
        'pip install "napari-prts[openslide]"'
    )


def needs_openslide(path: Path) -> bool:
    """Whether a file is of a kind that only OpenSlide reads, whether it is installed or not.

    A MIRAX slide is a JPEG with a folder of the same name beside it: the
    beginning of the file does not tell. Leica SCN and Ventana BIF are TIFF and
    are told by what is in them.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return path.with_suffix("").is_dir()
    return suffix in _NAMES and suffix not in (".bif", ".scn")


def read_openslide(path: Path, kind: str | None = None) -> SlideFile:
    """Open a slide through OpenSlide.

    Parameters
    ----------
    path : Path
        The slide; of a MIRAX slide the ``.mrxs`` file, its folder beside it.
    kind : str, optional
        What it is, for the message if OpenSlide is not installed.

    Raises
    ------
    SlideError
        If OpenSlide is not installed, does not know the file, or finds it damaged.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:
        raise missing_reader(path, kind) from error
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideError(
            f"{path} is no slide that OpenSlide knows. Convert it to OME-TIFF in QuPath, or to "
            "another format that can be opened here."
        ) from error
    except openslide.OpenSlideError as error:
        raise SlideError(
            f"{path} cannot be opened, OpenSlide says: {error}. If the file is whole (otherwise "
            "copy it again), export the slide as OME-TIFF or DICOM from the scanner's own program."
        ) from error
    properties = dict(slide.properties)
    levels = _levels(slide, path, properties)
    vendor = properties.get("openslide.vendor", "openslide")
    return SlideFile(
        path,
        _FORMATS.get(vendor, vendor),
        _fingerprint(path, properties),
        _stated(properties),
        levels,
        {
            name: _picture_reader(path, name)
            for name in _ASSOCIATED
            if f"openslide.associated.{name}.width" in properties
        },
    )


def _fingerprint(path: Path, properties: dict[str, str]) -> str:
    """Fingerprint a slide; of one in several files the named one may say next to nothing."""
    found = fingerprint.of_file(path)
    if path.suffix.lower() not in _SEVERAL_FILES:
        return found
    return fingerprint.of_parts(
        found.encode(), properties.get("openslide.quickhash-1", "").encode()
    )


def _levels(slide: Any, path: Path, properties: dict[str, str]) -> tuple[Pixels, ...]:
    background = _background(properties)
    return tuple(
        OpenSlidePixels(slide, level, path, _chunk(properties, level), background)
        for level in range(slide.level_count)
    )


def _chunk(properties: dict[str, str], level: int) -> tuple[int, int]:
    lengths = []
    for side in ("height", "width"):
        stated = properties.get(f"openslide.level[{level}].tile-{side}", "")
        length = int(stated) if stated.isdecimal() else 0
        lengths.append(length if 0 < length <= _LARGEST_CHUNK else _CHUNK)
    return lengths[0], lengths[1]


def _background(properties: dict[str, str]) -> tuple[int, int, int]:
    colour = properties.get("openslide.background-color", "")
    if not _HEX.fullmatch(colour):
        return WHITE
    red, green, blue = bytes.fromhex(colour.lstrip("#"))
    return red, green, blue


def _stated(properties: dict[str, str]) -> PixelSize | None:
    try:
        width = float(properties["openslide.mpp-x"])
        height = float(properties["openslide.mpp-y"])
    except (KeyError, ValueError):
        return None
    # Of a plain TIFF OpenSlide returns what the resolution tags say, which may be a print size.
    plain = properties.get("openslide.vendor") == "generic-tiff"
    limit = LARGEST_TAGGED_MPP if plain else LARGEST_MPP
    if not (SMALLEST_MPP <= height < limit and SMALLEST_MPP <= width < limit):
        return None
    return PixelSize(height, width, "file (OpenSlide)")


def _picture_reader(path: Path, name: str) -> Callable[[], RgbImage]:
    def read() -> RgbImage:
        import openslide

        try:
            with openslide.OpenSlide(path) as slide:
                rgba = np.asarray(slide.associated_images[name].convert("RGBA"))
        except (openslide.OpenSlideError, OSError, KeyError, MemoryError) as error:
            raise SlideError(
                f"{path}: its {name} picture cannot be read ({error}). The slide itself may be "
                "whole; copy the file again if the picture matters."
            ) from error
        return lay_on(rgba, np.array(WHITE, np.uint8))

    return read
