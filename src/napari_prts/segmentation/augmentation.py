"""Random crops of labelled tiles, varied as slides and scanners vary.

Everything here works on numpy arrays with a generator that the caller seeds,
so that a training run can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.normalisation import Normalisation

# Optical density of haematoxylin, eosin and a residual: Ruifrok and Johnston 2001,
# as in skimage.color.rgb_from_hed.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_UNMIX = np.linalg.inv(_STAINS)


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes.

    Parameters
    ----------
    crop : int
        Side of the square crops in pixels.
    diameter : tuple of float
        Range of the tile's median nucleus diameter after scaling, in pixels,
        drawn evenly on a logarithmic scale.
    scale : tuple of float
        The scale is kept in this range whatever the diameter.
    stretch : float
        Largest relative difference of row and column scale.
    stain : float
        Largest relative change of each stain's strength.
    channel : float
        Largest relative change of each normalised channel's limits.
    blur, jpeg, glass : float
        Probability of a loss of resolution, of JPEG compression, of a crop of
        empty glass in place of tissue.
    """

    crop: int = 256
    diameter: tuple[float, float] = (11.0, 24.0)
    scale: tuple[float, float] = (0.4, 1.6)
    stretch: float = 0.12
    stain: float = 0.3
    channel: float = 0.12
    blur: float = 0.35
    jpeg: float = 0.25
    glass: float = 0.03


def random_crop(
    tile: LabelledTile,
    diameter: float,
    normalisation: Normalisation,
    settings: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cut, turn, scale, stain and normalise a random crop.

    Parameters
    ----------
    tile : LabelledTile
        Where the crop is cut.
    diameter : float
        Median diameter of the tile's nuclei in pixels.
    normalisation : Normalisation
        Limits measured on the whole tile.
    settings : Augmentation
        Ranges of the random changes.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    image : ndarray of float32, shape (crop, crop, 3)
        Normalised pixels.
    labels : ndarray of int32, shape (crop, crop)
        Nuclei of the crop.
    """
    normalisation = _jittered(normalisation, settings.channel, rng)
    if rng.random() < settings.glass:
        return normalisation.apply(_glass(settings.crop, rng)), np.zeros(
            (settings.crop, settings.crop), np.int32
        )
    matrix = _random_affine(tile.image.shape[:2], diameter, settings, rng)
    size = (settings.crop, settings.crop)
    warped = cv2.warpAffine(
        _without_aliases(tile.image, matrix),
        matrix,
        size,
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    labels = cv2.warpAffine(
        tile.labels.astype(np.float32),
        matrix,
        size,
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT_101,
    ).astype(np.int32)
    image = _restain(np.asarray(warped, np.uint8), settings.stain, rng)
    if rng.random() < settings.blur:
        image = _lose_resolution(image, rng)
    if rng.random() < settings.jpeg:
        image = _jpeg(image, rng)
    pixels = normalisation.apply(image)
    pixels += rng.normal(0, rng.uniform(0, 0.03), pixels.shape).astype(np.float32)
    return pixels, labels


def _jittered(limits: Normalisation, amount: float, rng: np.random.Generator) -> Normalisation:
    low, high = np.asarray(limits.low), np.asarray(limits.high)
    span = np.maximum(high - low, 1.0)
    low = low + span * rng.uniform(-amount, amount, 3)
    high = high + span * rng.uniform(-amount, amount, 3)
    return Normalisation((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _random_affine(
    shape: tuple[int, ...], diameter: float, settings: Augmentation, rng: np.random.Generator
) -> NDArray[np.float64]:
    low, high = np.log(settings.diameter)
    scale = float(np.clip(np.exp(rng.uniform(low, high)) / diameter, *settings.scale))
    stretch = np.exp(rng.uniform(-settings.stretch, settings.stretch))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, -1.0 if rng.random() < 0.5 else 1.0])
    linear = turn @ np.diag([scale * stretch, scale / stretch]) @ flip
    # The crop's centre stays inside the tile, half a crop from the border where it fits.
    sides = np.array([shape[1], shape[0]], float)
    margin = np.minimum(settings.crop / scale / 2, sides / 2)
    centre = rng.uniform(margin, sides - margin)
    offset = np.full(2, settings.crop / 2) - linear @ centre
    return np.column_stack([linear, offset])


def _without_aliases(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    shrink = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink <= 1.1:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 * np.sqrt(shrink**2 - 1)), np.uint8)


def _restain(
    image: NDArray[np.uint8], amount: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    density = -np.log((image.astype(np.float32) + 1) / 256)
    change = np.diag(1 + rng.uniform(-amount, amount, 3))
    mixing = (_UNMIX @ change @ _STAINS).astype(np.float32)
    density = density @ mixing + rng.uniform(-0.03, 0.03, 3).astype(np.float32)
    restained: NDArray[np.uint8] = np.clip(np.exp(-density) * 256 - 1, 0, 255).astype(np.uint8)
    return restained


def _lose_resolution(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3)), np.uint8)
    side = image.shape[0]
    small = round(side / rng.uniform(1.2, 2.3))
    reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _glass(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    grey = rng.uniform(215, 250, 3)
    ramp = np.linspace(-1, 1, side)[:, None] * rng.uniform(-6, 6)
    coarse = rng.normal(0, rng.uniform(0, 4), (8, 8, 3)).astype(np.float32)
    cloud = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, rng.uniform(0.5, 3), (side, side, 3))
    return np.clip(grey + ramp[..., None] + cloud + noise, 0, 255).astype(np.uint8)
