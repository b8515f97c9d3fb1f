"""Folders of outlined nuclei, for training and for scoring.

A folder holds ``NAME.png`` (an RGB image) and ``NAME_labels.png`` (one integer
per nucleus, 0 for background).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread
from skimage.measure import label, regionprops_table

from napari_prts.errors import ModelError


@dataclass(frozen=True)
class LabelledTile:
    """One image with its outlined nuclei.

    Parameters
    ----------
    name : str
        File name without its ending.
    group : str
        What must not be split between training and test: a patient, or a laboratory.
    image : ndarray of uint8, shape (row, column, 3)
        H&E pixels.
    labels : ndarray of int32, shape (row, column)
        0 for background, then one integer per nucleus.
    """

    name: str
    group: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]

    @property
    def median_diameter(self) -> float:
        """Median equivalent diameter of the nuclei in pixels; NaN without nuclei."""
        areas = regionprops_table(self.labels, properties=("area",))["area"]
        return float(np.median(2 * np.sqrt(areas / np.pi))) if len(areas) else float("nan")


def read_labelled_folder(folder: Path | str, *, split_touching: bool = True) -> list[LabelledTile]:
    """Read every ``NAME.png`` that has a ``NAME_labels.png`` beside it.

    Parameters
    ----------
    folder : path
        Folder of images and label images.
    split_touching : bool
        Take each 4-connected component of a label as an instance of its own.

    Returns
    -------
    list of LabelledTile
        In order of name. The group is the part of the name before the first
        underscore with the folder's name before it (``tnbc/05``). Names without
        underscore tell no patient: they are dealt into eight folds by a hash of
        the name (``dsb2018_he/fold3``).

    Raises
    ------
    ModelError
        If the folder has no such pair, or a pair differs in size.
    """
    folder = Path(folder)
    tiles = []
    for labels_path in sorted(folder.glob("*_labels.png")):
        name = labels_path.name.removesuffix("_labels.png")
        image_path = folder / f"{name}.png"
        if not image_path.exists():
            raise ModelError(f"{labels_path} has no image {image_path.name} beside it.")
        image = imread(image_path)[..., :3]
        labels = imread(labels_path)
        if image.shape[:2] != labels.shape:
            raise ModelError(
                f"{image_path} is {image.shape[:2]} but {labels_path.name} is {labels.shape}: "
                "image and labels must have the same size."
            )
        if split_touching:
            labels = _components(labels)
        prefix, underscore, _ = name.partition("_")
        group = prefix if underscore else f"fold{crc32(name.encode()) % 8}"
        group = f"{folder.name}/{group}"
        tiles.append(LabelledTile(name, group, image, labels.astype(np.int32)))
    if not tiles:
        raise ModelError(f"{folder} holds no NAME.png with NAME_labels.png beside it.")
    return tiles


def _components(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    components: NDArray[np.int32] = label(labels, connectivity=1, background=0)
    return components


@dataclass(frozen=True)
class Split:
    """Tiles for training, for choosing thresholds, and never seen in training."""

    train: tuple[LabelledTile, ...]
    validation: tuple[LabelledTile, ...]
    test: tuple[LabelledTile, ...]


def split_by_group(
    tiles: Iterable[LabelledTile], *, validation: Iterable[str], test: Iterable[str]
) -> Split:
    """Split tiles so that no group (patient) lies on two sides.

    Parameters
    ----------
    tiles : iterable of LabelledTile
        All tiles.
    validation, test : iterable of str
        Names of the groups left out of training.

    Raises
    ------
    ModelError
        If a named group does not exist or is named twice.
    """
    tiles, validation, test = list(tiles), set(validation), set(test)
    known = {tile.group for tile in tiles}
    for group in sorted((validation | test) - known):
        raise ModelError(f"No tiles of group {group!r}; there are {', '.join(sorted(known))}.")
    if both := validation & test:
        raise ModelError(f"Groups {sorted(both)} are named for validation and for test.")
    return Split(
        train=tuple(t for t in tiles if t.group not in validation | test),
        validation=tuple(t for t in tiles if t.group in validation),
        test=tuple(t for t in tiles if t.group in test),
    )
