"""Where a TIFF states the size of its pixels: Aperio's line, OME's XML, resolution tags."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from napari_prts.slide.pixel_size import LARGEST_TAGGED_MPP, SMALLEST_MPP, PixelSize, microns

_APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)")
# TIFF 6.0, tag ResolutionUnit: 2 inch, 3 centimetre; 1 means none.
_TAG_UNITS = {2: "inch", 3: "cm"}


def stated_size(file: Any, series: Any) -> PixelSize | None:
    """Return the pixel size that a TIFF states, None if it states none to be believed.

    Parameters
    ----------
    file : tifffile.TiffFile
        The file.
    series : tifffile.TiffPageSeries
        The picture whose full resolution counts.
    """
    found = None
    if file.is_svs:
        found = _from_aperio(file.pages.first.description)
    elif file.is_ome:
        found = _from_ome(file.ome_metadata, series)
    if found is not None and found.believable:
        return found
    return _from_tags(series.keyframe)


def _from_aperio(description: str) -> PixelSize | None:
    match = _APERIO_MPP.search(description)
    if match is None:
        return None
    try:
        mpp = float(match[1])
    except ValueError:
        return None
    return PixelSize(mpp, mpp, "file (Aperio MPP)")


def _from_ome(xml: str, series: Any) -> PixelSize | None:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    lengths = dict(zip(series.axes, series.shape, strict=True))
    for pixels in root.iterfind(".//{*}Image/{*}Pixels"):
        if pixels.get("SizeX") == str(lengths["X"]) and pixels.get("SizeY") == str(lengths["Y"]):
            width = _ome_length(pixels, "X")
            height = _ome_length(pixels, "Y")
            if width is None and height is None:
                return None
            return PixelSize(height or width or 0.0, width or height or 0.0, "file (OME)")
    return None


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    try:
        value = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return microns(value, pixels.get(f"PhysicalSize{axis}Unit", "µm"))


def _from_tags(page: Any) -> PixelSize | None:
    unit = _TAG_UNITS.get(int(page.tags.valueof("ResolutionUnit", 2)))
    height = _tag_length(page.tags.valueof("YResolution"), unit)
    width = _tag_length(page.tags.valueof("XResolution"), unit)
    if height is None or width is None:
        return None
    return PixelSize(height, width, "file (TIFF resolution)")


def _tag_length(resolution: Any, unit: str | None) -> float | None:
    """Turn pixels per unit, as a fraction, into um per pixel a microscope could have."""
    if unit is None or not isinstance(resolution, tuple) or 0 in resolution:
        return None
    size = microns(resolution[1] / resolution[0], unit)
    if size is None or not SMALLEST_MPP <= size < LARGEST_TAGGED_MPP:
        return None
    return size
