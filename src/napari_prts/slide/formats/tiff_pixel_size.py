"""Where a TIFF states the size of its pixels: the maker's header, OME's XML, resolution tags."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from napari_prts.slide.pixel_size import LARGEST_TAGGED_MPP, SMALLEST_MPP, PixelSize, microns

_APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.,eE+-]+)")
_IMAGEJ_UNIT = re.compile(r"^unit=(.*)$", re.MULTILINE)
# TIFF 6.0, tag ResolutionUnit: 2 inch, 3 centimetre; 1 means none.
_TAG_UNITS = {2: "inch", 3: "cm"}
_PHILIPS_SPACING = (
    ".//DataObject[@ObjectType='PixelDataRepresentation']/Attribute[@Name='DICOM_PIXEL_SPACING']",
    ".//Attribute[@Name='DICOM_PIXEL_SPACING']",
)


def stated_size(file: Any, series: Any) -> PixelSize | None:
    """Return the pixel size that a TIFF states, None if it states none to be believed.

    Parameters
    ----------
    file : tifffile.TiffFile
        The file.
    series : tifffile.TiffPageSeries
        The picture whose full resolution counts.
    """
    found = _from_maker(file, series)
    if found is not None and found.believable:
        return found
    return _from_tags(series.keyframe)


def _from_maker(file: Any, series: Any) -> PixelSize | None:
    description = str(file.pages.first.description)
    if file.is_svs:
        return _from_aperio(description)
    if file.is_ndpi:
        return _from_hamamatsu(series.keyframe)
    if file.is_philips:
        return _from_philips(description)
    if file.is_ome:
        return _from_ome(file.ome_metadata, series)
    if file.is_imagej:
        return _from_imagej(description, series.keyframe)
    return None


def _from_aperio(description: str) -> PixelSize | None:
    match = _APERIO_MPP.search(description)
    if match is None:
        return None
    try:
        # Some exports are written where the decimal point is a comma.
        mpp = float(match[1].replace(",", "."))
    except ValueError:
        return None
    return PixelSize(mpp, mpp, "file (Aperio MPP)")


def _from_hamamatsu(page: Any) -> PixelSize | None:
    """Believe the tags of an NDPI: the scanner writes them, not a printing program."""
    unit = _tag_unit(page)
    height, width = (
        _per_pixel(page.tags.valueof(f"{axis}Resolution"), unit) for axis in ("Y", "X")
    )
    if height is None or width is None:
        return None
    return PixelSize(height, width, "file (Hamamatsu)")


def _from_philips(xml: str) -> PixelSize | None:
    """Read DICOM's pixel spacing: mm between rows, then between columns, of level 0 first."""
    try:
        root = ElementTree.fromstring(xml)
        for place in _PHILIPS_SPACING:
            element = root.find(place)
            if element is not None and element.text:
                height, width = (float(v) for v in element.text.replace('"', " ").split())
                return PixelSize(1000 * height, 1000 * width, "file (Philips)")
    except (ElementTree.ParseError, ValueError):
        return None
    return None


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


def _from_imagej(description: str, page: Any) -> PixelSize | None:
    """Read ImageJ's way: the unit in the description, pixels per unit in the tags."""
    match = _IMAGEJ_UNIT.search(description)
    if match is None:
        return None
    # ImageJ writes letters beyond ASCII as Java does.
    unit = match[1].strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    height, width = (
        _per_pixel(page.tags.valueof(f"{axis}Resolution"), unit) for axis in ("Y", "X")
    )
    if height is None or width is None:
        return None
    return PixelSize(height, width, "file (ImageJ)")


def _from_tags(page: Any) -> PixelSize | None:
    unit = _tag_unit(page)
    height = _tag_length(page.tags.valueof("YResolution"), unit)
    width = _tag_length(page.tags.valueof("XResolution"), unit)
    if height is None or width is None:
        return None
    return PixelSize(height, width, "file (TIFF resolution)")


def _tag_unit(page: Any) -> str | None:
    value = page.tags.valueof("ResolutionUnit", 2)
    return _TAG_UNITS.get(int(value)) if isinstance(value, int) else None


def _tag_length(resolution: Any, unit: str | None) -> float | None:
    """Turn pixels per unit, as a fraction, into um per pixel a microscope could have."""
    size = _per_pixel(resolution, unit)
    if size is None or not SMALLEST_MPP <= size < LARGEST_TAGGED_MPP:
        return None
    return size


def _per_pixel(resolution: Any, unit: str | None) -> float | None:
    """Turn pixels per unit, as a fraction, into um per pixel."""
    if unit is None or not isinstance(resolution, tuple) or len(resolution) != 2:
        return None
    if 0 in resolution:
        return None
    size = microns(resolution[1] / resolution[0], unit)
    return size if size is not None and math.isfinite(size) and size > 0 else None
