"""Visium HD folders of Space Ranger: 2 um bins with their counts and pixel positions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd.matrix import CountMatrix, read_h5, read_mtx
from napari_prts.visium_hd.positions import read_positions

BIN_UM = 2.0
SQUARE = "square_002um"
MATRIX_FILE = "filtered_feature_bc_matrix.h5"
MATRIX_FOLDER = "filtered_feature_bc_matrix"
POSITIONS_FILE = "spatial/tissue_positions.parquet"
SCALES_FILE = "spatial/scalefactors_json.json"
MARKER_FILE = "SIMULATED.json"
TRUTH_FILE = "truth.h5ad"


@dataclass(frozen=True, eq=False)
class SpaceRangerFolder:
    """A section measured with Visium HD, in 2 um bins.

    Parameters
    ----------
    path : Path
        The ``square_002um`` folder.
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
        Side of a bin, 2.0.
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


def read_space_ranger(path: Path | str) -> SpaceRangerFolder:
    """Read the 2 um bins of a Visium HD section.

    Parameters
    ----------
    path : path
        Space Ranger's ``outs``, ``binned_outputs`` or ``square_002um`` folder.
        The counts come from ``filtered_feature_bc_matrix.h5`` or, where that is
        not there, from the folder ``filtered_feature_bc_matrix``.

    Returns
    -------
    SpaceRangerFolder
        Bins in the order of the matrix.

    Raises
    ------
    VisiumHDError
        If the folder is not Space Ranger's, lacks a file, holds other bins than
        2 um, its matrix and positions belong to different samples, or its counts
        are no integers.
    """
    square = _find_square(Path(path).expanduser())
    mpp, bin_um = _read_scales(square / SCALES_FILE)
    if bin_um != BIN_UM:
        raise VisiumHDError(
            f"{square} holds bins of {bin_um:g} um; nuclei are made from {BIN_UM:g} um bins. "
            f"Give the folder {SQUARE} of the same run."
        )
    positions_file = _needed(square, POSITIONS_FILE)
    matrix = _read_matrix(square)
    positions, in_tissue = read_positions(positions_file, matrix.barcodes)
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
        bin_um=bin_um,
        simulated=matrix.simulated or marker is not None,
        truth=truth if truth is not None and truth.is_file() else None,
    )


def _find_square(path: Path) -> Path:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise VisiumHDError(
            f"{path} {what}: give the folder outs, binned_outputs or {SQUARE} of a Space Ranger "
            "run."
        )
    inside = (f"outs/binned_outputs/{SQUARE}", f"binned_outputs/{SQUARE}", SQUARE)
    for found in (path / place for place in inside):
        if found.is_dir():
            return found
    others = sorted(
        folder.name
        for place in ("binned_outputs", ".")
        for folder in path.glob(f"{place}/square_*")
    )
    if others:
        raise VisiumHDError(
            f"{path} holds {', '.join(others)} but not {SQUARE}: nuclei are made from 2 um bins. "
            "Copy that folder from the Space Ranger run as well."
        )
    if (path / MATRIX_FILE).exists() or (path / MATRIX_FOLDER).is_dir() or path.name == SQUARE:
        return path
    raise VisiumHDError(
        f"{path} is not a Visium HD folder of Space Ranger: neither binned_outputs/{SQUARE}, "
        f"{SQUARE} nor {MATRIX_FILE} is in it. Give the folder outs, binned_outputs or {SQUARE}."
    )


def _needed(square: Path, name: str) -> Path:
    path = square / name
    if not path.is_file():
        raise VisiumHDError(
            f"{square} lacks {name}, which every Visium HD run of Space Ranger has. "
            "Copy it as well."
        )
    return path


def _read_matrix(square: Path) -> CountMatrix:
    if (square / MATRIX_FILE).is_file():
        return read_h5(square / MATRIX_FILE)
    if (square / MATRIX_FOLDER).is_dir():
        return read_mtx(square / MATRIX_FOLDER)
    raise VisiumHDError(
        f"{square} lacks its counts: neither {MATRIX_FILE} nor the folder {MATRIX_FOLDER} is "
        "there. Copy one of them as well."
    )


def _read_scales(path: Path) -> tuple[float, float]:
    """Microns per pixel and side of a bin in microns."""
    _needed(path.parent.parent, SCALES_FILE)
    try:
        scales = json.loads(path.read_text(encoding="utf-8"))
        mpp, bin_um = float(scales["microns_per_pixel"]), float(scales["bin_size_um"])
    except (ValueError, KeyError, TypeError) as error:
        raise VisiumHDError(
            f"{path} lacks microns_per_pixel or bin_size_um ({error}): the folder is not from a "
            "Visium HD run of Space Ranger."
        ) from error
    if not mpp > 0:
        raise VisiumHDError(f"{path} says {mpp:g} microns per pixel; it is damaged.")
    return mpp, bin_um


def _marker(square: Path) -> Path | None:
    for folder in (square, square.parent, square.parent.parent):
        if (folder / MARKER_FILE).is_file():
            return folder / MARKER_FILE
    return None
