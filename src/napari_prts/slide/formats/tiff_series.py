"""Which pages of a TIFF are the slide, by the maker's own order of pages.

A slide file holds the slide, its smaller levels, focal planes, and pictures of
label and glass, all as pages of one list. Only what is the slide at one focal
plane becomes levels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tifffile

from napari_prts.slide.formats.slide_file import damaged

# Hamamatsu's tags: magnification (negative for pictures of the glass) and height in nm.
_NDPI_MAGNIFICATION, _NDPI_HEIGHT = 65421, 65424
_APERIO_HEIGHT = re.compile(r"\|\s*OffsetZ\s*=\s*([-0-9.eE+]+)")


@dataclass(frozen=True)
class Picture:
    """The slide in a TIFF file.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        Its ``levels`` are the levels, full resolution first.
    remarks : tuple of str
        Sentences for the user about what was left out.
    """

    series: Any
    remarks: tuple[str, ...] = ()


def main_picture(path: Path, file: tifffile.TiffFile) -> Picture:
    """Find the slide among the pictures of a file.

    Raises
    ------
    SlideError
        If there is no picture in it.
    """
    picture = _by_maker(path, file)
    if picture is not None:
        return picture
    series = list(file.series)
    if not series:
        raise damaged(path, "there is no image in it")
    return Picture(max(series, key=_area))


def is_level_of_aperio(page: Any) -> bool:
    """Whether a page of an SVS is the slide: only that is in tiles."""
    return bool(page.is_tiled)


def ndpi_magnification(page: Any) -> float:
    """Return the magnification of an NDPI page: -1 the macro picture, -2 a map, 0 if not given."""
    value = page.tags.valueof(_NDPI_MAGNIFICATION)
    return float(value) if isinstance(value, int | float) else 0.0


def _by_maker(path: Path, file: tifffile.TiffFile) -> Picture | None:
    if file.is_svs:
        return _one_plane("svs", filter(is_level_of_aperio, file.pages), _aperio_height)
    if file.is_ndpi:
        return _one_plane("ndpi", _ndpi_levels(path, file), _ndpi_height)
    if file.is_philips:
        return _philips(file)
    return None


def _ndpi_levels(path: Path, file: Any) -> Iterator[Any]:
    for page in file.pages:
        if ndpi_magnification(page) <= 0:
            continue
        # tifffile takes restart intervals for tiles, which they are only if they divide each row.
        if page.is_tiled and page.imagewidth % page.tilewidth:
            raise damaged(path, "the restart intervals of its JPEG do not fit its rows")
        yield page


def _one_plane(kind: str, pages: Any, height: Callable[[Any], float]) -> Picture | None:
    """Make a series of the pages at the focal plane nearest to 0, one for each size."""
    sizes: dict[tuple[int, int], list[Any]] = {}
    for page in pages:
        sizes.setdefault((int(page.imagelength), int(page.imagewidth)), []).append(page)
    if not sizes:
        return None
    planes = max(len({height(page) for page in group}) for group in sizes.values())
    # Of pages of the same size and height the first is the right one; min keeps it.
    chosen = [min(group, key=lambda page: abs(height(page))) for group in sizes.values()]
    chosen.sort(key=lambda page: -page.imagelength * page.imagewidth)
    if planes == 1:
        return Picture(_series(chosen, kind))
    remark = (
        f"The slide was scanned at {planes} focal planes; the one nearest to height 0 is shown, "
        "the others are left out."
    )
    return Picture(_series(chosen, kind), (remark,))


def _series(pages: list[Any], kind: str) -> Any:
    first, *others = (tifffile.TiffPageSeries([page], kind=kind) for page in pages)
    # A series is its own first level.
    first.levels.extend(others)
    return first


def _aperio_height(page: Any) -> float:
    match = _APERIO_HEIGHT.search(page.description)
    return _number(match[1]) if match else 0.0


def _ndpi_height(page: Any) -> float:
    value = page.tags.valueof(_NDPI_HEIGHT)
    return float(value) if isinstance(value, int | float) else 0.0


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _philips(file: Any) -> Picture:
    """Take tifffile's series, which cuts off the padding of the levels below the first.

    A Philips scanner fills every level up to whole tiles; the true size of a
    lower level is that of level 0 divided by the ratio of their pixel sizes,
    which tifffile finds in the XML. Where XML and pages do not agree, the levels
    cannot be told apart from their padding, and only level 0 is used.
    """
    try:
        series = file.series[0]
    except (ArithmeticError, ValueError):  # Pixel sizes of 0 or none.
        series = None
    if series is not None and series.kind == "philips":
        return Picture(series)
    tiled = [page for page in file.pages if page.is_tiled] or [file.pages[0]]
    full = max(tiled, key=lambda page: page.imagelength * page.imagewidth)
    remark = (
        "The sizes of the slide's lower levels do not agree with what its Philips header says; "
        "they are made again from the full image."
    )
    return Picture(_series([full], "tiff"), (remark,))


def _area(series: Any) -> int:
    lengths = dict(zip(series.axes, series.shape, strict=True))
    return int(lengths.get("Y", 0) * lengths.get("X", 0))
