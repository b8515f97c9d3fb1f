"""Colour and texture of what lies around a nucleus, at three scales; needs no weights."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.features.blocks import BlockPlan, TileSums, Window
from napari_prts.features.device import check_device
from napari_prts.features.encoder import Encoded
from napari_prts.features.texture_maps import MARGIN, NAMES, texture_maps

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

NAME = "texture"
# Squares of 157, 314 and 627 um, each seen at a resolution of its own: what a patch of 224 px
# shows of a 10x, 5x and 2.5x objective's view.
MPPS = (0.7, 1.4, 2.8)
TILE = 224
# The local part: the square of 45 um around the nucleus, at the finest of these scales.
LOCAL_TILE = 64
# Pictures are averaged over steps of 11, 22 and 45 um; squares begin at whole steps.
STEP = 16
BLOCK = 1024
# Raised when the same nuclei would get other values.
_METHOD_VERSION = 1


class TextureEncoder:
    """Local: 45 um around the nucleus. Context: 157, 314 and 627 um, seen ever coarser.

    Both are means over a square of the pictures of
    :mod:`~napari_prts.features.texture_maps`, means of squares turned into standard
    deviations. They depend on the nucleus's centroid and the slide alone.
    """

    name = NAME
    licence = "BSD-3-Clause (no weights)"
    mpp = MPPS[0]
    tile = round(TILE * MPPS[-1] / MPPS[0])
    local_size = len(NAMES)
    context_size = len(NAMES) * len(MPPS)
    stored_context_size = context_size

    def __init__(self) -> None:
        facts = [_METHOD_VERSION, NAMES, MPPS, TILE, LOCAL_TILE, STEP]
        digest = xxhash.xxh3_64(json.dumps(facts).encode()).hexdigest()
        self.key = f"{NAME}-{digest}"

    def where(self, device: str) -> str:
        """Say that it runs on the CPU, whatever is asked for."""
        check_device(device)
        return "CPU"

    def encode(
        self,
        slide: Slide,
        nuclei: Nuclei,
        positions: NDArray[np.int64],
        batch: int,
        device: str,
    ) -> Generator[Encoded, None, None]:
        """Describe the surroundings, the coarsest scale first, block by block.

        ``batch`` and ``device`` change nothing. Batches without nuclei are given between
        blocks, so that a job can be cancelled there.
        """
        if not len(positions):
            return
        chosen = nuclei.take(positions)
        count, size = len(positions), len(NAMES)
        context = np.zeros((count, self.context_size), np.float32)
        for scale in reversed(range(len(MPPS))):
            columns = slice(scale * size, (scale + 1) * size)
            for rows, around, near in _described(slide, chosen, MPPS[scale], scale == 0):
                context[rows, columns] = around
                # The finest scale comes last: what has it has all.
                done = rows if scale == 0 else rows[:0]
                yield Encoded(positions[done], near[: len(done)], context[done])

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Give what is stored: it depends on no other nucleus."""
        return stored


def _described(
    slide: Slide, nuclei: Nuclei, mpp: float, local: bool
) -> Generator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]], None, None]:
    """After each block: nuclei that are done, their context at one scale, their local part."""
    to_level_0 = mpp / slide.require_mpp()
    square = (STEP, STEP)
    plans = [
        BlockPlan.of(nuclei, slide.shape, to_level_0, square, square, BLOCK, tile)
        for tile in ((TILE, LOCAL_TILE) if local else (TILE,))
    ]
    wide, size = plans[0], len(NAMES)
    sums = [TileSums(len(nuclei), size) for _ in plans]
    # The local squares lie within the wide ones, and so do their blocks.
    places = {tuple(block): index for index, block in enumerate(plans[-1].blocks.tolist())}
    for index in range(len(wide)):
        owned = _block_maps(slide, wide.window(index), mpp)
        sums[0].add(wide, index, owned)
        inner = places.get(tuple(wide.blocks[index].tolist()))
        if local and inner is not None:
            sums[1].add(plans[1], inner, owned)
        rows = wide.finished(index)
        yield rows, _spread(sums[0].means(rows)), _spread(sums[-1].means(rows))


def _block_maps(slide: Slide, owned: Window, mpp: float) -> NDArray[np.float32]:
    """Pictures of a block, averaged over steps: (channel, row, column)."""
    seen, to_level_0 = owned.grown(MARGIN), mpp / slide.require_mpp()
    pixels = slide.read(
        seen.row * to_level_0, seen.column * to_level_0, seen.height, seen.width, mpp=mpp
    )
    shape = (owned.width // STEP, owned.height // STEP)
    return np.stack(
        [
            cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)
            for picture in texture_maps(pixels, slide.background)
        ]
    )


def _spread(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn means of squares into standard deviations."""
    found = means.copy()
    for column, name in enumerate(NAMES):
        if "²" in name:
            mean = means[:, NAMES.index(name.replace("²", ""))].astype(np.float64)
            found[:, column] = np.sqrt(np.maximum(means[:, column] - mean * mean, 0))
    return found
