"""A network that is never wrong about discs.

Everything around a network (scales, tiles, merging, polygons) can be checked
against it exactly, whatever the trained weights can do.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, label, sum_labels
from scipy.spatial import cKDTree
from skimage.segmentation import expand_labels
from torch import nn

from napari_prts.segmentation import StarDistConfig, StarDistModel

CONFIG = StarDistConfig()
PINK, PURPLE, GLASS = (225, 170, 200), (90, 50, 130), (243, 243, 243)


class Oracle(nn.Module):
    """Takes dark, connected pixels for discs, and measures them to a fraction of a pixel.

    The stain's lower limit must be the discs' own colour: they fill over 1 % of the image.
    """

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        prob, dist = outline(image[0].mean(dim=0).numpy())
        logit = torch.logit(torch.from_numpy(prob), eps=1e-6)
        return logit[None, None], torch.from_numpy(dist)[None]


def outline(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = (np.arange(0, side, 2) for side in grey.shape)
    prob = np.zeros((len(rows), len(columns)), np.float32)
    dist = np.zeros((CONFIG.n_rays, *prob.shape), np.float32)
    labels, count = label(grey < 0.4)
    if not count:
        return prob, dist
    # The blurred border of a disc belongs to it; what lies around it is the tissue's colour.
    ring = expand_labels(labels, 4) > 0
    labels = expand_labels(labels, 2)
    light = np.median(grey[ring & (labels == 0)])
    share = np.clip(1 - grey / light, 0, 1)
    which = np.arange(1, count + 1)
    centres = np.array(center_of_mass(share, labels, which))
    radii = np.sqrt(sum_labels(share, labels, which) / np.pi)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    away, nearest = cKDTree(centres).query(points)
    radius = radii[nearest]
    inside = away < radius
    prob[inside] = 1 - (away / radius)[inside]
    offset = (points - centres[nearest])[inside]
    angles = np.linspace(0, 2 * np.pi, CONFIG.n_rays, endpoint=False)
    along = offset @ np.stack([np.sin(angles), np.cos(angles)])
    reach = radius[inside] ** 2 - away[inside] ** 2
    dist[:, inside] = (np.sqrt(along**2 + reach[:, None]) - along).T
    return prob, dist


def oracle(mpp: float = 0.5) -> StarDistModel:
    return StarDistModel(
        name="oracle",
        network=Oracle(),
        config=CONFIG,
        prob_threshold=0.5,
        nms_threshold=0.4,
        mpp=mpp,
        card={},
        hash="none",
    )


def draw_discs(
    shape: tuple[int, int], centres: NDArray[np.floating], radius: float
) -> NDArray[np.uint8]:
    """Dark discs on tissue, anti-aliased: centres in (row, column), pixel centres whole."""
    fine = 8
    image = np.empty((*shape, 3), np.uint8)
    image[:] = PINK
    for row, column in centres:
        r0, c0 = (int(v - radius) - 2 for v in (row, column))
        side = int(2 * radius) + 6
        r, c = np.mgrid[: side * fine, : side * fine] / fine + (0.5 / fine - 0.5)
        inside = (r + r0 - row) ** 2 + (c + c0 - column) ** 2 <= radius**2
        share = cv2.resize(inside.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        rows = slice(max(r0, 0), min(r0 + side, shape[0]))
        columns = slice(max(c0, 0), min(c0 + side, shape[1]))
        share = share[rows.start - r0 : rows.stop - r0, columns.start - c0 : columns.stop - c0]
        part = image[rows, columns]
        image[rows, columns] = np.rint(
            part + share[..., None] * (np.array(PURPLE) - part.astype(float))
        ).astype(np.uint8)
    return image


def scattered(shape: tuple[int, int], radius: float, seed: int = 0) -> NDArray[np.float64]:
    """Centres of discs that do not touch, at fractional places all over an image."""
    step = 2 * radius + 6
    rng = np.random.default_rng(seed)
    rows, columns = (np.arange(radius + 4, side - radius - 4, step) for side in shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid + rng.uniform(-1.5, 1.5, grid.shape)
