"""Visium HD folders of Space Ranger: bins with their counts and pixel positions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd.layout import (
    FEATURE_SLICE_FILE,
    MATRIX_FILE,
    MATRIX_FOLDER,
    POSITIONS_FILE,
    SCALES_FILE,
    find_square,
    needed,
    outs_of,
    square_name,
)
from napari_prts.visium_hd.matrix import CountMatrix, read_h5, read_mtx
from napari_prts.visium_hd.positions import read_positions

SQUARE = square_name(2)
MARKER_FILE = "SIMULATED.json"
TRUTH_FILE = "truth.h5ad"

__all__ = [
    "MARKER_FILE",
    "MATRIX_FILE",
    "POSITIONS_FILE",
    "SCALES_FILE",
    "SQUARE",
    "TRUTH_FILE",
    "SpaceRangerFolder",
    "read_scales",
    "read_space_ranger",
]


@dataclass(frozen=True, eq=False)
class SpaceRangerFolder:
    """A section measured with Visium HD, in bins of one size.

    Parameters
    ----------
    path : Path
        The folder of the bins, such as ``square_002um``.
    counts : csr_matrix, (bins, genes), int32
        UMI counts.
    genes, gene_ids : (genes,) str
        Symbols, which may repeat, and identifiers.
    barcodes : (bins,) bytes
        Such as ``b"s_002um_00305_01021-1"``.
    positions : (bins, 2) float64
        Each bin's own centre in full-resolution pixels, (row, column). The grid
        is turned and not affine to the pixels, so these are never computed.
    in_tissue : (bins,) bool
        Whether Space Ranger counts the bin as covered by tissue.
    mpp : float
        Microns per full-resolution pixel, from the scale factors.
    bin_um : float
        Side of a bin: 2.0, 8.0 or 16.0. Nuclei are made from bins of 2.0.
    simulated : bool
        Whether the counts were simulated.
    truth : Path or None
        Table of the rates behind simulated counts.
    """

    path: Path
    counts: sparse.csr_matrix = field(repr=False)
    genes: NDArray[np.str_] = field(repr=False)
    gene_ids: NDArray[np.str_] = field(repr=False)
    barcodes: NDArray[np.bytes_] = field(repr=False)
    positions: NDArray[np.float64] = field(repr=False)
    in_tissue: NDArray[np.bool_] = field(repr=False)
    mpp: float
    bin_um: float
    simulated: bool
    truth: Path | None = None

    def __len__(self) -> int:
        return len(self.barcodes)


def read_space_ranger(path: Path | str, bin_um: int = 2) -> SpaceRangerFolder:
    """Read the bins of a Visium HD section, of Space Ranger 3 or 4.

    Parameters
    ----------
    path : path
        The folder of a run, its ``outs``, ``binned_outputs`` or the folder of the
        bins, such as ``square_002um``. The counts come from
        ``filtered_feature_bc_matrix.h5`` or, where that is not there, from the folder
        ``filtered_feature_bc_matrix`` or, of 2 um bins, from ``feature_slice.h5``,
        which the machine keeps beside ``binned_outputs``.
    bin_um : int
        Side of a bin in microns: 2, 8 or 16.

    Returns
    -------
    SpaceRangerFolder
        Bins in the order of the matrix.

    Raises
    ------
    VisiumHDError
        If the folder is not Space Ranger's, lacks a file, holds other bins, its
        matrix, positions and scale factors belong to different samples, a file is
        damaged, or the counts are no integers.
    """
    square = find_square(Path(path).expanduser(), bin_um)
    mpp, stated_um = read_scales(square)
    if stated_um is None:
        raise VisiumHDError(
            f"{square / SCALES_FILE} lacks bin_size_um: the folder is not from a Visium HD run of "
            "Space Ranger."
        )
    if stated_um != bin_um:
        raise VisiumHDError(
            f"{square} should hold bins of {bin_um} um, but its {SCALES_FILE} is of "
            f"bins of {stated_um:g} um: files of different folders were mixed up. "
            f"Copy the whole folder {square_name(bin_um)} of one run."
        )
    positions_file = needed(square, POSITIONS_FILE)
    matrix = _read_matrix(square, bin_um)
    positions, in_tissue = read_positions(positions_file, matrix.barcodes, bin_um / mpp)
    marker = _marker(square)
    truth = None if marker is None else marker.parent / TRUTH_FILE
    return SpaceRangerFolder(
        path=square,
        counts=matrix.counts,
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        barcodes=matrix.barcodes,
        positions=positions,
        in_tissue=in_tissue,
        mpp=mpp,
        bin_um=stated_um,
        simulated=matrix.simulated or marker is not None,
        truth=truth if truth is not None and truth.is_file() else None,
    )


def read_scales(folder: Path) -> tuple[float, float | None]:
    """Read the scale factors of a folder of bins or cells.

    Parameters
    ----------
    folder : Path
        Holds ``spatial/scalefactors_json.json``.

    Returns
    -------
    mpp : float
        Microns per full-resolution pixel.
    bin_um : float or None
        Side of a bin in microns; None for a folder of cells.

    Raises
    ------
    VisiumHDError
        If the file is missing, damaged or of another machine.
    """
    path = needed(folder, SCALES_FILE)
    try:
        scales = json.loads(path.read_text(encoding="utf-8"))
        mpp = float(scales["microns_per_pixel"])
        bin_um = float(scales["bin_size_um"]) if "bin_size_um" in scales else None
    except (ValueError, KeyError, TypeError) as error:
        raise VisiumHDError(
            f"{path} lacks microns_per_pixel ({error}): the folder is not from a Visium HD run of "
            "Space Ranger."
        ) from error
    if not (mpp > 0 and np.isfinite(mpp)):
        raise VisiumHDError(f"{path} says {mpp:g} microns per pixel; it is damaged.")
    return mpp, bin_um


def _read_matrix(square: Path, bin_um: int) -> CountMatrix:
    if (square / MATRIX_FILE).is_file():
        return read_h5(square / MATRIX_FILE)
    if (square / MATRIX_FOLDER).is_dir():
        return read_mtx(square / MATRIX_FOLDER)
    slices = outs_of(square) / FEATURE_SLICE_FILE
    if bin_um == 2 and slices.is_file():
        from napari_prts.visium_hd.feature_slice import read_feature_slice

        return read_feature_slice(slices)
    raise VisiumHDError(
        f"{square} lacks its counts: neither {MATRIX_FILE} nor the folder {MATRIX_FOLDER} is "
        "there. Copy one of them as well."
    )


def _marker(square: Path) -> Path | None:
    for folder in (square, square.parent, square.parent.parent):
        if (folder / MARKER_FILE).is_file():
            return folder / MARKER_FILE
    return None
