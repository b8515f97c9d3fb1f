"""Which part of the corrected regions teaches, and which is held out to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_prts.errors import ModelError
from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.fine_tuning_regions import (
    CONTEXT,
    IGNORED,
    Corrected,
    Patch,
)
from napari_prts.segmentation.fine_tuning_scoring import Held
from napari_prts.segmentation.fine_tuning_shapes import equal_parts
from napari_prts.segmentation.normalisation import Normalisation

# Fewer nuclei teach nothing that could be told from chance.
LEAST_NUCLEI = 12
# So many held-out nuclei judge one run well enough; with fewer, parts are held out in turn.
_ENOUGH_HELD = 25
_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Deal:
    """How the regions are dealt.

    Parameters
    ----------
    everything : shapely geometry
        All regions.
    folds : tuple of (shapely geometry, shapely geometry)
        What teaches and what is held out in each run. With several, each part is held
        out once, and what all runs tell decides on a last one that learns from everything.
    """

    everything: Any
    folds: tuple[tuple[Any, Any], ...]

    @property
    def in_turn(self) -> bool:
        """Whether parts are held out in turn."""
        return len(self.folds) > 1

    @property
    def runs(self) -> int:
        """How often a network is tuned."""
        return len(self.folds) + self.in_turn


def deal(corrected: Corrected, share: float, seed: int) -> Deal:
    """Deal the regions into what teaches and what is held out, by place.

    Parameters
    ----------
    corrected : Corrected
        The regions.
    share : float
        Share of the nuclei to hold out, about.
    seed : int
        Decides which part.

    Raises
    ------
    ModelError
        If there are too few nuclei.
    """
    import shapely

    nuclei = corrected.nuclei.take(corrected.whole(corrected.shape))
    if len(nuclei) < LEAST_NUCLEI:
        raise ModelError(
            f"The regions hold {len(nuclei)} whole nuclei; a model can learn from "
            f"{LEAST_NUCLEI} or more. Choose a larger region, or outline the nuclei in it first."
        )
    count = next((2**k for k in (3, 2) if len(nuclei) >= 2**k * 8), 2)
    parts = equal_parts(corrected.shape, nuclei.centroids, count)
    held = min(max(1, round(share * count)), count - 1)
    if len(nuclei) * held / count >= _ENOUGH_HELD:
        # Neighbours in this order are neighbours on the slide: few nuclei are cut.
        first = int(np.random.default_rng(seed).integers(count // held)) * held
        chosen = [set(range(first, first + held))]
    else:
        chosen = [set(range(count)[k :: min(_FOLDS, count)]) for k in range(min(_FOLDS, count))]
    folds = []
    for out in chosen:
        teach = shapely.union_all([part for k, part in enumerate(parts) if k not in out])
        folds.append((teach, shapely.union_all([parts[k] for k in sorted(out)])))
    return Deal(corrected.shape, tuple(folds))


def teaching_tiles(
    corrected: Corrected, patches: Sequence[Patch], part: Any
) -> tuple[LabelledTile, ...]:
    """Make training tiles of a part of the regions."""
    tiles = []
    for number, patch in enumerate(patches):
        labels = corrected.labels(patch, part)
        if (labels != IGNORED).any():
            cut = _known_window(labels)
            name = f"region {number + 1}"
            tiles.append(LabelledTile(name, "corrected", patch.image[cut], labels[cut]))
    return tuple(tiles)


def held_pictures(
    corrected: Corrected, patches: Sequence[Patch], part: Any, limits: Normalisation
) -> tuple[Held, ...]:
    """Make what a network is judged by of a part of the regions."""
    held = []
    for patch in patches:
        labels = corrected.labels(patch, part)
        if (labels != IGNORED).any():
            cut = _known_window(labels)
            held.append(Held(limits.apply(patch.image[cut]), labels[cut]))
    return tuple(held)


def _known_window(labels: np.ndarray[Any, Any]) -> tuple[slice, slice]:
    known = labels != IGNORED
    slices = []
    for axis in (1, 0):
        there = np.flatnonzero(known.any(axis=axis))
        slices.append(slice(max(0, int(there[0]) - CONTEXT), int(there[-1]) + 1 + CONTEXT))
    return slices[0], slices[1]
