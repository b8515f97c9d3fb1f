"""The segmentation network's own activations as an encoder: nothing to download, cheap.

The slide is cut into blocks on a fixed lattice at the network's scale. Each block that
matters is looked at once, with the context that segmentation gives its tiles; what the
block owns is added to the nuclei that lie on it, or have it within their tile. A nucleus
may lie on several blocks: it is done when the last of them is. Because the lattice is
fixed, its values depend on nothing but the nucleus and the slide.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.features.blocks import BlockPlan, BlocksLeft, BlockSums, Window
from napari_prts.features.encoder import Encoded
from napari_prts.features.request import EXACT, FLOAT32, ExtractRequest
from napari_prts.features.unet_activations import activations_on, sizes
from napari_prts.pipeline import PULSE, Step, overlapped
from napari_prts.segmentation import runtimes
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.loading import DEFAULT_MODEL, load_model
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.runner import receptive_radius

if TYPE_CHECKING:
    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

NAME = "unet"
# As the default vision transformer: 256 px at 0.5 um/px.
TILE_UM = 128.0
# Side of a block, in pixels of the network's scale, and what is seen around it: both as
# segmentation has them (SegmentRequest.tile, CONTEXT).
BLOCK = 1024
CONTEXT = 96
# Raised when the same nuclei would get other values.
_METHOD_VERSION = 1
_PULSE_S = 0.2


class UnetEncoder:
    """Local: the network's last features, averaged over the nucleus. Context: its bottleneck.

    The last features are those that the heads of StarDist are given; the bottleneck, of
    16 px a step, is averaged over the square of 128 um around the centroid, as far as it
    lies on the slide. Pixels are normalised with the slide's limits, as for segmentation.

    Parameters
    ----------
    model : str, path or StarDistModel
        As :func:`napari_prts.segmentation.load_model` takes it.

    Raises
    ------
    ModelError
        If the model cannot be loaded.
    """

    reach_um = 0.0
    tilings: tuple[str, ...] = (EXACT,)

    def __init__(self, model: str | Path | StarDistModel = DEFAULT_MODEL) -> None:
        self._model = model if isinstance(model, StarDistModel) else load_model(model)
        self.name = NAME if model == DEFAULT_MODEL else f"{NAME}:{self._model_name(model)}"
        config = self._model.config
        self.licence = str(self._model.card.get("licence", "not stated"))
        self.mpp = float(self._model.mpp)
        self.local_size, self.context_size = sizes(config)
        self.stored_context_size = self.context_size
        step = config.grid[0] * 2**config.depth
        self.tile = max(1, round(TILE_UM / self.mpp / step)) * step
        divisor = math.lcm(*config.divisor)
        self._context = -(-min(CONTEXT, receptive_radius(config)) // divisor) * divisor
        self._block = max(1, BLOCK // divisor) * divisor
        facts = [
            _METHOD_VERSION,
            self._model.hash,
            self.mpp,
            list(self._model.percentiles),
            [self.tile, self._block, self._context],
        ]
        digest = xxhash.xxh3_64(json.dumps(facts).encode()).hexdigest()
        self.key = f"{NAME}-{self.mpp:g}um-{self.tile}px-{self._model.hash[:16]}-{digest}"

    @staticmethod
    def _model_name(model: str | Path | StarDistModel) -> str:
        return model.name if isinstance(model, StarDistModel) else str(model)

    def where(self, request: ExtractRequest) -> str:
        """Say on which device, and in which library, the network will run."""
        return activations_on(self._model, request.device)[1]

    def precision(self, request: ExtractRequest) -> str:
        """Name of the precision in which it will be computed."""
        return FLOAT32

    def encode(
        self, slide: Slide, nuclei: Nuclei, work: Worklist, request: ExtractRequest
    ) -> Generator[Encoded, None, None]:
        """Look at each block once, the nearest first, and give nuclei when their last is done.

        While a block takes long, batches without nuclei are given, so that a job can be
        cancelled.
        """
        positions = work.positions
        if not len(positions):
            return
        model = self._model
        network, _ = activations_on(model, request.device)
        limits = measure_limits(slide, model.mpp, model.percentiles)
        to_level_0 = model.mpp / slide.require_mpp()
        grid, step = model.config.grid, model.config.divisor
        chosen = nuclei.take(positions)
        plan = BlockPlan.of(chosen, slide.shape, to_level_0, grid, step, self._block, self.tile)
        sums = BlockSums(len(positions), self.local_size, self.context_size)
        left = BlocksLeft(plan, to_level_0)

        def read(index: int) -> tuple[int, Window, NDArray[np.float32]]:
            owned = plan.window(index)
            seen = owned.grown(self._context)
            row, column = seen.row * to_level_0, seen.column * to_level_0
            image = slide.read(row, column, seen.height, seen.width, mpp=model.mpp)
            return index, owned, limits.apply(image)

        def look(
            seen: tuple[int, Window, NDArray[np.float32]],
        ) -> NDArray[np.int64]:
            index, owned, pixels = seen
            inner = _grid_points(owned, self._context, grid)
            sums.add(plan, index, network.look(pixels, inner), self._context)
            return left.finish(index)

        blocks = left.nearest(work)
        with closing(overlapped(blocks, Step(read), Step(look), pulse=_PULSE_S)) as results:
            for result in results:
                rows = np.empty(0, np.int64) if result is PULSE else result
                local, context = sums.means(rows)
                yield Encoded(positions[rows], local, context)

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Give what is stored: it depends on no other nucleus."""
        return stored


def _grid_points(owned: Window, context: int, grid: tuple[int, int]) -> runtimes.Window:
    """Grid points of a block, counted within the block and its context."""
    row, column = context // grid[0], context // grid[1]
    return runtimes.Window(
        row, column, row + owned.height // grid[0], column + owned.width // grid[1]
    )
