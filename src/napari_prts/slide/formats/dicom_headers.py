"""Which DICOM files of a folder make up a slide, from their headers alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from napari_prts.errors import SlideError
from napari_prts.slide.formats.slide_file import damaged, refused

HEAD_BYTES = 132
# VL Whole Slide Microscopy Image Storage.
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
# Ends compressed pixels, which state no length (PS3.5, A.4); little padding may follow.
_PIXELS_END, _END_WITHIN = b"\xfe\xff\xdd\xe0\0\0\0\0", 64 * 1024
# Files of a folder that are looked at before it counts as one without DICOM.
_LOOKED_AT = 200

_TAGS = [
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "ContainerIdentifier",
    "ImageType",
    "TotalPixelMatrixRows",
    "TotalPixelMatrixColumns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsStored",
]
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class Header:
    """What the header of one file says.

    Parameters
    ----------
    path : Path
        The file.
    is_slide : bool
        Whether it is part of a whole-slide image.
    kind : str
        ``"VOLUME"`` (a level of the slide), ``"LABEL"``, ``"OVERVIEW"`` or
        ``"THUMBNAIL"``; the modality of a file that is part of no slide.
    study, series, container : str
        Identifiers of examination, scan and glass slide; empty if absent.
    shape : tuple of int
        Rows and columns of the whole level.
    samples, bits, planes : int
        Samples a pixel, bits a sample, 1 if colours are stored one after the other.
    photometric : str
        Colour space in DICOM's words.
    cut_short : bool
        Whether compressed pixels break off.
    """

    path: Path
    is_slide: bool
    kind: str
    study: str
    series: str
    container: str
    shape: tuple[int, int]
    samples: int
    bits: int
    planes: int
    photometric: str
    cut_short: bool


@dataclass(frozen=True)
class SlideFiles:
    """The files of one slide.

    Parameters
    ----------
    levels : tuple of Header
        Largest first; a level may have several files.
    others : tuple of Header
        Label, overview and thumbnail.
    """

    levels: tuple[Header, ...]
    others: tuple[Header, ...]

    @property
    def full(self) -> tuple[Header, ...]:
        """Files of the level of full resolution."""
        return tuple(header for header in self.levels if header.shape == self.levels[0].shape)


def is_dicom_head(head: bytes) -> bool:
    """Whether a file that begins with these 132 bytes, or more, is DICOM."""
    return head[128:HEAD_BYTES] == b"DICM"


def is_dicom_folder(path: Path) -> bool:
    """Whether there is DICOM among the first files of a folder."""
    if not path.is_dir():
        return False
    files = (entry for entry in path.iterdir() if entry.is_file())
    return any(_is_dicom(file) for _, file in zip(range(_LOOKED_AT), files, strict=False))


def find_slide(path: Path) -> SlideFiles:
    """Find the files of a slide.

    Parameters
    ----------
    path : Path
        A folder that holds one slide, or one of the slide's files in a folder
        that may hold several.

    Raises
    ------
    SlideError
        If there is no slide, or more than one in a folder, or it is not 8-bit RGB.
    """
    chosen = None if path.is_dir() else _header(path)
    if chosen is not None and not chosen.is_slide:
        raise _no_slide(path, [chosen])
    folder = path if chosen is None else path.parent
    headers = [_header(file) for file in sorted(folder.iterdir()) if _is_dicom(file)]
    levels = [header for header in headers if header.is_slide and header.kind == "VOLUME"]
    levels = _of_one_series(path, levels, headers, chosen)
    full = max(levels, key=lambda header: header.shape[0] * header.shape[1])
    _check_colours(path, full)
    for header in levels:
        if header.cut_short:
            raise damaged(path, f"{header.path.name} ends in the middle of its pixels")
    others = [header for header in headers if header.is_slide and header.kind != "VOLUME"]
    return SlideFiles(
        tuple(sorted(levels, key=lambda header: header.shape, reverse=True)),
        tuple(header for header in others if _same_glass(header, full)),
    )


def _of_one_series(
    path: Path, levels: list[Header], headers: list[Header], chosen: Header | None
) -> list[Header]:
    if chosen is not None:
        # A label may be a series of its own: the slide is then the one on the same glass.
        of_it = [header for header in levels if header.series == chosen.series]
        levels = of_it or [header for header in levels if _same_glass(chosen, header)]
    if not levels:
        raise _no_slide(path, headers)
    series = {header.series for header in levels}
    if len(series) > 1:
        first = sorted(header.path.name for header in levels)[0]
        raise SlideError(
            f"{path} holds {len(series)} slides (DICOM series). Give one file of the slide you "
            f"want, for example {first}, or a folder with the files of one slide."
        )
    return levels


def _same_glass(header: Header, other: Header) -> bool:
    if header.series == other.series:
        return True
    same = header.study == other.study and header.container == other.container
    return same and header.container != ""


def _no_slide(path: Path, headers: list[Header]) -> SlideError:
    kinds = sorted({header.kind for header in headers if not header.is_slide and header.kind})
    if kinds:
        what = f"DICOM of another kind ({', '.join(kinds)}), not a whole-slide image"
    elif any(header.is_slide for header in headers):
        what = "only the label, overview or thumbnail of a slide, not its image"
    else:
        what = "no DICOM image"
    holds = "holds" if path.is_dir() else "is"
    return SlideError(
        f"{path} {holds} {what}. Give the folder with all files of one slide "
        "(VL Whole Slide Microscopy), or one of those files."
    )


def _check_colours(path: Path, header: Header) -> None:
    if header.samples == 1 and header.photometric.startswith("MONOCHROME"):
        raise refused(path, "greyscale (one channel a picture, as in fluorescence)")
    if header.bits != 8:
        raise refused(path, f"{header.bits}-bit")
    if header.samples != 3 or header.photometric not in _COLOURS:
        raise refused(path, f"in colours that DICOM calls {header.photometric or 'nothing'}")
    if header.planes != 0:
        raise refused(path, "stored one colour after the other (planar configuration 1)")


def _is_dicom(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return is_dicom_head(stream.read(HEAD_BYTES))
    except OSError:
        return False


def _header(file: Path) -> Header:
    import pydicom

    try:
        with file.open("rb") as stream:
            found = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS)
            return _parsed(file, found, _cut_short(stream, found.file_meta.TransferSyntaxUID))
    except OSError:
        raise
    except Exception as error:  # pydicom meets damage with exceptions of many kinds.
        raise damaged(file, f"its DICOM header cannot be read ({error})") from error


def _cut_short(stream: BinaryIO, transfer_syntax: Any) -> bool:
    """Whether the mark at the end of compressed pixels, where the stream stands, is missing.

    A decoder would fill the rest of the last tile with grey and say nothing.
    """
    if not transfer_syntax.is_encapsulated:
        return False
    pixels = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(pixels, end - _END_WITHIN))
    return _PIXELS_END not in stream.read()


def _parsed(file: Path, found: Any, cut_short: bool) -> Header:
    is_slide = str(found.get("SOPClassUID", "")) == _WHOLE_SLIDE
    # ORIGINAL or DERIVED, PRIMARY, then what the picture is of (PS3.3, C.8.12.4).
    image_type = [str(part) for part in found.get("ImageType") or ()]
    kind = image_type[2] if len(image_type) > 2 else "VOLUME"
    rows, columns = found.get("TotalPixelMatrixRows"), found.get("TotalPixelMatrixColumns")
    return Header(
        path=file,
        is_slide=is_slide,
        kind=kind if is_slide else str(found.get("Modality", "")),
        study=str(found.get("StudyInstanceUID", "")),
        series=str(found.get("SeriesInstanceUID", "")),
        container=str(found.get("ContainerIdentifier") or ""),
        shape=(int(rows or 0), int(columns or 0)),
        samples=int(found.get("SamplesPerPixel") or 0),
        bits=int(found.get("BitsStored") or 0),
        planes=int(found.get("PlanarConfiguration") or 0),
        photometric=str(found.get("PhotometricInterpretation") or ""),
        cut_short=cut_short,
    )
