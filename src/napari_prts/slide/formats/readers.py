"""Which reader opens a file: what it begins with decides, not its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_prts.errors import SlideError
from napari_prts.slide.formats.slide_file import SlideFile, damaged

Reader = Callable[[Path], SlideFile]

KINDS = (
    "Aperio SVS, Hamamatsu NDPI, Philips, Ventana and other TIFF, OME-TIFF, OME-Zarr, DICOM, "
    "JPEG and PNG, and with OpenSlide also MIRAX, Leica SCN, Sakura and Zeiss"
)

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# DICOM has its mark at byte 128.
_HEAD = 132


def reader_of(path: Path) -> Reader:
    """Choose the reader of a file or folder.

    Raises
    ------
    SlideError
        If there is nothing at the path, or nothing that is known here.
    OSError
        If it cannot be read.
    """
    if not path.exists():
        raise SlideError(f"{path} does not exist. Check the path and the spelling.")
    if path.is_dir():
        return _reader_of_folder(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise damaged(path, "it is empty (0 bytes)")
    read = _of_openslide(path) or _by_head(head) or _known_to_openslide(path)
    return lambda path: _with_scale_factors(read(path))


def _reader_of_folder(path: Path) -> Reader:
    from napari_prts.slide.formats.dicom import is_dicom_folder, read_dicom

    if is_dicom_folder(path):
        return read_dicom
    from napari_prts.slide.formats.ome_zarr import read_ome_zarr

    return read_ome_zarr


def _by_head(head: bytes) -> Reader | None:
    from napari_prts.slide.formats.dicom import is_dicom_head, read_dicom

    if head[:4] in _TIFF:
        from napari_prts.slide.formats.tiff import read_tiff

        return read_tiff
    if head.startswith((_JPEG, _PNG)):
        return _read_raster
    return read_dicom if is_dicom_head(head) else None


def _of_openslide(path: Path) -> Reader | None:
    """Return OpenSlide's reader for kinds whose first bytes are those of another."""
    from napari_prts.slide.formats.openslide_reader import needs_openslide, read_openslide

    return read_openslide if needs_openslide(path) else None


def _known_to_openslide(path: Path) -> Reader:
    from napari_prts.slide.formats.openslide_reader import openslide_vendor, read_openslide

    if openslide_vendor(path) is not None:
        return read_openslide
    raise SlideError(
        f"{path} is no slide that is known here: {KINDS} can be opened. Convert it to one of "
        "these, for example to OME-TIFF in QuPath."
    )


def _read_raster(path: Path) -> SlideFile:
    from napari_prts.slide.formats.raster import read_jpeg, read_png

    with path.open("rb") as file:
        read = read_jpeg if file.read(3) == _JPEG else read_png
    return read(path)


def _with_scale_factors(file: SlideFile) -> SlideFile:
    """Take the pixel size of Space Ranger's images from the file that lies beside them."""
    from napari_prts.slide.formats.space_ranger import hires_size

    size = hires_size(file.path)
    return file if size is None else replace(file, stated=size)
