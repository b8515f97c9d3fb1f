"""How well a model finds outlined nuclei, and which thresholds suit it best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.datasets import LabelledTile
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.runner import Runner

IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

PROB_GRID = tuple(round(0.3 + 0.05 * i, 2) for i in range(11))
NMS_GRID = (0.3, 0.4, 0.5)
MPP_GRID = (0.28, 0.30, 0.33, 0.36, 0.40, 0.45)


@dataclass(frozen=True)
class NucleiScore:
    """Matches of predicted with outlined nuclei, summed over tiles.

    Parameters
    ----------
    iou : tuple of float
        Least intersection over union of a match.
    true_positive, false_positive, false_negative : tuple of int
        Counts at each of ``iou``.
    tiles, outlined, found : int
        Number of tiles, of nuclei in the labels, of nuclei predicted.
    """

    iou: tuple[float, ...]
    true_positive: tuple[int, ...]
    false_positive: tuple[int, ...]
    false_negative: tuple[int, ...]
    tiles: int
    outlined: int
    found: int

    @property
    def f1(self) -> dict[float, float]:
        """F1 = 2 TP / (2 TP + FP + FN) at each IoU."""
        return {
            iou: 2 * tp / max(1, 2 * tp + fp + fn)
            for iou, tp, fp, fn in zip(self.iou, *self._counts, strict=True)
        }

    @property
    def ap(self) -> dict[float, float]:
        """Average precision as in StarDist's papers, TP / (TP + FP + FN), at each IoU."""
        return {
            iou: tp / max(1, tp + fp + fn)
            for iou, tp, fp, fn in zip(self.iou, *self._counts, strict=True)
        }

    @property
    def _counts(self) -> tuple[tuple[int, ...], ...]:
        return self.true_positive, self.false_positive, self.false_negative

    def as_dict(self) -> dict[str, Any]:
        """Counts and rounded figures, for JSON."""
        return {
            "tiles": self.tiles,
            "outlined": self.outlined,
            "found": self.found,
            "f1": {f"{iou:g}": round(value, 4) for iou, value in self.f1.items()},
            "ap": {f"{iou:g}": round(value, 4) for iou, value in self.ap.items()},
        }


@dataclass(frozen=True)
class Thresholds:
    """Settings of a model and the figure they were chosen by.

    Parameters
    ----------
    prob, nms : float
        Probability and overlap thresholds.
    mpp : float
        Microns per pixel at which to run the model.
    figure : float
        Mean over the groups of the average precision at IoU 0.5, 0.6 and 0.7.
    """

    prob: float
    nms: float
    mpp: float
    figure: float

    def of(self, model: StarDistModel) -> StarDistModel:
        """The model with these settings."""
        return replace(model, prob_threshold=self.prob, nms_threshold=self.nms, mpp=self.mpp)


def score(
    model: StarDistModel,
    tiles: Iterable[LabelledTile],
    mpp: float | Mapping[str, float],
    *,
    device: str = "auto",
) -> NucleiScore:
    """Score a model on outlined tiles.

    Parameters
    ----------
    model : StarDistModel
        The model, run at its own scale and thresholds.
    tiles : iterable of LabelledTile
        Outlined tiles; each is normalised by its own percentiles.
    mpp : float or mapping of str to float
        Microns per pixel of the tiles; a mapping goes by folder (what stands
        before ``/`` in the tile's group).
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    NucleiScore
        Summed over the tiles; predictions are rasterised at the labels' resolution.

    Raises
    ------
    ModelError
        If there are no tiles or a tile's mpp is unknown.
    """
    tiles = list(tiles)
    if not tiles:
        raise ModelError("There are no tiles to score the model on.")
    runner = Runner(model, device)

    def found(tile: LabelledTile) -> NDArray[np.int32]:
        candidates, scale = _candidates(runner, model, tile, _mpp_of(tile, mpp))
        nuclei = candidates.suppressed(model.nms_threshold)
        return _rasterised(nuclei, scale, tile.labels.shape)

    return score_labels((tile.labels, found(tile)) for tile in tiles)


def score_labels(
    pairs: Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]],
) -> NucleiScore:
    """Score label images that were made by any means.

    Parameters
    ----------
    pairs : iterable of (ndarray of int, ndarray of int)
        Outlined and found nuclei of each tile, 0 for background.
    """
    return _sum([_count(outlined, found) for outlined, found in pairs])


