"""The steps in which a tile is searched for nuclei: read, look, settle."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_prts.pipeline import Step, overlapped
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.ground import on_glass
from napari_prts.segmentation.merging import Settled, settle_tile
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.runner import Runner
from napari_prts.segmentation.tiling import Rectangle

if TYPE_CHECKING:
    from napari_prts.segmentation.whole_slide import Survey

# Longest ray in model pixels, and how far beyond a region nuclei are looked for: twice the
# radius of a large nucleus. What is longer is no nucleus.
RIM = 64
# Polygons smaller than this, in squared model pixels, are numerical dust.
_LEAST_AREA = 1.0
# Tiles that the network looks at side by side on a CPU: with each core on a tile of its own
# none waits for the other after each layer. Each more takes some 300 MB.
LOOKERS = 2
# A graphics card is quicker than one thread reads.
_READERS = 4
# Pixels around a point over which its colour is averaged: less than any nucleus.
_SPOT = 5

# A job that waits for a tile says so this often, in seconds: it can be cancelled then.
PULSE_S = 0.2


@dataclass(frozen=True, eq=False)
class Search:
    """Looks for nuclei, tile by tile.

    Parameters
    ----------
    survey : Survey
        Where and at what scale.
    runner : Runner
        The network.
    limits : Normalisation
        The stain's limits of the whole slide.
    """

    survey: Survey
    runner: Runner
    limits: Normalisation

    def run(self, tiles: Iterable[Rectangle]) -> Generator[tuple[Rectangle, Settled], None, None]:
        """Search tiles; reading, the network and suppression work at the same time.

        Closing the generator ends it without waiting for tiles that are under way.
        """
        readers = 1 if self.runner.device.type == "cpu" else min(_READERS, os.cpu_count() or 1)
        steps = Step(self.read, readers), Step(self.look, self.runner.lookers), Step(self.settle)
        return overlapped(tiles, *steps, pulse=PULSE_S)

    def read(self, tile: Rectangle) -> Seen:
        """Read a tile with its context, ready for the network."""
        survey = self.survey
        around = tile.grown(survey.context)
        image = survey.slide.read(
            around.row0 * survey.scale,
            around.column0 * survey.scale,
            around.height,
            around.width,
            mpp=survey.model.mpp,
        )
        colours = np.asarray(cv2.blur(image, (_SPOT, _SPOT)), np.uint8)
        return Seen(tile, around, self.limits.apply(image), colours)

    def look(self, seen: Seen) -> Found:
        """Let the network find candidates in the tile itself."""
        tile, context = seen.tile, self.survey.context
        inner = slice(context, context + tile.height), slice(context, context + tile.width)
        threshold = self.survey.model.prob_threshold
        found = self.runner.candidates(seen.pixels, threshold, inner)
        row, column = found.points.astype(np.intp).T
        bare = on_glass(seen.colours[row, column], self._background)
        return Found(tile, found.take(~bare).shifted(seen.around.row0, seen.around.column0))

    def settle(self, found: Found) -> tuple[Rectangle, Settled]:
        """Drop what is no nucleus and what loses for certain."""
        survey = self.survey
        candidates = found.candidates
        size = np.array(survey.slide.shape) / survey.scale
        on_ground = survey.ground.holds((candidates.points + 0.5) * survey.scale - 0.5)
        candidates = candidates.take(on_ground & (candidates.points + 0.5 < size).all(axis=1))
        candidates = candidates.shortened(RIM).limited(*size)
        candidates = candidates.take(candidates.areas() >= _LEAST_AREA)
        settled = settle_tile(candidates, found.tile, survey.model.nms_threshold, RIM)
        return found.tile, settled

    @cached_property
    def _background(self) -> tuple[int, int, int]:
        return self.survey.slide.background


@dataclass(frozen=True, eq=False)
class Seen:
    """A tile with its context.

    Parameters
    ----------
    tile, around : Rectangle
        The tile, and what was read, in model pixels.
    pixels : ndarray of float32, shape (row, column, 3)
        Normalised.
    colours : ndarray of uint8, shape (row, column, 3)
        As scanned, averaged over a few pixels.
    """

    tile: Rectangle
    around: Rectangle
    pixels: NDArray[np.float32]
    colours: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Found:
    """Candidates of a tile, in model pixels of the slide."""

    tile: Rectangle
    candidates: Candidates
