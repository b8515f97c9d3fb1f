"""The simplest description of a spot: 50 colour and texture numbers of a patch around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# A patch of 224 px at the 0.69 um/px of the sections, as published predictors cut them.
SIDE, MPP = 224, 0.69


def patch_numbers(slide: Slide, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Describe the patch of 155 um around each centre, (row, column) in level-0 pixels.

    Returns
    -------
    ndarray of float64, shape (n, 50)
    """
    half = SIDE / 2 * MPP / slide.require_mpp()
    corners = (centres + 0.5 - half).tolist()
    return np.array([_numbers(slide.read(r, c, SIDE, SIDE, mpp=MPP)) for r, c in corners])


def _numbers(patch: NDArray[np.uint8]) -> list[float]:
    from skimage.color import rgb2hed
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    channels = np.dstack([patch / 255, rgb2hed(patch)[..., :2]]).reshape(-1, 5)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    found = [*channels.mean(0), *channels.std(0)]
    found += np.percentile(channels, [10, 50, 90], axis=0).ravel().tolist()
    patterns = local_binary_pattern(grey, 8, 1, "uniform").astype(int)
    found += (np.bincount(patterns.ravel(), minlength=10) / patterns.size).tolist()
    for sigma in (1, 2, 4):
        blurred = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma)
        size = np.hypot(cv2.Sobel(blurred, -1, 1, 0), cv2.Sobel(blurred, -1, 0, 1))
        found += [size.mean(), size.std()]
    for window in ((3, 3), (9, 9), (27, 27)):
        squares = cv2.blur(grey.astype(np.float32) ** 2, window)
        variance = squares - cv2.blur(grey.astype(np.float32), window) ** 2
        found.append(np.sqrt(np.maximum(variance, 0)).mean())
    pairs = graycomatrix(grey // 16, [1], [0, np.pi / 2], levels=16, symmetric=True, normed=True)
    for name in ("contrast", "dissimilarity", "homogeneity", "ASM", "energy", "correlation"):
        found.append(graycoprops(pairs, name).mean())
    return [float(number) for number in found]
