"""The rates behind a simulated section, put beside its counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.errors import VisiumHDError
from napari_prts.nuclei import Nuclei

if TYPE_CHECKING:
    from anndata import AnnData

_SAME_CELL_UM = 2.0


def attach_truth(measured: AnnData, nuclei: Nuclei, mpp: float, path: Path) -> None:
    """Add ``layers["true_rate"]`` and ``var["varies"]`` to cells of a simulated section.

    A cell is the one that was simulated if it has the same id and its centroid
    has moved by less than 2 um: nuclei found anew may bear the same numbers.
    Other cells get NaN; if there is no such cell at all, no layer is added.

    Parameters
    ----------
    measured : AnnData
        Changed in place; its genes are in the order of the simulation.
    nuclei : Nuclei
        The nuclei of its rows.
    mpp : float
        Microns per level-0 pixel.
    path : Path
        ``truth.h5ad``.

    Raises
    ------
    VisiumHDError
        If the file is damaged or of another section.
    """
    import anndata
    import pandas as pd

    try:
        truth = anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise VisiumHDError(
            f"{path} cannot be read ({error}): simulate the section again."
        ) from error
    if not truth.var_names.equals(measured.var_names):
        raise VisiumHDError(
            f"{path} and the counts beside it name different genes: simulate the section again."
        )
    rows = pd.Index(truth.obs["id"]).get_indexer(nuclei.ids)
    moved = np.abs(truth.obsm["spatial"][rows] - nuclei.centroids[:, ::-1]).max(1) * mpp
    known = (rows >= 0) & (moved < _SAME_CELL_UM)
    measured.var["varies"] = truth.var["varies"].to_numpy()
    measured.uns["visium_hd"]["cells_without_true_rate"] = int((~known).sum())
    if known.any():
        rates = np.full(measured.shape, np.nan, np.float32)
        rates[known] = truth.X[rows[known]]
        measured.layers["true_rate"] = rates
