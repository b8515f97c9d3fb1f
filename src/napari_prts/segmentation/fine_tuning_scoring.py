"""How a network finds the nuclei of a held-out part, block by block."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.fine_tuning_regions import IGNORED
from napari_prts.segmentation.fine_tuning_waiting import one_worker, patiently
from napari_prts.segmentation.network import StarDistNetwork
from napari_prts.segmentation.scoring import NucleiScore, score_labels

# Small enough for a machine of two cores to be done with in a fraction of a second.
_BLOCK, _CONTEXT = 256, 64
# A nucleus found mostly on ground of which nothing is known is neither right nor wrong.
_UNKNOWN_SHARE = 0.5
_LEAST_DISTANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Held:
    """A picture with the nuclei that must be found in it.

    Parameters
    ----------
    pixels : ndarray of float32, shape (row, column, 3)
        Normalised pixels at the model's scale.
    labels : ndarray of int32, shape (row, column)
        Nuclei, 0 for background, ``IGNORED`` where nothing is known.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int32]

    @property
    def nuclei(self) -> int:
        """How many must be found."""
        return len(np.unique(self.labels[self.labels > 0]))


def scores_at(
    network: StarDistNetwork, held: Sequence[Held], probs: Sequence[float], nms: float
) -> Generator[None, None, dict[float, NucleiScore]]:
    """Score a network at several probability thresholds.

    Parameters
    ----------
    network : StarDistNetwork
        The network, on any device.
    held : sequence of Held
        What is looked at, one at least.
    probs : sequence of float
        Thresholds.
    nms : float
        Largest tolerated overlap, see :meth:`Candidates.suppressed`.

    Yields
    ------
    None
        Several times a second.

    Returns
    -------
    dict of float to NucleiScore
        By threshold, summed over all of ``held``.
    """
    pairs: dict[float, list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = {}
    with one_worker() as worker:
        for picture in held:
            candidates = yield from _candidates(worker, network, picture, min(probs))
            nuclei = yield from patiently(worker, partial(candidates.suppressed, nms))
            found = yield from patiently(worker, partial(_drawn, nuclei, picture.labels))
            outlined = np.maximum(picture.labels, 0)
            for prob in probs:
                # Those less probable neither suppress nor cover the more probable ones.
                likely = np.concatenate([[False], nuclei.prob > prob])
                pairs.setdefault(prob, []).append((outlined, found * likely[found]))
        scores = {}
        for prob, each in pairs.items():
            scores[prob] = yield from patiently(worker, partial(score_labels, each))
    return scores


def _candidates(
    worker: ThreadPoolExecutor, network: StarDistNetwork, picture: Held, least: float
) -> Generator[None, None, Candidates]:
    """Candidates on and beside what is known."""
    rows, columns = picture.labels.shape
    parts = []
    for row in range(0, rows, _BLOCK):
        for column in range(0, columns, _BLOCK):
            around = picture.labels[
                max(0, row - _BLOCK // 4) : row + _BLOCK * 5 // 4,
                max(0, column - _BLOCK // 4) : column + _BLOCK * 5 // 4,
            ]
            if (around != IGNORED).any():
                look = partial(_block, network, picture.pixels, row, column, least)
                parts.append((yield from patiently(worker, look)))
    return Candidates.concatenate(parts, network.config.n_rays)


@torch.inference_mode()
def _block(
    network: StarDistNetwork, pixels: NDArray[np.float32], row: int, column: int, least: float
) -> Candidates:
    divisor = np.lcm(*network.config.divisor)
    side = -(-(_BLOCK + 2 * _CONTEXT) // divisor) * divisor
    # A block at the end begins earlier rather than being filled up.
    first = [
        max(0, min(at - _CONTEXT, size - side)) // divisor * divisor
        for at, size in zip((row, column), pixels.shape[:2], strict=True)
    ]
    window = pixels[first[0] : first[0] + side, first[1] : first[1] + side]
    fill = [(0, int(-size % divisor)) for size in window.shape[:2]]
    window = np.pad(window, (*fill, (0, 0)), mode="edge")
    device = next(network.parameters()).device
    image = torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1)))[None].to(device)
    logit, dist = network(image.contiguous(memory_format=torch.channels_last))
    prob = torch.sigmoid(logit[0, 0]).cpu().numpy()
    distances = dist[0].cpu().numpy()
    places = np.argwhere(prob > least)
    points = places * np.array(network.config.grid) + first
    own = ((points >= (row, column)) & (points < (row + _BLOCK, column + _BLOCK))).all(axis=1)
    own &= (points < pixels.shape[:2]).all(axis=1)
    places, points = places[own], points[own]
    rays = np.maximum(distances[:, places[:, 0], places[:, 1]].T, _LEAST_DISTANCE)
    return Candidates(
        points.astype(np.float32),
        prob[places[:, 0], places[:, 1]],
        np.ascontiguousarray(rays, np.float32),
    )


def _drawn(nuclei: Candidates, labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label image in which nucleus ``i`` is ``i + 1``; those on unknown ground are left out."""
    from stardist.geometry.geom2d import polygons_to_label_coord

    order = np.argsort(nuclei.prob, kind="stable")
    vertices = nuclei.polygons()[order].transpose(0, 2, 1)
    found: NDArray[np.int32] = polygons_to_label_coord(vertices, shape=labels.shape, labels=order)
    sizes = np.bincount(found.ravel(), minlength=len(nuclei) + 1)
    unknown = np.bincount(found[labels == IGNORED], minlength=len(nuclei) + 1)
    counts = unknown <= _UNKNOWN_SHARE * sizes
    counts[0] = False
    return found * counts[found]
