"""Made-up sections: cells in a strip of tissue whose looks tell their expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from napari_prts.features import Features
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide

MPP = 0.5
GENES = 24
LOCAL, CONTEXT = 12, 8


@dataclass(frozen=True)
class Section:
    slide: Slide
    nuclei: Nuclei
    features: Features
    measured: AnnData


def make_section(
    cells: int = 500, seed: int = 0, simulated: bool = True, tissue: int | None = None
) -> Section:
    """Cells of two types on 1.0 x 1.4 mm; the type shows in the features, noisily.

    What looks mean is decided by ``tissue``, by default another one for each seed.
    """
    rng = np.random.default_rng(seed)
    slide = Slide.from_array(np.full((8, 8, 3), seed % 256, np.uint8), mpp=MPP, name="made-up")
    centres = rng.uniform((20, 20), (2780, 1980), size=(cells, 2))
    square = np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])
    nuclei = Nuclei.from_polygons(centres[:, None] + square, ids=np.arange(cells) * 3 + 5)
    activity = rng.normal(size=(cells, 2))
    nature = rng if tissue is None else np.random.default_rng(1000 + tissue)
    weights = nature.normal(size=(2, LOCAL + CONTEXT))
    looks = activity @ weights + 0.5 * rng.normal(size=(cells, LOCAL + CONTEXT))
    looks = (looks * 7 + 100).astype(np.float32)
    features = Features(
        ids=nuclei.ids,
        local=looks[:, CONTEXT:],
        context=looks[:, :CONTEXT],
        encoder="made-up",
        encoder_key="made-up-1",
        mpp=MPP,
        settings={"tile": 256, "stain": None},
    )
    return Section(
        slide, nuclei, features, measure(slide, nuclei, activity, rng, nature, simulated)
    )


def measure(
    slide: Slide,
    nuclei: Nuclei,
    activity: np.ndarray,
    rng: np.random.Generator,
    nature: np.random.Generator,
    simulated: bool,
) -> AnnData:
    slopes = nature.normal(size=(2, GENES))
    rates = np.exp(activity @ slopes * 0.7) * nature.uniform(0.5, 3, GENES)
    counts = sparse.csr_matrix(rng.poisson(rates).astype(np.int32))
    measured = AnnData(
        counts,
        obs=pd.DataFrame({"id": nuclei.ids}, index=nuclei.ids.astype(str)),
        var=pd.DataFrame(index=[f"GENE{i}" for i in range(GENES)]),
        layers={"true_rate": rates.astype(np.float32)},
        obsm={"spatial": nuclei.centroids[:, ::-1].copy()},
    )
    measured.uns["visium_hd"] = {
        "simulated": simulated,
        "slide_fingerprint": slide.fingerprint,
    }
    return measured
