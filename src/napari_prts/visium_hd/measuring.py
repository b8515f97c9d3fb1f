"""Bins into nuclei: measured expression of each cell, filtered as the paper does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import NucleiError, VisiumHDError
from napari_prts.jobs import Job, Progress
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd.bins import SEVERAL_NUCLEI, assign_bins
from napari_prts.visium_hd.folder import SpaceRangerFolder

if TYPE_CHECKING:
    from anndata import AnnData

PAPER_MPP = 0.5
_MPP_TOLERANCE = 0.02
_MOST_OFF_SLIDE = 0.01
_STEPS = 4


@dataclass(frozen=True)
class MeasureRequest:
    """How bins become cells; the defaults are the paper's.

    Parameters
    ----------
    max_area_px : float
        Nuclei must be smaller, in pixels of 0.5 um: 2,000 px are 500 um2.
    min_umi : int
        Nuclei must have more UMI.
    max_mito : float
        Nuclei must have a smaller share of mitochondrial UMI, 0 to 1.
    select_genes : bool
        Whether to mark the genes that differ between Leiden clusters; all genes
        that were detected are marked otherwise.
    n_top : int
        Highly variable genes to start the selection from.
    resolution : float
        Of the Leiden clusters.
    seed : int
        Of the clusters.
    """

    max_area_px: float = 2000
    min_umi: int = 20
    max_mito: float = 0.15
    select_genes: bool = True
    n_top: int = 2000
    resolution: float = 0.6
    seed: int = 0

    @property
    def max_area_um2(self) -> float:
        """The largest area in um2."""
        return self.max_area_px * PAPER_MPP**2


def measure(
    slide: Slide, nuclei: Nuclei, folder: SpaceRangerFolder, request: MeasureRequest | None = None
) -> Job[AnnData]:
    """Sum bins into the one nucleus that contains them, filter the cells, select genes.

    Parameters
    ----------
    slide : Slide
        The full-resolution image that Space Ranger was given.
    nuclei : Nuclei
        Its nuclei.
    folder : SpaceRangerFolder
        The measured section.
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
        from what, and how many nuclei were left after each filter. For a
        simulated section also ``layers["true_rate"]`` (NaN for a cell that the
        simulation did not know) and ``var["varies"]``.

    Raises
    ------
    NucleiError
        If there are no nuclei.
    VisiumHDError
        If the section belongs to another slide or another scale of it, or no
        nucleus passes the filters.
    """
    request = request or MeasureRequest()
    if not len(nuclei):
        raise NucleiError("There are no nuclei to measure: find or import nuclei first.")
    mpp = _check_same_slide(slide, folder)
    yield Progress(0, _STEPS, "steps", f"finding the nucleus of {len(folder):,} bins")
    assigned = assign_bins(nuclei, folder.positions)
    inside, several = int((assigned >= 0).sum()), int((assigned == SEVERAL_NUCLEI).sum())
    yield Progress(1, _STEPS, "steps", f"summing {inside:,} bins into {len(nuclei):,} nuclei")
    counts = _summed(folder.counts, assigned, len(nuclei))
    cells = _describe(counts, folder.genes, nuclei, mpp)
    keep, filters = _filter(cells, request)
    bins = {"bins": len(folder), "bins_in_one_nucleus": inside, "bins_in_several_nuclei": several}
    cells = {name: values[keep] for name, values in cells.items()}
    measured = _table(counts[keep], cells, nuclei.take(keep), folder)
    measured.uns["visium_hd"] = {
        **_provenance(slide, folder),
        **bins,
        "filters": filters,
        "thresholds": {"max_area_um2": request.max_area_um2, **asdict(request)},
    }
    yield Progress(2, _STEPS, "steps", f"{filters['kept']:,} nuclei pass; selecting genes")
    note = _select(measured, request)
    yield Progress(3, _STEPS, "steps", note)
    if folder.truth is not None:
        from napari_prts.visium_hd.truth import attach_truth

        attach_truth(measured, nuclei.take(keep), mpp, folder.truth)
    yield Progress(_STEPS, _STEPS, "steps", note)
    return measured


def _check_same_slide(slide: Slide, folder: SpaceRangerFolder) -> float:
    """Refuse a section of another slide; returns the slide's mpp."""
    mpp = slide.require_mpp()
    if abs(folder.mpp / mpp - 1) > _MPP_TOLERANCE:
        raise VisiumHDError(
            f"{folder.path} was made from an image of {folder.mpp:.4g} um/px, but the slide has "
            f"{mpp:.4g} um/px: it belongs to another slide or another scale of it. Open the image "
            "that Space Ranger was given, or correct the slide's microns per pixel."
        )
    height, width = slide.shape
    outside = ((folder.positions < 0) | (folder.positions > (height, width))).any(1)
    if outside.mean() > _MOST_OFF_SLIDE:
        low, high = folder.positions.min(0), folder.positions.max(0)
        raise VisiumHDError(
            f"{outside.mean():.0%} of the bins of {folder.path} lie outside the slide (rows "
            f"{low[0]:.0f} to {high[0]:.0f} of {height}, columns {low[1]:.0f} to {high[1]:.0f} of "
            f"{width}): it belongs to another slide. Open the image that Space Ranger was given."
        )
    return mpp


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


