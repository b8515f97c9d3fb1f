"""Bins of 8 and 16 um as the machine measured them, gene by gene, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.jobs import Job, Progress
from napari_prts.visium_hd.barcodes import bins_of
from napari_prts.visium_hd.belonging import check_on_slide, check_scale
from napari_prts.visium_hd.folder import SpaceRangerFolder, read_space_ranger
from napari_prts.visium_hd.layout import BINNED, outs_of, square_name

if TYPE_CHECKING:
    from napari_prts.slide import Slide

SMALL_UM = 2
# A job can be cancelled between two parts.
_PARTS = 16

Numbers = NDArray[np.int64]
Places = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BinnedSection:
    """A section in bins of one size, sorted by gene.

    Parameters
    ----------
    path : Path
        The folder that was read.
    bin_um : int
        Side of a bin in micrometres.
    counts : csc_matrix, (bins, genes), int32
        UMI counts.
    genes : (genes,) str
        Symbols; a repeated one has got a number, as in the measured table.
    centres : (bins, 2) float64
        (row, column) in level-0 pixels.
    axes : (2, 2) float64
        From a bin to the next along the grid's rows and along its columns: each column of
        the matrix is such a step, (row, column) in level-0 pixels.
    simulated : bool
        Whether the counts were simulated.
    """

    path: Path
    bin_um: int
    counts: sparse.csc_matrix = field(repr=False)
    genes: NDArray[np.str_] = field(repr=False)
    centres: Places = field(repr=False)
    axes: Places
    simulated: bool

    def __len__(self) -> int:
        return len(self.centres)


def find_bins(path: Path | str, bin_um: int) -> tuple[Path, int]:
    """Find what bins of a size can be read from.

    Parameters
    ----------
    path : path
        A folder of bins or of cells of a Space Ranger run, as a measured table names it.
    bin_um : int
        8 or 16.

    Returns
    -------
    folder : Path
        The machine's own folder of such bins or, where that is not there, of 2 um bins.
    small_um : int
        Side of the bins in it.

    Raises
    ------
    VisiumHDError
        If neither is there.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise VisiumHDError(
            f"The Visium HD folder {path} is no longer there: connect its drive, or open the "
            "folder again where it is now (Predict panel)."
        )
    for size in (bin_um, SMALL_UM):
        name = square_name(size)
        for folder in (path, path.parent / name, outs_of(path) / BINNED / name):
            if folder.name == name and folder.is_dir():
                return folder, size
    raise VisiumHDError(
        f"Neither {square_name(bin_um)} nor {square_name(SMALL_UM)} lies beside {path}: copy one "
        "of them from the Space Ranger run."
    )


def read_bins(slide: Slide, path: Path | str, bin_um: int) -> Job[BinnedSection]:
    """Read bins of 8 or 16 um, or sum them from those of 2 um.

    Parameters
    ----------
    slide : Slide
        The image that Space Ranger was given.
    path : path
        See :func:`find_bins`.
    bin_um : int
        8 or 16.

    Yields
    ------
    Progress
        In steps.

    Returns
    -------
    BinnedSection
        The bins under tissue, as the machine counts them. A larger bin at the tissue's edge
        has the counts of those of its 2 um bins that lie under tissue.

    Raises
    ------
    VisiumHDError
        If the folder is gone or damaged, or belongs to another slide.
    MissingPixelSizeError
        If the slide's pixel size is unknown.
    """
    total = _PARTS + 2
    folder, size = find_bins(path, bin_um)
    yield Progress(0, total, "steps", f"reading {folder.name}")
    section = read_space_ranger(folder, size)
    check_scale(slide, section.mpp, section.path)
    check_on_slide(slide, section.positions, section.path)
    yield Progress(1, total, "steps", f"{len(section):,} bins of {size} um")
    bins = bins_of(section.barcodes)
    axes = _axes(bins, section)
    if size == bin_um:
        counts, centres = section.counts, section.positions
    else:
        counts, centres = yield from _summed(section, bins, axes, bin_um // size, total)
        axes = axes * (bin_um // size)
    yield Progress(total - 1, total, "steps", f"sorting {len(centres):,} bins by gene")
    return BinnedSection(
        path=folder,
        bin_um=bin_um,
        counts=counts.tocsc(),
        genes=_unique(section.genes),
        centres=centres,
        axes=axes,
        simulated=section.simulated,
    )


def _axes(bins: Numbers, section: SpaceRangerFolder) -> Places:
    """Steps of the grid in pixels, fitted over all bins: the grid is nearly straight."""
    middle = bins.mean(0)
    away = bins - middle
    if np.linalg.matrix_rank(away.T @ away) < 2:
        raise VisiumHDError(
            f"{section.path} has {len(section):,} bins in one line: too few to say how the grid "
            "lies. Copy the whole folder again."
        )
    fitted, *_ = np.linalg.lstsq(away, section.positions - section.positions.mean(0), rcond=None)
    axes: Places = fitted.T
    return axes


def _summed(
    section: SpaceRangerFolder, bins: Numbers, axes: Places, times: int, total: int
) -> Job[tuple[sparse.csr_matrix, Places]]:
    """Counts and centres of bins that are so many times as wide."""
    larger = bins // times
    _, group = np.unique(
        larger[:, 0] * (larger[:, 1].max() + 1) + larger[:, 1], return_inverse=True
    )
    # Where the larger bin's centre would be, by each of its bins: some may be missing.
    inside = (times - 1) / 2 - bins % times
    said = section.positions + inside @ axes.T
    members = np.bincount(group)
    centres = np.stack([np.bincount(group, said[:, axis]) / members for axis in (0, 1)], axis=1)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(members)])
    parts = []
    edges = np.linspace(0, len(members), _PARTS + 1).astype(np.int64)
    for number, (first, last) in enumerate(pairwise(edges)):
        some = order[starts[first] : starts[last]]
        owner = (group[some] - first, np.arange(len(some)))
        ones = np.ones(len(some), np.int32)
        sums = sparse.csr_matrix((ones, owner), shape=(last - first, len(some)))
        parts.append(sums @ section.counts[some])
        yield Progress(1 + number, total, "steps", f"summing into {len(members):,} bins")
    return sparse.csr_matrix(sparse.vstack(parts, format="csr")), centres


def _unique(genes: NDArray[np.str_]) -> NDArray[np.str_]:
    import pandas as pd
    from anndata.utils import make_index_unique

    return np.asarray(make_index_unique(pd.Index(genes)), str)
