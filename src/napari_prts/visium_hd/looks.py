"""What is visible of a nucleus, and the latent cell types that follow from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from napari_prts.nuclei import Measurements, neighbourhood

LOOKS = ("size", "elongation", "haematoxylin", "eosin around", "texture", "density")
"""Visible quantities that drive a simulated cell, each standardised over the section."""

PROTOTYPES: dict[str, tuple[float, ...]] = {
    "basal epithelium": (0.2, 0.2, 0.8, -0.3, 0.0, 1.2),
    "differentiated epithelium": (1.0, -0.6, -0.6, 0.6, 0.3, 0.6),
    "fibroblast": (-0.3, 1.2, 0.2, 0.5, -0.4, -1.0),
    "smooth muscle": (0.4, 1.4, -0.4, 1.2, 0.0, -0.2),
    "endothelium": (-0.6, 0.8, 0.6, -0.6, 0.4, -0.6),
    "T cell": (-1.2, -0.8, 1.0, -1.0, -0.4, 0.8),
    "B and plasma cell": (-0.4, -1.0, 0.8, -0.2, 1.0, -0.2),
    "macrophage": (0.8, -0.4, -0.8, -0.4, -0.2, -0.8),
}
"""Where each type lies among the :data:`LOOKS`, in standard deviations; set by hand."""

SHARES = (0.16, 0.18, 0.20, 0.10, 0.09, 0.10, 0.07, 0.10)
"""Share of each type in a section, in the order of :data:`PROTOTYPES`."""

DENSITY_RADIUS_UM = 50.0
"""How far density is looked for: within the 128 um tile that an encoder sees."""

_LIMIT = 2.5


def look_at(measurements: Measurements, centroids_um: NDArray[np.floating]) -> NDArray[np.float64]:
    """Gather what drives the simulation from what was measured on the nuclei.

    Parameters
    ----------
    measurements : Measurements
        Of the nuclei.
    centroids_um : (n, 2)
        In microns.

    Returns
    -------
    (n, looks) float64
        Standardised, in the order of :data:`LOOKS`.
    """
    measured = dict(zip(measurements.names, measurements.values.astype(np.float64).T, strict=True))
    density = neighbourhood(measurements.values[:, :0], centroids_um, (DENSITY_RADIUS_UM,))[1]
    looks = (
        np.log(measured["area_um2"]),
        measured["eccentricity"],
        measured["haematoxylin_mean"],
        measured["ring_eosin_mean"],
        measured["haematoxylin_std"],
        np.sqrt(density[:, 0].astype(np.float64)),
    )
    return standardise(np.column_stack(looks))


def standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre (n, k) values on the median in units of their robust spread, within +-2.5."""
    centred = values - np.median(values, axis=0)
    # 1.4826 makes the median absolute deviation of a normal distribution its sigma.
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return np.clip(scaled, -_LIMIT, _LIMIT)


def soft_types(
    looks: NDArray[np.float64], temperature: float, hidden: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How much each cell is of each type.

    Parameters
    ----------
    looks : (cells, looks) float64
        Standardised.
    temperature : float
        Higher gives more mixed cells.
    hidden : float
        Standard deviation of the part of each type's logit that cannot be seen.

    Returns
    -------
    (cells, types) float64
        Each row sums to 1; each column's mean is about the type's share.
    """
    prototypes = np.array(list(PROTOTYPES.values()))
    distance = ((looks[:, None] - prototypes) ** 2).sum(2)
    logits = -distance / (2 * temperature) + rng.normal(0, hidden, distance.shape)
    offsets = np.zeros(len(prototypes))
    memberships: NDArray[np.float64] = softmax(logits, axis=1)
    for _ in range(100):
        memberships = softmax(logits + offsets, axis=1)
        offsets += 0.7 * np.log(np.array(SHARES) / np.maximum(memberships.mean(0), 1e-9))
    return memberships
