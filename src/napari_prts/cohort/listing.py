"""Which slides a user means: files, folders, patterns, or a table of them."""

from __future__ import annotations

import csv
import glob
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from napari_prts.cohort.naming import clean_name, named
from napari_prts.cohort.request import SlideEntry
from napari_prts.errors import PrtsError

# A folder of slides holds other things too; files named or matched by a pattern are all taken.
SLIDE_ENDINGS = (
    *(".svs", ".tif", ".tiff", ".btf", ".ndpi", ".bif", ".scn", ".mrxs", ".svslide", ".czi"),
    *(".dcm", ".jpg", ".jpeg", ".png", ".zarr"),
)
COLUMNS = ("slide", "name", "mpp", "nuclei", "measured")


@dataclass(frozen=True)
class Listing:
    """The slides of a cohort.

    Parameters
    ----------
    slides : tuple of SlideEntry
        In the order in which they were named; those of a folder by name.
    notes : tuple of str
        What the user should know of the list.
    """

    slides: tuple[SlideEntry, ...]
    notes: tuple[str, ...] = field(default=())


def list_slides(sources: Iterable[str], output: Path, mpp: float | None = None) -> Listing:
    """Find the slides of a cohort.

    A slide that does not exist is in the list: it will fail, and stop no other.

    Parameters
    ----------
    sources : iterable of str
        Slides; folders of slides; patterns with ``*``, ``?``, ``[...]`` or ``**``; CSV files
        with a column ``slide`` and, where wanted, ``name``, ``mpp``, ``nuclei``,
        ``measured``, whose paths are relative to the CSV.
    output : Path
        Folder of the results: slides that are done there keep their names.
    mpp : float, optional
        um per level-0 pixel of the slides for which a CSV says nothing.

    Raises
    ------
    PrtsError
        If a source names no slide at all, or a CSV cannot be used.
    """
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise PrtsError(f"mpp is {mpp:g}; give microns per pixel, such as 0.25.")
    notes: list[str] = []
    found: list[SlideEntry] = []
    for source in sources:
        found += _entries(source, mpp, notes)
    once = tuple(dict.fromkeys(found))
    if len(once) < len(found):
        notes.append(f"{len(found) - len(once)} slides are named more than once and done once.")
    slides = named(once, output)
    missing = [entry.path for entry in slides if not Path(entry.path).exists()]
    if missing and len(missing) == len(slides):
        raise PrtsError(f"{missing[0]} does not exist. Check the path and the spelling.")
    if missing:
        notes.append(f"{len(missing)} of {len(slides)} slides do not exist: {missing[0]}, ...")
    return Listing(slides, tuple(notes))


def _entries(source: str, mpp: float | None, notes: list[str]) -> list[SlideEntry]:
    path = Path(source).expanduser()
    if not path.exists() and glob.has_magic(source):
        paths = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not paths:
            raise PrtsError(f"No file matches {source}: check the pattern.")
    else:
        paths = [path]
    found: list[SlideEntry] = []
    for each in paths:
        if each.suffix.lower() == ".csv":
            found += _of_csv(each, mpp, notes)
        else:
            found += [SlideEntry(_plain(slide), "", mpp) for slide in _of_path(each)]
    return found


def _of_path(path: Path) -> list[Path]:
    if not path.is_dir() or _is_slide_folder(path):
        return [path]
    inside = sorted(path.iterdir(), key=lambda each: each.name)
    slides = [each for each in inside if _looks_like_slide(each)]
    if not slides:
        raise PrtsError(
            f"{path} holds no slides ({', '.join(SLIDE_ENDINGS)}): name another folder, or the "
            "files themselves."
        )
    return slides


def _looks_like_slide(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return _is_slide_folder(path)
    return path.suffix.lower() in SLIDE_ENDINGS


def _is_slide_folder(path: Path) -> bool:
    """Whether a folder is one slide: OME-Zarr or DICOM."""
    from napari_prts.slide.formats.dicom import is_dicom_folder

    return any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zgroup")) or (
        is_dicom_folder(path)
    )


def _of_csv(path: Path, mpp: float | None, notes: list[str]) -> list[SlideEntry]:
    try:
        # utf-8-sig: spreadsheets begin their files with a mark.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PrtsError(f"{path} cannot be read as a CSV ({error}): save it as UTF-8.") from error
    lines = text.splitlines()
    # Spreadsheets of many countries write semicolons.
    semicolons = bool(lines) and lines[0].count(";") > lines[0].count(",")
    table = csv.DictReader(lines, delimiter=";" if semicolons else ",", skipinitialspace=True)
    columns = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = columns
    if "slide" not in columns:
        raise PrtsError(
            f"{path} has no column 'slide': its first line must name the columns, "
            f"{', '.join(COLUMNS)}, of which only slide is needed."
        )
    if unused := [name for name in columns if name not in COLUMNS]:
        notes.append(f"{path.name}: the columns {', '.join(unused)} are not used.")
    entries = list(_rows(table, path, mpp))
    if not entries:
        raise PrtsError(f"{path} names no slide: add a line for each.")
    return entries


def _rows(table: csv.DictReader[str], path: Path, mpp: float | None) -> Iterator[SlideEntry]:
    for row in table:
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if not any(values.values()):
            continue
        where = f"{path}, line {table.line_num}"
        if not values["slide"]:
            raise PrtsError(f"{where}: the slide is missing.")
        yield SlideEntry(
            _plain(_beside(path, values["slide"])),
            clean_name(values["name"]) if values["name"] else "",
            _mpp(values["mpp"], where) if values["mpp"] else mpp,
            *(_plain(_beside(path, values[n])) if values[n] else None for n in COLUMNS[3:]),
        )


def _mpp(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise PrtsError(f"{where}: mpp is {text!r}; give microns per pixel, such as 0.25.")
    return value


def _beside(table: Path, path: str) -> Path:
    return table.parent / Path(path).expanduser()


def _plain(path: Path) -> str:
    return str(path.resolve())
