"""Tables as squidpy, scanpy and CELLxGENE expect them: places, a small picture, colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.slide.overview import overview

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.slide import Slide

# Longest side in pixels of the pictures in Space Ranger's folders, hires and lowres.
_PICTURES = {"hires": 2000, "lowres": 600}
# A nucleus of H&E is some 8 um across; for the size of dots where no area is known.
_NUCLEUS_UM = 8.0


def for_other_tools(table: AnnData, slide: Slide, clustered: AnnData | None = None) -> AnnData:
    """Copy a table and add what other tools look for; ``X`` stays what it is.

    Parameters
    ----------
    table : AnnData
        Predicted or measured cells.
    slide : Slide
        Their slide.
    clustered : AnnData, optional
        The same cells with clusters.

    Returns
    -------
    AnnData
        ``obsm["spatial"]`` is (x, y) in level-0 pixels, ``uns["spatial"][library]`` holds two
        pictures of the slide and Space Ranger's scale factors, so that
        ``squidpy.pl.spatial_scatter`` and ``scanpy.pl.spatial`` draw the cells on the H&E.
        ``obsm["X_spatial"]`` is (x, -y) in um (pixels where no pixel size is known) for
        viewers that list only keys that begin with ``X_``, such as CELLxGENE, and have y
        upwards. ``layers["counts"]`` holds measured counts. Clusters come with their colours,
        PCA and UMAP. ``uns["title"]`` says predicted, measured or simulated.
    """
    made = with_clusters_of(table, clustered)
    mpp = slide.mpp or 1.0
    places = np.asarray(made.obsm["spatial"], np.float64)
    made.obsm["spatial"] = places
    made.obsm["X_spatial"] = (places * [mpp, -mpp]).astype(np.float32)
    made.uns["spatial"] = {library_of(slide): _library(made, slide)}
    made.uns["title"] = f"{slide.name}: {kind_of(table)} expression"
    return made


def with_clusters_of(table: AnnData, clustered: AnnData | None) -> AnnData:
    """Copy a table with the clusters of its cells, text as categories, counts as a layer.

    Parameters
    ----------
    table : AnnData
        Predicted or measured cells.
    clustered : AnnData, optional
        The same cells with clusters.
    """
    made = table.copy()
    if clustered is not None:
        for column in clustered.obs.columns.difference(table.obs.columns):
            made.obs[column] = clustered.obs[column].to_numpy()
        made.obs["leiden"] = clustered.obs["leiden"].array
        made.obsm.update({n: v for n, v in clustered.obsm.items() if n.startswith("X_")})
        made.uns.update({n: v for n, v in clustered.uns.items() if n.startswith("leiden")})
    for column in made.obs.select_dtypes(["object", "string"]).columns:
        made.obs[column] = made.obs[column].astype("category")
    if kind_of(table) != "predicted":
        made.layers["counts"] = made.X.copy()
    return made


def kind_of(table: AnnData) -> str:
    """Tell what a table's expression is: ``"predicted"``, ``"measured"`` or ``"simulated"``."""
    if "prts" in table.uns:
        return "predicted"
    return "simulated" if table.uns.get("visium_hd", {}).get("simulated", False) else "measured"


def library_of(slide: Slide) -> str:
    """Name a slide as a library: letters, digits, ``-``, ``_`` and ``.`` only."""
    return re.sub(r"[^\w.-]+", "_", slide.name).strip("_") or "slide"


def _library(table: AnnData, slide: Slide) -> dict[str, Any]:
    """Space Ranger's pictures and scale factors of one library."""
    pictures, factors = {}, {}
    for name, side in _PICTURES.items():
        picture, downsample = overview(slide, side)
        pictures[name] = picture
        factors[f"tissue_{name}_scalef"] = 1.0 / downsample
    diameter = _cell_diameter(table, slide)
    return {
        "images": pictures,
        "scalefactors": {
            **factors,
            "spot_diameter_fullres": diameter,
            "fiducial_diameter_fullres": diameter,
            **({"microns_per_pixel": slide.mpp} if slide.mpp is not None else {}),
        },
        "metadata": {"source_image_path": slide.name, "slide_fingerprint": slide.fingerprint},
    }


def _cell_diameter(table: AnnData, slide: Slide) -> float:
    """Diameter of a circle as large as the median cell, in level-0 pixels."""
    across = _NUCLEUS_UM
    if "area_um2" in table.obs and table.n_obs:
        across = 2 * float(np.sqrt(np.nanmedian(table.obs["area_um2"]) / np.pi))
    return float(across / (slide.mpp or 1.0))
