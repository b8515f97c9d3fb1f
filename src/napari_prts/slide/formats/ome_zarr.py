"""OME-Zarr 0.4 (zarr 2) and 0.5 (zarr 3)."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.colours import Coding
from napari_prts.slide.formats.ome_zarr_channels import check_channels
from napari_prts.slide.formats.slide_file import SlideFile, check_dtype, damaged, refused
from napari_prts.slide.pixel_size import PixelSize, microns
from napari_prts.slide.pixels import ArrayPixels

_VERSIONS = ("0.4", "0.5")
# Blocks per level, along rows and along columns, that stand for the slide's pixels.
_SAMPLES = 3


def read_ome_zarr(path: Path) -> SlideFile:
    """Open the first image of an OME-Zarr folder.

    Raises
    ------
    SlideError
        If the folder is no OME-Zarr, of another version, damaged, or not
        8-bit RGB.
    """
    group = _open(path)
    ome = _metadata(group)
    others = 0
    if "multiscales" not in ome and "bioformats2raw.layout" in ome and "0" in group:
        others = sum(name.isdigit() for name in group.group_keys()) - 1
        group = group["0"]
        ome = _metadata(group)
    multiscale = _multiscale(path, ome)
    others += len(ome["multiscales"]) - 1
    axes = _axes(path, multiscale)
    arrays = _arrays(path, group, multiscale)
    for array in arrays:
        _check_form(path, array, axes, ome)
    # Most writers, not all, name the full resolution first.
    order = sorted(range(len(arrays)), key=lambda index: -math.prod(arrays[index].shape))
    levels = tuple(_level(path, arrays[index], axes) for index in order)
    print_of = fingerprint.of_parts(
        json.dumps(multiscale, sort_keys=True).encode(),
        *(piece for level in levels for piece in _pieces(level)),
    )
    size = _stated_size(path, multiscale, axes, order[0])
    remarks = (f"The OME-Zarr holds {others + 1} images; the first is opened.",) if others else ()
    return SlideFile(path, "ome-zarr", print_of, size, levels, remarks=remarks)


def _open(path: Path) -> Any:
    try:
        return zarr.open_group(path, mode="r")
    except Exception as error:  # zarr has many exceptions for a folder it cannot read.
        raise SlideError(
            f"{path} is a folder but no OME-Zarr image. Give a slide file, or the folder that "
            "holds .zattrs or zarr.json."
        ) from error


def _metadata(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return dict(attributes.get("ome", attributes))


def _multiscale(path: Path, ome: dict[str, Any]) -> dict[str, Any]:
    if "plate" in ome or "well" in ome:
        raise SlideError(
            f"{path} is an OME-Zarr plate, not an image. Give the folder of one of its images."
        )
    try:
        multiscale = dict(ome["multiscales"][0])
    except (KeyError, IndexError, TypeError):
        raise SlideError(
            f"{path} is a zarr folder without an OME image (no multiscales in its metadata). "
            "Give the folder of an OME-Zarr 0.4 or 0.5 image."
        ) from None
    if "image-label" in ome:
        raise SlideError(
            f"{path} holds labels of an OME-Zarr image, not the image. Give the folder of the "
            "image, which holds the labels folder."
        )
    version = str(ome.get("version", multiscale.get("version", "none")))
    if version == "none" and _looks_like_0_4(multiscale):
        version = "0.4"
    if version not in _VERSIONS:
        raise SlideError(
            f"{path} is OME-Zarr of version {version}; 0.4 and 0.5 can be opened. Convert it, "
            "for example with ome2024-ngff-challenge or bioformats2raw."
        )
    return multiscale


def _looks_like_0_4(multiscale: dict[str, Any]) -> bool:
    """Whether axes are described as from 0.4 on; 0.4 need not state its version."""
    axes = multiscale.get("axes")
    return isinstance(axes, list) and all(isinstance(axis, dict) for axis in axes)


def _axes(path: Path, multiscale: dict[str, Any]) -> str:
    """Return one letter an axis: Y, X, C, and others in capitals."""
    try:
        return "".join(str(axis["name"])[0].upper() for axis in multiscale["axes"])
    except (KeyError, IndexError, TypeError):
        raise damaged(path, "its metadata do not name the axes") from None


def _arrays(path: Path, group: Any, multiscale: dict[str, Any]) -> list[Any]:
    try:
        arrays = [group[entry["path"]] for entry in multiscale["datasets"]]
    except Exception as error:  # zarr has many exceptions for an array it cannot open.
        raise damaged(path, f"a level that its metadata name cannot be opened ({error})") from error
    if not arrays or any(not hasattr(array, "chunks") for array in arrays):
        raise damaged(path, "its metadata name no level that is an array")
    return arrays


def _check_form(path: Path, array: Any, axes: str, ome: dict[str, Any]) -> None:
    """Refuse what is not one 8-bit RGB picture."""
    check_dtype(path, array.dtype)
    if len(axes) != array.ndim or axes.count("Y") != 1 or axes.count("X") != 1:
        raise damaged(path, f"its axes, {axes}, do not fit an array of shape {array.shape}")
    lengths = dict(zip(axes, array.shape, strict=True))
    if "C" not in lengths:
        raise refused(path, "greyscale (it has no channel axis)")
    check_channels(path, lengths["C"], ome)
    for axis, length in lengths.items():
        if axis not in "YXC" and length > 1:
            raise SlideError(
                f"{path}: the image is a stack of {length} planes along {axis.lower()}; a slide "
                "has one. Save the plane in focus, or a projection, and open that."
            )


def _level(path: Path, array: Any, axes: str) -> ArrayPixels:
    # In a sharded array these are the chunks within a shard: what is decoded together.
    chunks = dict(zip(axes, array.chunks, strict=True))
    coding = Coding.RGBA if array.shape[axes.index("C")] == 4 else Coding.RGB
    return ArrayPixels(array, str(path), axes, coding, (chunks["Y"], chunks["X"]))


def _pieces(level: ArrayPixels) -> list[bytes]:
    """Read blocks spread over a level."""
    assert level.chunk is not None
    grid = [
        sorted({int(start) // chunk * chunk for start in np.linspace(0, length - 1, _SAMPLES)})
        for length, chunk in zip(level.shape, level.chunk, strict=True)
    ]
    height, width = (min(chunk, 256) for chunk in level.chunk)
    rows, columns = level.shape
    return [
        level.read(top, left, min(top + height, rows), min(left + width, columns)).tobytes()
        for top, left in itertools.product(*grid)
    ]


def _stated_size(path: Path, multiscale: dict[str, Any], axes: str, full: int) -> PixelSize | None:
    """Return the scale of the full resolution, the dataset ``full``, if it is in a unit of length.

    A translation, which moves lower levels by half a pixel, has no part in it.
    """
    scale = np.ones(len(axes))
    try:
        for holder in (multiscale["datasets"][full], multiscale):
            for transform in holder.get("coordinateTransformations") or ():
                if transform.get("type") == "scale" and len(transform["scale"]) == len(axes):
                    scale = scale * np.asarray(transform["scale"], float)
        units = [str(axis.get("unit", "")) for axis in multiscale["axes"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"its metadata do not state its scale properly ({error})") from error
    row, column = axes.index("Y"), axes.index("X")
    height = microns(float(scale[row]), units[row])
    width = microns(float(scale[column]), units[column])
    if height is None or width is None:
        return None
    return PixelSize(height, width, "file (OME)")
