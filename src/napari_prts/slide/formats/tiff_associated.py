"""Pictures that come with a slide in a TIFF: its label, the whole glass, a small overview."""

from __future__ import annotations

import base64
import binascii
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide.formats.tiff_series import is_level_of_aperio, ndpi_magnification
from napari_prts.slide.pixels import RgbImage

NAMES = ("label", "macro", "thumbnail")
# Aperio, tag NewSubfileType: 1 the label, 9 the macro picture.
_APERIO_KINDS = {1: "label", 9: "macro"}
_PHILIPS_KINDS = {"LABELIMAGE": "label", "MACROIMAGE": "macro"}

Reader = Callable[[], RgbImage]


def associated_pictures(path: Path, file: Any, main: Any) -> dict[str, Reader]:
    """Find the pictures that come with a slide.

    Parameters
    ----------
    path : Path
        The slide.
    file : tifffile.TiffFile
        The open file; it may be closed before a picture is read.
    main : tifffile.TiffPageSeries
        The slide itself.

    Returns
    -------
    dict of str to callable
        By ``"label"``, ``"macro"`` or ``"thumbnail"``; a call opens the file and
        returns (row, column, 3) uint8, or raises SlideError.
    """
    try:
        pages = list(_named_pages(file, main))
        inside = _philips_pictures(file) if file.is_philips else []
    except Exception:  # The slide is whole without them, whatever is wrong with them.
        return {}
    found: dict[str, Reader] = {}
    ndpi = bool(file.is_ndpi)
    for name, place in pages:
        found.setdefault(name, _page_reader(path, name, place, ndpi))
    for name in inside:
        found.setdefault(name, _philips_reader(path, name))
    return {name: found[name] for name in NAMES if name in found}


def _named_pages(file: Any, main: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and place of each page that is such a picture."""
    if file.is_ome:
        yield from _ome_pages(file, main)
        return
    levels = {page.offset for level in main.levels for page in level.pages if page is not None}
    for number, page in enumerate(file.pages):
        if page.offset in levels:
            continue
        if file.is_svs:
            name = _aperio_name(number, page)
        elif file.is_ndpi:
            name = "macro" if ndpi_magnification(page) == -1 else None
        else:
            name = _name_in(page.description.partition(" ")[0])
        if name is not None:
            yield name, (number,)


def _aperio_name(number: int, page: Any) -> str | None:
    """Name an SVS page: the second is the thumbnail, the second line of the others tells."""
    if is_level_of_aperio(page):
        return None
    lines = page.description.splitlines()
    told = _name_in(lines[1].partition(" ")[0]) if len(lines) > 1 else None
    if told is not None:
        return told
    if number == 1 and not page.is_reduced:
        return "thumbnail"
    return _APERIO_KINDS.get(int(page.subfiletype))


def _ome_pages(file: Any, main: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    for series in file.series:
        name = _name_in(series.name)
        page = series.keyframe
        # Only pages of this file: OME-TIFF may spread over several.
        if name is not None and series is not main and page.parent is file:
            yield name, tuple(page.treeindex)


def _name_in(text: str) -> str | None:
    words = text.lower()
    if "overview" in words:
        return "macro"
    return next((name for name in NAMES if name in words), None)


def _page_reader(path: Path, name: str, place: tuple[int, ...], ndpi: bool) -> Reader:
    def read() -> RgbImage:
        import tifffile

        try:
            with tifffile.TiffFile(path, is_ndpi=ndpi) as file:
                page: Any = file.pages[place[0]]
                for number in place[1:]:
                    page = page.pages[number]
                samples = page.asarray()
                return _as_rgb(samples, page.axes, int(page.photometric))
        except Exception as error:  # Each codec has exceptions of its own.
            raise _unreadable(path, name, error) from error

    return read


def _as_rgb(samples: Any, axes: str, photometric: int) -> RgbImage:
    if samples.dtype != np.uint8 or photometric not in (0, 1, 2, 6):
        raise ValueError(f"it is {samples.dtype}, photometric kind {photometric}")
    if axes.startswith("S"):
        samples = np.moveaxis(samples, 0, -1)
    if photometric == 0:
        samples = 255 - samples
    if samples.ndim == 2:
        samples = samples[..., np.newaxis]
    if samples.shape[2] < 3:
        samples = samples[..., :1].repeat(3, axis=2)
    return np.ascontiguousarray(samples[..., :3])


def _philips_objects(xml: str | None) -> Iterator[tuple[str, ElementTree.Element]]:
    """Yield name and JPEG, as base64, of the pictures in a Philips header."""
    for scanned in ElementTree.fromstring(xml or "").iterfind(
        ".//DataObject[@ObjectType='DPScannedImage']"
    ):
        kind = scanned.find("Attribute[@Name='PIM_DP_IMAGE_TYPE']")
        data = scanned.find("Attribute[@Name='PIM_DP_IMAGE_DATA']")
        name = _PHILIPS_KINDS.get((kind.text or "").strip()) if kind is not None else None
        if name is not None and data is not None and data.text:
            yield name, data


def _philips_pictures(file: Any) -> list[str]:
    return [name for name, _ in _philips_objects(file.philips_metadata)]


def _philips_reader(path: Path, name: str) -> Reader:
    def read() -> RgbImage:
        import PIL.Image
        import tifffile

        try:
            with tifffile.TiffFile(path) as file:
                data = dict(_philips_objects(file.philips_metadata))[name].text or ""
            with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, KeyError, ValueError, binascii.Error, ElementTree.ParseError) as error:
            raise _unreadable(path, name, error) from error

    return read


def _unreadable(path: Path, name: str, error: Exception) -> SlideError:
    return SlideError(
        f"{path}: its {name} picture cannot be read ({error}). The slide itself may be whole; "
        "copy the file again if the picture matters."
    )
