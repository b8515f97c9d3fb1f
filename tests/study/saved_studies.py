"""Studies with all that can be saved, made up in a moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study

GENES = ("KRT5", "CD3E", "EPCAM", "HLA-A", "IVL", "COL1A1")


def cells_of(nuclei: Nuclei, seed: int, **about: object) -> AnnData:
    """Made-up counts; KRT5 is zero in every second cell."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3.0, (len(nuclei), len(GENES))).astype(np.float32)
    counts[::2, 0] = 0
    obs = pd.DataFrame({"id": nuclei.ids, "area_um2": nuclei.areas}, index=nuclei.ids.astype(str))
    return AnnData(
        counts,
        obs=obs,
        var=pd.DataFrame(index=list(GENES)),
        obsm={"spatial": nuclei.centroids[:, ::-1].copy()},
        uns=dict(about),
    )


def predicted_of(nuclei: Nuclei) -> AnnData:
    about = {
        "kind": "predicted",
        "model_hash": "0123456789abcdef",
        "encoder": "morphology",
        "trained_on": "measured",
    }
    table = cells_of(nuclei, 1, prts=about)
    table.layers["p_expressed"] = np.ones(table.shape, np.float32)
    table.obs["confidence"] = np.linspace(0, 1, table.n_obs, dtype=np.float32)
    return table


def measured_of(nuclei: Nuclei, simulated: bool = False) -> AnnData:
    table = cells_of(nuclei.take(np.arange(len(nuclei) - 3)), 2, visium_hd={"simulated": simulated})
    table.X = sparse.csr_matrix(table.X)
    return table


def clustered(table: AnnData) -> AnnData:
    """With three clusters, their colours and a UMAP."""
    made = table.copy()
    groups = np.array(["0", "1", "tumour"])[np.arange(table.n_obs) % 3]
    made.obs["leiden"] = pd.Categorical(groups)
    made.obs["leiden_small"] = False
    made.obsm["X_umap"] = np.random.default_rng(0).normal(size=(table.n_obs, 2))
    made.uns["leiden_colors"] = ["#1f77b4", "#ff7f0e", "#279e68"]
    made.uns["leiden"] = {"params": {"resolution": 0.6, "seed": None}, "small_below": 2}
    return made


def full_study(slide: Slide, nuclei: Nuclei, simulated: bool = False) -> Study:
    """Nuclei, measured and predicted cells, clusters and chosen cells."""
    study = Study(slide, autosave=False)
    study.set_nuclei(nuclei, {"model": "threshold"})
    study.set_measured(measured_of(nuclei, simulated))
    study.set_predicted(predicted_of(nuclei))
    study.set_clusters("predicted", clustered(study.expression("predicted")))
    study.choose(nuclei.ids[[4, 7, 11]])
    return study
