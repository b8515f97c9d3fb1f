"""How strongly a picture is stained: optical density of haematoxylin and of eosin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Density = NDArray[np.float32]

# Rows: red, green and blue optical density of haematoxylin and of eosin;
# A. C. Ruifrok and D. A. Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291, with the
# numbers of scikit-image's ``rgb_from_hed``.
STAIN_VECTORS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
# Below this mean density a pixel within tissue is a gap, and says nothing about the stain.
_GAP = 0.05


@dataclass(frozen=True)
class StainStrength:
    """Mean optical density of each stain where there is tissue.

    Parameters
    ----------
    haematoxylin, eosin : float
        Decadic optical density along the stain's vector of length one; 0 is unstained, a
        usual section has 0.1 to 0.6.
    """

    haematoxylin: float
    eosin: float


def optical_density(pixels: NDArray[np.generic], background: tuple[int, int, int]) -> Density:
    """Return what each channel absorbs beyond bare glass.

    Parameters
    ----------
    pixels : ndarray, shape (..., 3)
        Grey values 0 to 255.
    background : tuple of int
        Red, green, blue of bare glass.

    Returns
    -------
    ndarray of float32, shape (..., 3)
        Decadic optical density; slightly below 0 where it is lighter than the glass.
    """
    glass = np.log10(np.asarray(background, np.float32) + 1)
    return np.asarray(glass - np.log10(pixels.astype(np.float32) + 1), np.float32)


def unmixed(density: Density) -> Density:
    """Return haematoxylin and eosin, neither below 0, that come nearest to a density.

    Two stains, not three: a residual takes the eosin of slides whose haematoxylin is bluer
    than in the year of the vectors.

    Parameters
    ----------
    density : ndarray of float32, shape (..., 3)
        As :func:`optical_density` gives it.

    Returns
    -------
    ndarray of float32, shape (..., 2)
        Density along vectors of length one.
    """
    vectors = np.array(STAIN_VECTORS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    along = np.asarray(density @ vectors.T.astype(np.float32), np.float32)
    shared = np.float32(vectors[0] @ vectors[1])
    both = (along - shared * along[..., ::-1]) / (1 - shared**2)
    # Where one stain would be negative, the other alone comes nearest.
    alone = np.where(both[..., ::-1] < 0, along, both)
    return np.asarray(np.maximum(np.where(both < 0, 0, alone), 0), np.float32)


def stain_strength(density: Density, tissue: NDArray[np.bool_]) -> StainStrength | None:
    """Measure the stains of tissue.

    Parameters
    ----------
    density : ndarray of float32, shape (row, column, 3)
        As :func:`optical_density` gives it.
    tissue : ndarray of bool, shape (row, column)
        Where tissue is; gaps in it are left out.

    Returns
    -------
    StainStrength or None
        None if nothing is stained.
    """
    stained = density[tissue & (density.mean(axis=2) > _GAP)]
    if not len(stained):
        return None
    haematoxylin, eosin = unmixed(stained).mean(axis=0)
    return StainStrength(float(haematoxylin), float(eosin))
