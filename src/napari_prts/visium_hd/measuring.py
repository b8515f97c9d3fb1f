"""Bins into nuclei: measured expression of each cell, filtered as the paper does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import NucleiError, VisiumHDError
from napari_prts.jobs import Job, Progress
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd.belonging import check_on_slide, check_scale
from napari_prts.visium_hd.bins import SEVERAL_NUCLEI, assign_bins
from napari_prts.visium_hd.cells import table_of
from napari_prts.visium_hd.folder import SpaceRangerFolder
from napari_prts.visium_hd.marking import mark_genes
from napari_prts.visium_hd.request import PAPER_MPP, MeasureRequest

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["PAPER_MPP", "MeasureRequest", "measure"]

_STEPS = 4
# The paper's; with larger bins a nucleus would be one bin, and that one not its own.
_BIN_UM = 2


def measure(
    slide: Slide, nuclei: Nuclei, folder: SpaceRangerFolder, request: MeasureRequest | None = None
) -> Job[AnnData]:
    """Sum bins into the one nucleus they belong to, filter the cells, select genes.

    Parameters
    ----------
    slide : Slide
        The full-resolution image that Space Ranger was given.
    nuclei : Nuclei
        Its nuclei.
    folder : SpaceRangerFolder
        The measured section, in bins of 2 um.
    request : MeasureRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        In steps; the notes tell the counts of each.

    Returns
    -------
    AnnData
        ``X`` raw counts (cells x genes, csr, int32), indexed by nucleus id;
        ``obs`` id, area_um2, n_umi, n_genes, mito; ``var`` gene_ids, selected;
        ``obsm["spatial"]`` (x, y) in level-0 pixels; ``uns["visium_hd"]`` tells
        from what, how many bins belong to one nucleus and to several,
        ``ambiguous_share`` (of the bins that belong to any), how many nuclei were left
        after each filter, and how many genes after each step of the selection. For a
        simulated section also ``layers["true_rate"]`` (NaN for a cell that the
        simulation did not know) and ``var["varies"]``.

    Raises
    ------
    NucleiError
        If there are no nuclei.
    VisiumHDError
        If the section belongs to another slide or another scale of it, is of bins
        larger than 2 um, no nucleus passes the filters, or no gene asked for is known.
    """
    request = request or MeasureRequest()
    if not len(nuclei):
        raise NucleiError("There are no nuclei to measure: find or import nuclei first.")
    _require_small_bins(folder)
    mpp = check_scale(slide, folder.mpp, folder.path)
    check_on_slide(slide, folder.positions, folder.path)
    yield Progress(0, _STEPS, "steps", f"finding the nucleus of {len(folder):,} bins")
    assigned = assign_bins(nuclei, folder.positions, request.grow_um / mpp)
    bins = _told_of_bins(assigned)
    told = f"summing {bins['bins_in_one_nucleus']:,} bins into {len(nuclei):,} nuclei"
    left_out = f"{bins['ambiguous_share']:.1%} of those in nuclei are in several and left out"
    yield Progress(1, _STEPS, "steps", f"{told}; {left_out}")
    counts = _summed(folder.counts, assigned, len(nuclei))
    measured, keep = table_of(counts, nuclei, folder.genes, folder.gene_ids, mpp, request)
    measured.uns["visium_hd"] |= {**_provenance(slide, folder), **bins}
    yield Progress(2, _STEPS, "steps", f"{len(keep):,} nuclei pass; selecting genes")
    marked = mark_genes(measured, request)
    marked.write_to(measured)
    yield Progress(3, _STEPS, "steps", marked.note)
    if folder.truth is not None:
        from napari_prts.visium_hd.truth import attach_truth

        attach_truth(measured, nuclei.take(keep), mpp, folder.truth)
    yield Progress(_STEPS, _STEPS, "steps", marked.note)
    return measured


def _require_small_bins(folder: SpaceRangerFolder) -> None:
    if folder.bin_um != _BIN_UM:
        raise VisiumHDError(
            f"{folder.path} holds bins of {folder.bin_um:g} um, as wide as a nucleus or wider: "
            f"nuclei are made from bins of {_BIN_UM} um. Read the folder square_002um of the same "
            "run."
        )


def _told_of_bins(assigned: NDArray[np.int64]) -> dict[str, Any]:
    inside, several = int((assigned >= 0).sum()), int((assigned == SEVERAL_NUCLEI).sum())
    return {
        "bins": len(assigned),
        "bins_in_one_nucleus": inside,
        "bins_in_several_nuclei": several,
        "ambiguous_share": several / max(inside + several, 1),
    }


def _summed(
    counts: sparse.csr_matrix, assigned: NDArray[np.int64], nuclei: int
) -> sparse.csr_matrix:
    """Counts of each nucleus, (nuclei, genes)."""
    bins = np.flatnonzero(assigned >= 0)
    ones = np.ones(len(bins), np.int32)
    membership = sparse.csr_matrix(
        (ones, (assigned[bins], np.arange(len(bins)))), shape=(nuclei, len(bins))
    )
    summed = sparse.csr_matrix(membership @ counts[bins])
    summed.sort_indices()
    return summed


def _provenance(slide: Slide, folder: SpaceRangerFolder) -> dict[str, Any]:
    return {
        "path": str(folder.path),
        "kind": "simulated" if folder.simulated else "measured",
        "simulated": folder.simulated,
        "slide_fingerprint": slide.fingerprint,
        "slide_mpp": slide.require_mpp(),
        "mpp": folder.mpp,
        "bin_um": folder.bin_um,
    }
