"""Cells with their counts: what is known of each, which are kept, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd.request import MeasureRequest

if TYPE_CHECKING:
    from anndata import AnnData

Columns = dict[str, NDArray[Any]]


def describe(
    counts: sparse.csr_matrix, genes: NDArray[np.str_], nuclei: Nuclei, mpp: float
) -> Columns:
    """Columns of ``obs``: id, area_um2, n_umi, n_genes and the share of mitochondrial UMI.

    Parameters
    ----------
    counts : csr_matrix, (nuclei, genes)
    genes : (genes,) str
        Symbols; those of mitochondrial genes begin with ``MT-`` or ``mt-``.
    nuclei : Nuclei
    mpp : float
        Microns per level-0 pixel.
    """
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


def passing(cells: Columns, request: MeasureRequest) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Find the cells that pass the filters.

    Parameters
    ----------
    cells : dict
        From :func:`describe`.
    request : MeasureRequest
        The limits; a cell on a limit does not pass.

    Returns
    -------
    keep : int64
        Positions of the cells that pass.
    left : dict of int
        How many are left after each step.

    Raises
    ------
    VisiumHDError
        If none is left, saying how many each step left.
    """
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


def table_of(
    counts: sparse.csr_matrix,
    nuclei: Nuclei,
    genes: NDArray[np.str_],
    gene_ids: NDArray[np.str_],
    mpp: float,
    request: MeasureRequest,
) -> tuple[AnnData, NDArray[np.int64]]:
    """Make the table of the cells that pass the filters.

    Parameters
    ----------
    counts : csr_matrix, (nuclei, genes), int32
    nuclei : Nuclei
    genes, gene_ids : (genes,) str
        Symbols, which may repeat, and identifiers.
    mpp : float
        Microns per level-0 pixel.
    request : MeasureRequest

    Returns
    -------
    table : AnnData
        Cells x genes, indexed by the id of the nucleus; ``obs`` as :func:`describe`
        gives it; ``var`` is indexed by symbols, of which repeated ones get names of
        their own, and has ``gene_ids``; ``obsm["spatial"]`` is (x, y) in level-0
        pixels; ``uns["visium_hd"]`` has ``filters`` and ``thresholds``.
    keep : int64
        Positions of its cells in ``nuclei``.

    Raises
    ------
    VisiumHDError
        If no cell passes.
    """
    import pandas as pd
    from anndata import AnnData
    from anndata.utils import make_index_unique

    cells = describe(counts, genes, nuclei, mpp)
    keep, filters = passing(cells, request)
    cells = {name: values[keep] for name, values in cells.items()}
    table = AnnData(
        X=counts[keep],
        obs=pd.DataFrame(cells, index=cells["id"].astype(str)),
        var=pd.DataFrame({"gene_ids": gene_ids}, index=make_index_unique(pd.Index(genes))),
        obsm={"spatial": nuclei.centroids[keep, ::-1].astype(np.float32)},
        uns={"visium_hd": {"filters": filters, "thresholds": request.thresholds()}},
    )
    return table, keep
