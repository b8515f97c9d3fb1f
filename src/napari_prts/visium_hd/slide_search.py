"""Finding the full-resolution image that a Space Ranger run was given."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from napari_prts.visium_hd.layout import outs_of

_INVOCATION = "_invocation"
_COMMAND = "_cmdline"
_IMAGE_FOLDER = "microscope_image"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PATHS = re.compile(
    rf"\btissue_image_paths\s*[=:]\s*\[\s*({_QUOTED}(?:\s*,\s*{_QUOTED})*)?\s*,?\s*\]"
)
_IMAGE_ENDINGS = (
    *(".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".qptiff"),
    *(".jpg", ".jpeg", ".png", ".jp2", ".zarr"),
)


def find_slide(path: Path | str) -> Path | None:
    """Find the microscope image of a run, where it is beyond doubt.

    Looked at, in this order:

    1. what the run was told: ``tissue_image_paths`` in ``_invocation``, or ``--image``
       in ``_cmdline``, at that place or, if the run was moved since, under that name
       beside ``outs`` or in it;
    2. the only image in the folder ``microscope_image``, or the only image called
       ``..._tissue_image``, as 10x publishes data sets.

    The small images of ``spatial`` are never taken, nor is CytAssist's.

    Parameters
    ----------
    path : path
        The folder of a run, its ``outs``, or a folder of bins or cells in it.

    Returns
    -------
    Path or None
        None if nothing is found, or several images could be it.
    """
    outs = outs_of(Path(path).expanduser())
    run = outs.parent if outs.name == "outs" else outs
    for told in (_from_invocation(run), _from_command(run)):
        if told:
            return _where_told(told, run, outs)
    return _only(_microscope_folder(outs)) or _only(_published(outs))


def _from_invocation(run: Path) -> list[str]:
    found = _PATHS.search(_text(run / _INVOCATION))
    if not found:
        return []
    try:
        return [json.loads(quoted) for quoted in re.findall(_QUOTED, found[1] or "")]
    except ValueError:
        return []


def _from_command(run: Path) -> list[str]:
    try:
        words = shlex.split(_text(run / _COMMAND))
    except ValueError:
        return []
    told = [word.removeprefix("--image=") for word in words if word.startswith("--image=")]
    return told + [value for option, value in pairwise(words) if option == "--image"]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _where_told(told: list[str], run: Path, outs: Path) -> Path | None:
    """Find the one image; dark-field images come in several files, one a channel."""
    if len(set(told)) != 1:
        return None
    image = Path(told[0])
    # What was told relative to a folder was relative to that of the run.
    places = [run.parent / image, *(folder / image.name for folder in (run.parent, run, outs))]
    return next((place for place in places if place.exists()), None)


def _microscope_folder(outs: Path) -> Iterator[Path]:
    folder = outs / _IMAGE_FOLDER
    return _images(folder.iterdir()) if folder.is_dir() else iter(())


def _published(outs: Path) -> Iterator[Path]:
    return _images(outs.glob("*tissue_image.*"))


def _images(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if path.suffix.lower() in _IMAGE_ENDINGS)


def _only(paths: Iterator[Path]) -> Path | None:
    found = list(paths)
    return found[0] if len(found) == 1 else None
