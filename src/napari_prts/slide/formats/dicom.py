"""DICOM whole-slide images, through wsidicom."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.slide import fingerprint
from napari_prts.slide.formats.dicom_headers import (
    SlideFiles,
    find_slide,
    is_dicom_folder,
    is_dicom_head,
)
from napari_prts.slide.formats.slide_file import SlideFile, damaged
from napari_prts.slide.pixel_size import PixelSize
from napari_prts.slide.pixels import RgbImage, unreadable

__all__ = ["is_dicom_folder", "is_dicom_head", "read_dicom"]

_SOURCE = "file (DICOM)"
_SAME_DEPTH = 0.01  # um
# Decoded blocks are remembered by the slide; wsidicom's own two caches need to hold little.
_CACHE_BYTES = 8 * 1024 * 1024


def read_dicom(path: Path) -> SlideFile:
    """Open a DICOM whole-slide image.

    Parameters
    ----------
    path : Path
        Folder that holds its files, or one of the files; the others of the
        same series are then taken from the same folder.

    Returns
    -------
    SlideFile
        Of format ``"dicom"``. Of several optical paths or focal planes the
        first and the middle one; a remark says so.

    Raises
    ------
    SlideError
        If wsidicom is not installed, there is no slide, or more than one in
        the folder, it is damaged, or it is not 8-bit RGB.
    """
    _need_wsidicom(path)
    files = find_slide(path)
    slide, remarks = _open(path, files)
    try:
        return _slide_file(path, files, slide, remarks)
    except BaseException:
        slide.close()
        raise


def _need_wsidicom(path: Path) -> None:
    try:
        import wsidicom  # noqa: F401
    except ImportError as error:
        raise SlideError(
            f"{path} is DICOM, which needs a library that is not here ({error}): install it with "
            'pip install "napari-prts[dicom]" and open the slide again.'
        ) from error


def _slide_file(path: Path, files: SlideFiles, slide: Any, remarks: list[str]) -> SlideFile:
    pyramid, other_areas = _largest_pyramid(slide)
    if other_areas:
        remarks.append(
            f"The DICOM slide has {other_areas + 1} scanned areas; the largest is opened."
        )
    # wsidicom leaves out a file that it cannot read; the level below must not take its place.
    if (pyramid.size.height, pyramid.size.width) != files.full[0].shape:
        raise damaged(path, f"{files.full[0].path.name}, its full resolution, cannot be read")
    plane, said = _choose_plane(pyramid)
    remarks.extend(said)
    owner = _Owner(slide)
    levels = tuple(
        DicomPixels(slide, level, there, str(path), owner)
        for level in pyramid.levels
        if (there := plane.within(level)) is not None
    )
    _check_whole(path, levels)
    return SlideFile(
        path,
        "dicom",
        fingerprint.of_parts(*sorted(fingerprint.of_file(it.path).encode() for it in files.full)),
        _stated_size(pyramid),
        levels,
        _associated(slide, pyramid, str(path), owner),
        tuple(remarks),
    )


def _open(path: Path, files: SlideFiles) -> tuple[Any, list[str]]:
    try:
        try:
            return _wsidicom([*files.levels, *files.others]), []
        except NotImplementedError:
            # wsidicom knows only levels that are smaller by powers of two.
            slide = _wsidicom([*files.full, *files.others])
            return slide, ["The DICOM slide's lower levels are irregular; they are made anew."]
    except OSError:
        raise
    except Exception as error:  # wsidicom and pydicom have exceptions of many kinds.
        name = type(error).__name__
        if name == "WsiDicomNoResolutionError":
            raise damaged(path, "it lacks the pixel spacing that DICOM slides must state") from (
                error
            )
        raise damaged(path, f"wsidicom cannot open it ({name}: {error})") from error


def _wsidicom(headers: list[Any]) -> Any:
    from wsidicom import Settings, WsiDicom

    settings = Settings(
        strict_tile_size_check=False,
        decoded_frame_cache_size=_CACHE_BYTES,
        encoded_frame_cache_size=_CACHE_BYTES,
    )
    return WsiDicom.open([header.path for header in headers], settings=settings)


def _largest_pyramid(slide: Any) -> tuple[Any, int]:
    """Return the largest scanned area, and how many others there are."""
    pyramids = list(slide.pyramids)
    best = max(range(len(pyramids)), key=lambda index: pyramids[index].size.area)
    slide.set_selected_pyramid(best)
    return pyramids[best], len(pyramids) - 1


@dataclass(frozen=True)
class _Plane:
    """Optical path and focal plane (um) that are opened."""

    path: str
    z: float

    def within(self, level: Any) -> _Plane | None:
        """Return the same plane of a level, whose depth may be rounded otherwise, if it is there.

        A scanner may keep only one focal plane in the lower levels.
        """
        for z in level.focal_planes_by_optical_path.get(self.path, ()):
            if abs(z - self.z) < _SAME_DEPTH:
                return _Plane(self.path, z)
        return None


def _choose_plane(pyramid: Any) -> tuple[_Plane, list[str]]:
    """Choose the first optical path and its middle focal plane; say so if there are others."""
    level = pyramid.base_level
    planes_of = level.focal_planes_by_optical_path
    path = level.default_instance.default_path
    planes = planes_of[path]
    chosen = _Plane(path, planes[len(planes) // 2])
    remarks = []
    if len(planes_of) > 1:
        remarks.append(
            f"The DICOM slide has {len(planes_of)} optical paths; the first, {path}, is opened."
        )
    if len(planes) > 1:
        remarks.append(
            f"The DICOM slide has {len(planes)} focal planes; the middle one, at {chosen.z:g} um, "
            "is opened."
        )
    return chosen, remarks


def _stated_size(pyramid: Any) -> PixelSize:
    return PixelSize(float(pyramid.mpp.height), float(pyramid.mpp.width), _SOURCE)


def _check_whole(path: Path, levels: tuple[DicomPixels, ...]) -> None:
    """Read the last tile of each level: it is the one that a broken-off copy lacks."""
    for level in levels:
        rows, columns = level.shape
        try:
            level.read(rows - 1, columns - 1, rows, columns)
        except SlideError as error:
            raise damaged(path, f"the last tile of a level cannot be read ({error})") from error


def _associated(
    slide: Any, pyramid: Any, name: str, owner: _Owner
) -> dict[str, Callable[[], RgbImage]]:
    """Name the pictures that come with the slide; each is read when it is called for."""
    found: dict[str, Callable[[], Any]] = {}
    if slide.labels is not None and len(slide.labels) > 0:
        found["label"] = slide.read_label
    if slide.overviews is not None and len(slide.overviews) > 0:
        found["macro"] = slide.read_overview
    if pyramid.thumbnails is not None and len(pyramid.thumbnails) > 0:
        size = max((thumbnail.size for thumbnail in pyramid.thumbnails), key=lambda it: it.area)
        found["thumbnail"] = lambda: slide.read_thumbnail((size.width, size.height))
    return {kind: _Picture(f"{name} ({kind})", read, owner) for kind, read in found.items()}


class _Owner:
    """Closes the files when the last level and picture of the slide is gone."""

    def __init__(self, slide: Any) -> None:
        weakref.finalize(self, slide.close)


class _Picture:
    """Reads a label, macro or thumbnail as (row, column, 3) uint8."""

    def __init__(self, name: str, read: Callable[[], Any], owner: _Owner) -> None:
        self._name = name
        self._read = read
        self._owner = owner

    def __call__(self) -> RgbImage:
        try:
            # A label may be greyscale.
            return np.asarray(self._read().convert("RGB"), np.uint8)
        except MemoryError:
            raise
        except Exception as error:  # Each codec has exceptions of its own.
            raise SlideError(
                f"{self._name} cannot be read ({type(error).__name__}: {error}). "
                "Copy the slide again from where it came from."
            ) from error


class DicomPixels:
    """One level of a DICOM slide; see :class:`~napari_prts.slide.pixels.Pixels`.

    Parameters
    ----------
    slide : wsidicom.WsiDicom
        Where the tiles are decoded. It locks its files, so several threads may read.
    level : wsidicom level
        Of the selected pyramid.
    plane : _Plane
        Optical path and focal plane, as the level has them.
    name : str
        The slide, for messages.
    owner : object
        Kept alive as long as the pixels.
    """

    def __init__(self, slide: Any, level: Any, plane: _Plane, name: str, owner: object) -> None:
        self._slide = slide
        # Counted by wsidicom in powers of two, so that a pyramid may have gaps.
        self._index = int(level.level)
        self._plane = plane
        self._name = name
        self._owner = owner
        self.shape: tuple[int, int] = (int(level.size.height), int(level.size.width))
        tile = level.tile_size
        self.chunk: tuple[int, int] | None = (int(tile.height), int(tile.width))

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`~napari_prts.slide.pixels.Pixels`.

        Raises
        ------
        SlideError
            If the pixels cannot be decoded.
        """
        try:
            # The place is in pixels of the level itself, not of level 0 as in OpenSlide.
            found = self._slide.read_region(
                (left, top),
                self._index,
                (right - left, bottom - top),
                z=self._plane.z,
                path=self._plane.path,
                as_array=True,
            )
        except MemoryError:
            raise
        except Exception as error:  # Each codec has exceptions of its own.
            raise unreadable(self._name, (top, left, bottom, right), error) from error
        return np.asarray(found, np.uint8)