def _describe(
    counts: sparse.csr_matrix, genes: NDArray[np.str_], nuclei: Nuclei, mpp: float
) -> dict[str, NDArray[Any]]:
    """Columns of ``obs``."""
    total = np.asarray(counts.sum(1)).ravel()
    mitochondrial = np.char.startswith(np.char.lower(genes), "mt-")
    from_mitochondria = np.asarray(counts[:, mitochondrial].sum(1)).ravel()
    return {
        "id": nuclei.ids,
        "area_um2": (nuclei.areas * mpp**2).astype(np.float32),
        "n_umi": total.astype(np.int64),
        "n_genes": np.diff(counts.indptr).astype(np.int64),
        "mito": (from_mitochondria / np.maximum(total, 1)).astype(np.float32),
    }


def _filter(
    cells: dict[str, NDArray[Any]], request: MeasureRequest
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Positions of the nuclei that pass, and how many are left after each step."""
    keep = np.ones(len(cells["id"]), bool)
    left = {"nuclei": len(keep)}
    steps = (
        ("after_area", cells["area_um2"] < request.max_area_um2),
        ("after_umi", cells["n_umi"] > request.min_umi),
        ("after_mito", cells["mito"] < request.max_mito),
    )
    for name, passed in steps:
        keep &= passed
        left[name] = int(keep.sum())
    left["kept"] = left["after_mito"]
    if not left["kept"]:
        raise VisiumHDError(
            f"No nucleus is left: of {left['nuclei']:,} nuclei, {left['after_area']:,} are smaller "
            f"than {request.max_area_um2:g} um2, {left['after_umi']:,} of these have more than "
            f"{request.min_umi} UMI, {left['after_mito']:,} of these less than "
            f"{request.max_mito:.0%} mitochondrial UMI. Check that nuclei and section belong to "
            "this slide, or loosen the filters."
        )
    return np.flatnonzero(keep), left


def _table(
    counts: sparse.csr_matrix,
    cells: dict[str, NDArray[Any]],
    nuclei: Nuclei,
    folder: SpaceRangerFolder,
) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from anndata.utils import make_index_unique

    return AnnData(
        X=counts,
        obs=pd.DataFrame(cells, index=cells["id"].astype(str)),
        var=pd.DataFrame(
            {"gene_ids": folder.gene_ids}, index=make_index_unique(pd.Index(folder.genes))
        ),
        obsm={"spatial": nuclei.centroids[:, ::-1].astype(np.float32)},
    )


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


def _select(measured: AnnData, request: MeasureRequest) -> str:
    """Set ``var["selected"]``, tell how in ``uns``, and return a note."""
    from napari_prts.visium_hd.selection import select_genes

    detected = np.asarray(measured.X.sum(0)).ravel() > 0
    if not request.select_genes:
        selected, clusters, reason = detected, 0, "selection was switched off"
    else:
        selected, clusters, reason = select_genes(
            measured, request.n_top, request.resolution, request.seed
        )
    if reason:
        selected = detected
        note = f"all {int(detected.sum()):,} genes detected are kept: {reason}"
    else:
        note = f"{int(selected.sum()):,} genes differ between {clusters} clusters"
    measured.var["selected"] = selected
    measured.uns["visium_hd"]["selection"] = {
        "note": note,
        "clusters": clusters,
        "selected": int(selected.sum()),
        "all_detected": bool(reason),
    }
    return note
