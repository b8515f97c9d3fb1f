"""The nuclei, cells and cell counts that Space Ranger 4 makes itself (``segmented_outputs``).

Its cells are nuclei of its own StarDist model that were grown, and its matrix
sums the 2 um bins of the whole cell, not of the nucleus alone. So the outlines are
ready-made nuclei, and the matrix is a second measurement to compare with; the paper's
counts come from the nuclei and the bins (:func:`~napari_prts.visium_hd.measure`).
A nucleus and its cell have the same ``cell_id``.

Source: 10x Genomics, Space Ranger documentation, "Segmented outputs" (version 4.0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd.barcodes import cell_ids_of
from napari_prts.visium_hd.folder import read_scales
from napari_prts.visium_hd.layout import find_segmented, needed
from napari_prts.visium_hd.matrix import read_h5, read_mtx

if TYPE_CHECKING:
    from napari_prts.nuclei.formats.report import ReadReport

OUTLINE_FILES = {
    "nucleus": "nucleus_segmentations.geojson",
    "cell": "cell_segmentations.geojson",
}
MATRIX_FILE = "filtered_feature_cell_matrix.h5"
MATRIX_FOLDER = "filtered_feature_cell_matrix"
# An outline that cannot be used is left out when reading, and a custom segmentation may have
# cells without a nucleus; more than this share without an outline are those of another run.
_MOST_WITHOUT_OUTLINE = 0.1
_MOST_ELSEWHERE = 0.1


@dataclass(frozen=True, eq=False)
class SegmentedSection:
    """Cells that Space Ranger found and measured.

    Parameters
    ----------
    path : Path
        The folder ``segmented_outputs``.
    outlines : str
        ``"nucleus"`` or ``"cell"``: what ``nuclei`` are the outlines of.
    nuclei : Nuclei
        All outlines of the file, those without counts as well; ids are ``cell_id``.
    notes : tuple of str
        What was repaired or left out in reading them.
    ids : (cells,) int64
        Ids of the measured cells that have an outline, in the order of the matrix.
    counts : csr_matrix, (cells, genes), int32
        UMI of the whole cell.
    genes, gene_ids : (genes,) str
        Symbols, which may repeat, and identifiers.
    without_outline : int
        Measured cells that were left out for want of an outline.
    mpp : float
        Microns per full-resolution pixel.
    """

    path: Path
    outlines: str
    nuclei: Nuclei
    notes: tuple[str, ...]
    ids: NDArray[np.int64] = field(repr=False)
    counts: sparse.csr_matrix = field(repr=False)
    genes: NDArray[np.str_] = field(repr=False)
    gene_ids: NDArray[np.str_] = field(repr=False)
    without_outline: int
    mpp: float

    def __len__(self) -> int:
        return len(self.ids)


def read_segmented(path: Path | str, outlines: str = "nucleus") -> SegmentedSection:
    """Read the cells of a run of Space Ranger 4.

    Parameters
    ----------
    path : path
        The folder of a run, its ``outs`` or ``segmented_outputs``.
    outlines : str
        Which outlines to take: ``"nucleus"`` or ``"cell"``.

    Raises
    ------
    NucleiError
        If the outlines cannot be read.
    VisiumHDError
        If a file is missing or damaged, or outlines, matrix and scale factors are of
        different runs.
    """
    if outlines not in OUTLINE_FILES:
        raise VisiumHDError(
            f"Space Ranger has outlines of {' and '.join(OUTLINE_FILES)}, not of {outlines!r}."
        )
    folder = find_segmented(Path(path).expanduser())
    mpp, _ = read_scales(folder)
    report = _read_outlines(needed(folder, OUTLINE_FILES[outlines]))
    _check_nuclei_in_cells(folder, outlines, report.nuclei)
    single = folder / MATRIX_FILE
    files = folder / MATRIX_FOLDER
    matrix = (
        read_mtx(files)
        if files.is_dir() and not single.is_file()
        else read_h5(needed(folder, MATRIX_FILE))
    )
    ids = _ids(matrix.barcodes, single)
    there = np.isin(ids, report.nuclei.ids)
    missing = int((~there).sum())
    if missing > _MOST_WITHOUT_OUTLINE * len(ids):
        raise VisiumHDError(
            f"{missing:,} of the {len(ids):,} cells of {single} have no outline in "
            f"{OUTLINE_FILES[outlines]}: the two are from different runs. Take both from one."
        )
    return SegmentedSection(
        path=folder,
        outlines=outlines,
        nuclei=report.nuclei,
        notes=tuple(report.sentences()),
        ids=ids[there],
        counts=matrix.counts[there] if missing else matrix.counts,
        genes=matrix.genes,
        gene_ids=matrix.gene_ids,
        without_outline=missing,
        mpp=mpp,
    )


def _read_outlines(path: Path) -> ReadReport:
    from napari_prts.nuclei.formats.reading import read_nuclei_reported

    return read_nuclei_reported(path)


def _ids(barcodes: NDArray[np.bytes_], path: Path) -> NDArray[np.int64]:
    ids = cell_ids_of(barcodes)
    if ids is None:
        raise VisiumHDError(
            f"{path} is not a matrix of cells: its barcodes are not like cellid_000000012-1, the "
            f"first is {barcodes[0].decode(errors='replace')}. Take it from segmented_outputs."
        )
    if len(np.unique(ids)) != len(ids):
        raise VisiumHDError(f"{path} names a cell twice; it is damaged. Copy it again.")
    return ids


def _check_nuclei_in_cells(folder: Path, outlines: str, nuclei: Nuclei) -> None:
    """Refuse nuclei of one run beside cells of another: ids are alike in all runs."""
    cells_file = folder / OUTLINE_FILES["cell"]
    if outlines != "nucleus" or not cells_file.is_file():
        return
    cells = _read_outlines(cells_file).nuclei
    both, of_nuclei, of_cells = np.intersect1d(nuclei.ids, cells.ids, return_indices=True)
    if not len(both):
        raise VisiumHDError(f"No nucleus of {folder} has the id of a cell: take both from one run.")
    centres, boxes = nuclei.centroids[of_nuclei], cells.bounds[of_cells]
    elsewhere = ((centres < boxes[:, :2]) | (centres > boxes[:, 2:])).any(1)
    if elsewhere.mean() > _MOST_ELSEWHERE:
        raise VisiumHDError(
            f"{elsewhere.mean():.0%} of the nuclei of {folder} lie outside the cell of the same "
            "id: nuclei and cells are from different runs. Take both from one."
        )
