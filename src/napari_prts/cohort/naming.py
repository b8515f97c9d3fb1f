"""A folder name for each slide, the same whenever the batch is run again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_prts.cohort.record import SlideRecord
from napari_prts.cohort.request import SlideEntry
from napari_prts.errors import PrtsError

_DOUBLE_ENDINGS = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.zarr")
# Names of files that the batch itself writes beside the slides' folders.
_TAKEN = ("summary.csv", "summary.html")
_Who = tuple[str, str | None]


def base_name(path: Path | str) -> str:
    """Name a slide after its file, without the ending and what folders cannot be called."""
    name = Path(path).name
    for ending in _DOUBLE_ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    else:
        name = Path(name).stem
    return clean_name(name)


def clean_name(name: str) -> str:
    """Leave out of a name what some file systems refuse."""
    return re.sub(r"[^\w.()+=-]+", "_", name).strip("._ ") or "slide"


def named(entries: Iterable[SlideEntry], output: Path) -> tuple[SlideEntry, ...]:
    """Give each slide a name that no other has, in this batch or in the output folder.

    A slide that was done in the folder keeps its name, also if it was moved since. Of others
    with the same name the second is called ``name-2``, and so on.

    Parameters
    ----------
    entries : iterable of SlideEntry
        With the name that the user gave, or an empty one.
    output : Path
        Folder of the results, if there is one already.

    Raises
    ------
    PrtsError
        If the user gave one name to two slides.
    """
    entries = tuple(entries)
    before = _names_in(output)
    taken = {name.lower() for name in (*before.values(), *_TAKEN)}
    given = [entry.name for entry in entries if entry.name]
    if twice := next((name for name in given if given.count(name) > 1), None):
        raise PrtsError(f"Two slides are named {twice!r}: give each a name of its own.")
    taken |= {name.lower() for name in given}
    chosen: list[SlideEntry] = []
    for entry in entries:
        known = before.pop(_who(entry), None)
        if known is None:
            # Folders of other entries are theirs, be it the same slide with other nuclei.
            left = {who: name for who, name in before.items() if who not in set(map(_who, entries))}
            known = _of_other_nuclei(entry, left) or _moved(entry, left)
            before = {who: name for who, name in before.items() if name != known}
        name = entry.name or known or _free(base_name(entry.path), taken)
        taken.add(name.lower())
        chosen.append(replace(entry, name=name))
    return tuple(chosen)


def _who(entry: SlideEntry) -> _Who:
    return entry.path, entry.nuclei


def _of_other_nuclei(entry: SlideEntry, before: dict[_Who, str]) -> str | None:
    """Find the same slide, done with other nuclei than it shall be now."""
    return next((name for (path, _), name in before.items() if path == entry.path), None)


def _moved(entry: SlideEntry, before: dict[_Who, str]) -> str | None:
    """Find a slide of the same file name that is no longer where it was.

    Whether it is the same is told by its fingerprint, before anything is written.
    """
    for (path, _), name in before.items():
        if Path(path).name == Path(entry.path).name and not Path(path).exists():
            return name
    return None


def _free(name: str, taken: set[str]) -> str:
    # Two names that differ in case only are one folder on some file systems.
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *numbered) if each.lower() not in taken)


def _names_in(output: Path) -> dict[_Who, str]:
    if not output.is_dir():
        return {}
    records = ((path, SlideRecord.read(path)) for path in sorted(output.iterdir()))
    return {
        (record.slide, record.nuclei): path.name for path, record in records if record is not None
    }
