"""Colour and texture of what lies around a nucleus, at three scales; needs no weights."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Generator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.features.blocks import BlockPlan, TileSums, Window
from napari_prts.features.device import check_device
from napari_prts.features.encoder import Encoded
from napari_prts.features.request import EXACT, FLOAT32, ExtractRequest
from napari_prts.features.texture_maps import MARGIN, NAMES, texture_maps

if TYPE_CHECKING:
    from napari_prts.features.worklist import Worklist
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
# Nuclei described together, fewer at first while somebody looks; and blocks of which the
# pictures are kept for the next group, half a megabyte each.
_GROUP = 4000
_FIRST_GROUP = 250
_KEPT_MAPS = 256
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
    reach_um = 0.0
    tilings: tuple[str, ...] = (EXACT,)

    def __init__(self) -> None:
        facts = [_METHOD_VERSION, NAMES, MPPS, TILE, LOCAL_TILE, STEP]
        digest = xxhash.xxh3_64(json.dumps(facts).encode()).hexdigest()
        self.key = f"{NAME}-{digest}"

    def where(self, request: ExtractRequest) -> str:
        """Say that it runs on the CPU, whatever is asked for."""
        check_device(request.device)
        return "CPU"

    def precision(self, request: ExtractRequest) -> str:
        """Name of the precision in which it will be computed."""
        return FLOAT32

    def encode(
        self, slide: Slide, nuclei: Nuclei, work: Worklist, request: ExtractRequest
    ) -> Generator[Encoded, None, None]:
        """Describe the surroundings, group after group, the first a small one.

        Of the request nothing matters here. Batches without nuclei are given between
        blocks, so that a job can be cancelled there.
        """
        maps = _Maps(slide)
        size = _FIRST_GROUP if work.view is not None else _GROUP
        while len(chosen := work.take(size)):
            size = _GROUP
            group = nuclei.take(chosen)
            context = np.empty((len(chosen), self.context_size), np.float32)
            for scale in reversed(range(len(MPPS))):
                columns = slice(scale * len(NAMES), (scale + 1) * len(NAMES))
                described = _described(slide, group, scale, maps)
                context[:, columns], local = yield from _between(described)
            yield Encoded(chosen, local, context)

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Give what is stored: it depends on no other nucleus."""
        return stored


Described = Generator[None, None, tuple[NDArray[np.float32], NDArray[np.float32]]]


def _between(
    described: Described,
) -> Generator[Encoded, None, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Run a description, giving an empty batch after each block."""
    sizes = TextureEncoder.local_size, TextureEncoder.stored_context_size
    local, context = (np.empty((0, size), np.float32) for size in sizes)
    while True:
        try:
            next(described)
        except StopIteration as stop:
            found: tuple[NDArray[np.float32], NDArray[np.float32]] = stop.value
            return found
        yield Encoded(np.empty(0, np.int64), local, context)


def _described(slide: Slide, nuclei: Nuclei, scale: int, maps: _Maps) -> Described:
    """The context of nuclei at one scale, and at the finest their local part."""
    to_level_0 = MPPS[scale] / slide.require_mpp()
    square = (STEP, STEP)
    plans = [
        BlockPlan.of(nuclei, slide.shape, to_level_0, square, square, BLOCK, tile)
        for tile in ((TILE, LOCAL_TILE) if scale == 0 else (TILE,))
    ]
    wide, everyone = plans[0], np.arange(len(nuclei))
    sums = [TileSums(len(nuclei), len(NAMES)) for _ in plans]
    # The local squares lie within the wide ones, and so do their blocks.
    places = {tuple(block): index for index, block in enumerate(plans[-1].blocks.tolist())}
    for index in range(len(wide)):
        owned = maps.of(scale, wide.window(index))
        sums[0].add(wide, index, owned)
        inner = places.get(tuple(wide.blocks[index].tolist()))
        if scale == 0 and inner is not None:
            sums[1].add(plans[1], inner, owned)
        yield
    return _spread(sums[0].means(everyone)), _spread(sums[-1].means(everyone))


class _Maps:
    """Pictures of blocks, averaged over steps; the last ones stay in memory."""

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._kept: OrderedDict[tuple[int, Window], NDArray[np.float32]] = OrderedDict()

    def of(self, scale: int, owned: Window) -> NDArray[np.float32]:
        """(channel, row, column)."""
        key = scale, owned
        if key not in self._kept:
            self._kept[key] = _block_maps(self._slide, owned, MPPS[scale])
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT_MAPS:
            self._kept.popitem(last=False)
        return self._kept[key]


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
