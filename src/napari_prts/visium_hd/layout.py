"""Where Space Ranger 3 and 4 put things in a run of Visium HD.

::

    RUN/                            "pipestance"; _invocation and _cmdline tell what was asked for
        outs/
            feature_slice.h5        counts of all 2 um bins, gene by gene
            binned_outputs/
                square_002um/       also square_008um and square_016um
                    filtered_feature_bc_matrix.h5
                    filtered_feature_bc_matrix/
                    spatial/tissue_positions.parquet, scalefactors_json.json
            segmented_outputs/      version 4
                filtered_feature_cell_matrix.h5
                cell_segmentations.geojson, nucleus_segmentations.geojson
                spatial/scalefactors_json.json

Source: 10x Genomics, Space Ranger documentation, "Outputs overview", "Segmented
outputs" and "Pipestance structure" (versions 3.0 to 4.0).
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_prts.errors import VisiumHDError

BIN_SIZES_UM = (2, 8, 16)
BINNED = "binned_outputs"
SEGMENTED = "segmented_outputs"
MATRIX_FILE = "filtered_feature_bc_matrix.h5"
MATRIX_FOLDER = "filtered_feature_bc_matrix"
FEATURE_SLICE_FILE = "feature_slice.h5"
POSITIONS_FILE = "spatial/tissue_positions.parquet"
SCALES_FILE = "spatial/scalefactors_json.json"
_SQUARE = re.compile(r"square_(\d{3})um")


def square_name(bin_um: int) -> str:
    """Name of the folder with bins of this side, such as ``square_002um``.

    Raises
    ------
    VisiumHDError
        If Space Ranger makes no such bins.
    """
    if bin_um not in BIN_SIZES_UM:
        raise VisiumHDError(
            f"Space Ranger makes bins of 2, 8 and 16 um, not of {bin_um} um: ask for one of these."
        )
    return f"square_{bin_um:03d}um"


def find_square(path: Path, bin_um: int) -> Path:
    """Find the folder with bins of one size.

    Parameters
    ----------
    path : Path
        The folder of a run, its ``outs``, ``binned_outputs`` or the square folder itself.
    bin_um : int
        Side of a bin in microns: 2, 8 or 16.

    Raises
    ------
    VisiumHDError
        If it is not there, saying what is.
    """
    name = square_name(bin_um)
    _require_folder(path, f"{BINNED} or {name}")
    if path.name == SEGMENTED:
        raise VisiumHDError(
            f"{path} holds the cells that Space Ranger found, not bins. Give the folder {BINNED} "
            "beside it, or read it as segmented cells."
        )
    given = _SQUARE.fullmatch(path.name)
    if given and path.name != name:
        raise VisiumHDError(_other_bins(path, int(given[1]), bin_um))
    for place in (f"outs/{BINNED}/{name}", f"{BINNED}/{name}", name):
        if (path / place).is_dir():
            return path / place
    others = _squares_in(path)
    if others:
        use = "nuclei are made from 2 um bins. " if bin_um == 2 else ""
        raise VisiumHDError(
            f"{path} holds {', '.join(others)} but not {name}: {use}"
            "Copy that folder from the Space Ranger run as well."
        )
    if (path / MATRIX_FILE).exists() or (path / MATRIX_FOLDER).is_dir() or path.name == name:
        return path
    raise VisiumHDError(
        f"{path} is not a Visium HD folder of Space Ranger: neither {BINNED}/{name}, "
        f"{name} nor {MATRIX_FILE} is in it. Give the folder outs, {BINNED} or {name}."
    )


def find_segmented(path: Path) -> Path:
    """Find the folder ``segmented_outputs`` of Space Ranger 4.

    Parameters
    ----------
    path : Path
        The folder of a run, its ``outs``, or the folder itself.

    Raises
    ------
    VisiumHDError
        If it is not there: runs of version 3 and runs without segmentation have none.
    """
    _require_folder(path, SEGMENTED)
    if path.name == SEGMENTED:
        return path
    outs = outs_of(path)
    if (outs / SEGMENTED).is_dir():
        return outs / SEGMENTED
    raise VisiumHDError(
        f"{outs} holds no {SEGMENTED}: only Space Ranger 4 and later find nuclei and cells. Find "
        "nuclei here and measure them with the 2 um bins, or copy that folder from the run as well."
    )


def outs_of(path: Path) -> Path:
    """Find the folder ``outs`` that a folder of a run lies in, or has in it.

    Folders that were copied without the rest of the run count as well: then it is
    the folder that holds ``binned_outputs``, or the given one.
    """
    if (path / "outs").is_dir():
        return path / "outs"
    if _SQUARE.fullmatch(path.name):
        return outs_of(path.parent) if path.parent.name == BINNED else path.parent
    if path.name in (BINNED, SEGMENTED):
        return path.parent
    return path


def needed(folder: Path, name: str) -> Path:
    """Name a file of a folder.

    Raises
    ------
    VisiumHDError
        If it is not there.
    """
    path = folder / name
    if path.is_file():
        return path
    csv = path.with_suffix(".csv")
    if csv != path and csv.is_file():
        raise VisiumHDError(
            f"{folder} has {csv.name} but not {path.name}: a table as .csv is of Visium with "
            f"spots, or was made from the .parquet. Copy {name} from the Visium HD run."
        )
    raise VisiumHDError(
        f"{folder} lacks {name}, which every Visium HD run of Space Ranger has. Copy it as well."
    )


def _require_folder(path: Path, wanted: str) -> None:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise VisiumHDError(f"{path} {what}: give the folder outs, {wanted} of a Space Ranger run.")


def _other_bins(path: Path, has_um: int, bin_um: int) -> str:
    why = "nuclei are made from 2 um bins" if bin_um == 2 else f"bins of {bin_um} um were asked for"
    return f"{path} holds bins of {has_um} um, but {why}: give {path.parent / square_name(bin_um)}."


def _squares_in(path: Path) -> list[str]:
    """Square folders of any size in a run."""
    places = (f"outs/{BINNED}", BINNED, ".")
    found = (folder.name for place in places for folder in path.glob(f"{place}/square_*"))
    return sorted(set(found))
