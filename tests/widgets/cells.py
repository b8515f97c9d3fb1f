"""Cells of three made-up types, predicted and measured, on real nuclei."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from napari_prts.analysis.broad_types import MARKERS
from napari_prts.nuclei import Nuclei

TYPES = ("neuron", "epithelial", "macrophage")
GENES = [gene for kind in TYPES for gene in MARKERS[kind][:8]] + [f"HOUSE{n}" for n in range(12)]


def kinds_of(nuclei: Nuclei) -> np.ndarray:
    """Type of each nucleus: half neurons, three in eight epithelial, one in eight macrophages."""
    return np.array([0, 0, 0, 0, 1, 1, 1, 2])[np.arange(len(nuclei)) % 8]


def measured_cells(nuclei: Nuclei, seed: int = 0) -> AnnData:
    """Counts in which each type has more of its own markers."""
    rng = np.random.default_rng(seed)
    return _table(nuclei, rng.poisson(_rates(nuclei)))


def predicted_cells(nuclei: Nuclei, seed: int = 1) -> AnnData:
    """Smooth values, near what the counts were drawn from."""
    rng = np.random.default_rng(seed)
    rates = _rates(nuclei)
    return _table(nuclei, rates * rng.lognormal(0, 0.2, rates.shape))


def _rates(nuclei: Nuclei) -> np.ndarray:
    rates = np.full((len(nuclei), len(GENES)), 1.0)
    for kind in range(len(TYPES)):
        rates[kinds_of(nuclei) == kind, 8 * kind : 8 * kind + 8] = 9.0
    return rates


def _table(nuclei: Nuclei, values: np.ndarray) -> AnnData:
    ids = np.asarray(nuclei.ids)
    table = AnnData(
        np.asarray(values, np.float32),
        obs=pd.DataFrame({"id": ids}, index=ids.astype(str)),
        var=pd.DataFrame(index=GENES),
    )
    table.obsm["spatial"] = np.asarray(nuclei.centroids)[:, ::-1].astype(np.float32)
    return table
