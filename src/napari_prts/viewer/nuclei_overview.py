"""All nuclei of a slide as one lazy Labels pyramid, drawn block by block on demand.

A million nuclei cost nothing until they are looked at: each block is
rasterised from the nuclei near it when napari asks for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei import rasterise

if TYPE_CHECKING:
    import dask.array as da

    from napari_prts.nuclei import Nuclei

BLOCK = 1024


def overview_levels(nuclei: Nuclei, shape: tuple[int, int]) -> list[da.Array]:
    """Make the pyramid.

    Parameters
    ----------
    nuclei : Nuclei
        What to draw.
    shape : tuple of int
        Rows and columns of the slide's level 0.

    Returns
    -------
    list of dask.array.Array of int32
        Halved from level to level until one block holds the slide. A nucleus
        is drawn with its id plus one.
    """
    import dask.array as da

    reach = nuclei.reach
    levels: list[da.Array] = []
    factor = 1
    while True:
        size = tuple(-(-side // factor) for side in shape)
        draw = partial(_draw_block, nuclei=nuclei, factor=factor, reach=reach)
        levels.append(
            da.map_blocks(draw, chunks=_chunks(size), dtype=np.int32, meta=np.empty((0, 0), "i4"))
        )
        if max(size) <= BLOCK:
            return levels
        factor *= 2


def _chunks(size: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(min(BLOCK, side - start) for start in range(0, side, BLOCK)) for side in size
    )


def _draw_block(
    *, nuclei: Nuclei, factor: int, reach: float, block_info: Any = None
) -> NDArray[np.int32]:
    (r0, r1), (c0, c1) = block_info[None]["array-location"]
    near = nuclei.take(
        nuclei.in_rectangle(
            r0 * factor - reach, c0 * factor - reach, r1 * factor + reach, c1 * factor + reach
        )
    )
    drawn: NDArray[np.int32] = rasterise(
        near,
        r1 - r0,
        c1 - c0,
        offset=(r0 * factor, c0 * factor),
        scale=1 / factor,
        values=near.ids + 1,
    )
    return drawn