def choose_thresholds(
    model: StarDistModel,
    tiles: Iterable[LabelledTile],
    mpp: float | Mapping[str, float],
    *,
    probs: Sequence[float] = PROB_GRID,
    nms: Sequence[float] = NMS_GRID,
    mpps: Sequence[float] = MPP_GRID,
    device: str = "auto",
) -> Thresholds:
    """Choose thresholds and working scale on tiles left out of training.

    Parameters
    ----------
    model : StarDistModel
        The model; its own thresholds and scale play no part.
    tiles : iterable of LabelledTile
        Validation tiles. Each folder has the same say, whatever its number of tiles.
    mpp : float or mapping of str to float
        Microns per pixel of the tiles, see :func:`score`.
    probs, nms, mpps : sequence of float
        Values tried.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    Thresholds
        The combination of the highest mean AP over IoU 0.5, 0.6, 0.7; of equals
        the first tried.

    Raises
    ------
    ModelError
        If there are no tiles or a tile's mpp is unknown.
    """
    tiles = list(tiles)
    if not tiles:
        raise ModelError("There are no validation tiles to choose thresholds on.")
    tried: dict[tuple[float, float, float], dict[str, list[NucleiScore]]] = {}
    runner = Runner(model, device)
    for working_mpp, tile in product(mpps, tiles):
        at_scale = replace(model, mpp=working_mpp, prob_threshold=min(probs))
        candidates, scale = _candidates(runner, at_scale, tile, _mpp_of(tile, mpp))
        for overlap in nms:
            nuclei = candidates.suppressed(overlap)
            labels = _rasterised(nuclei, scale, tile.labels.shape)
            for prob in probs:
                # Less probable nuclei neither suppress nor cover more probable ones, so
                # those above a higher threshold are a part of those above the lowest.
                likely = np.concatenate([[False], nuclei.prob > prob])
                folders = tried.setdefault((prob, overlap, working_mpp), {})
                counts = _count(tile.labels, labels * likely[labels])
                folders.setdefault(_folder(tile), []).append(counts)
    figures = {
        key: float(np.mean([_figure(_sum(counts)) for counts in folders.values()]))
        for key, folders in tried.items()
    }
    best = max(figures, key=lambda key: figures[key])
    return Thresholds(*best, figure=figures[best])


def _figure(total: NucleiScore) -> float:
    return float(np.mean([total.ap[iou] for iou in (0.5, 0.6, 0.7)]))


def _candidates(
    runner: Runner, model: StarDistModel, tile: LabelledTile, mpp: float
) -> tuple[Candidates, tuple[float, float]]:
    """Candidates at the model's scale, and the tile's pixels per model pixel."""
    rows, columns = tile.labels.shape
    height = max(1, round(rows * mpp / model.mpp))
    width = max(1, round(columns * mpp / model.mpp))
    shrinks = height < rows
    image: NDArray[np.uint8] = cv2.resize(  # type: ignore[assignment]
        tile.image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    limits = Normalisation.from_pixels(tile.image, *model.percentiles)
    inner = (slice(0, height), slice(0, width))
    found = runner.candidates(limits.apply(image), model.prob_threshold, inner)
    return found, (rows / height, columns / width)


def _rasterised(
    nuclei: Candidates, scale: tuple[float, float], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Label image in which nucleus ``i`` is ``i + 1``, the more probable ones on top."""
    from stardist.geometry.geom2d import polygons_to_label_coord

    order = np.argsort(nuclei.prob, kind="stable")
    vertices = nuclei.polygons(scale)[order].transpose(0, 2, 1)
    labels: NDArray[np.int32] = polygons_to_label_coord(vertices, shape=shape, labels=order)
    return labels


def _count(outlined: NDArray[np.int32], found: NDArray[np.int32]) -> NucleiScore:
    from skimage.segmentation import relabel_sequential
    from stardist.matching import matching

    outlined, found = relabel_sequential(outlined)[0], relabel_sequential(found)[0]
    results = matching(outlined, found, thresh=IOU_THRESHOLDS)
    return NucleiScore(
        iou=IOU_THRESHOLDS,
        true_positive=tuple(int(result.tp) for result in results),
        false_positive=tuple(int(result.fp) for result in results),
        false_negative=tuple(int(result.fn) for result in results),
        tiles=1,
        outlined=int(outlined.max(initial=0)),
        found=int(found.max(initial=0)),
    )


def _sum(counts: Sequence[NucleiScore]) -> NucleiScore:
    def total(name: str) -> tuple[int, ...]:
        columns = zip(*(getattr(count, name) for count in counts), strict=True)
        return tuple(sum(column) for column in columns)

    return NucleiScore(
        iou=counts[0].iou,
        true_positive=total("true_positive"),
        false_positive=total("false_positive"),
        false_negative=total("false_negative"),
        tiles=len(counts),
        outlined=sum(count.outlined for count in counts),
        found=sum(count.found for count in counts),
    )


def _folder(tile: LabelledTile) -> str:
    return tile.group.partition("/")[0]


def _mpp_of(tile: LabelledTile, mpp: float | Mapping[str, float]) -> float:
    if not isinstance(mpp, Mapping):
        return mpp
    if _folder(tile) not in mpp:
        raise ModelError(
            f"The microns per pixel of {_folder(tile)} are unknown; known are "
            f"{', '.join(sorted(mpp)) or 'none'}."
        )
    return mpp[_folder(tile)]
