"""Adding pictures up over nuclei and over the tiles around them, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.tiles import to_encoder_pixels
from napari_prts.features.worklist import nearest_first
from napari_prts.nuclei.drawing import to_window
from napari_prts.nuclei.geometry import bounds_of
from napari_prts.nuclei.ragged import counted, take_rows
from napari_prts.nuclei.spans import filled

if TYPE_CHECKING:
    from napari_prts.features.unet_activations import Activations
    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei

Ints = NDArray[np.int64]

# Channels gathered at once: a block may be nuclei all over, and all channels are 134 MB.
_CHANNELS = 16


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels of the encoder's scale, (row, column) from the slide's corner."""

    row: int
    column: int
    height: int
    width: int

    def grown(self, by: int) -> Window:
        """The rectangle with ``by`` pixels more on each side."""
        return Window(self.row - by, self.column - by, self.height + 2 * by, self.width + 2 * by)


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """Which blocks are looked at, and which nuclei get something from each.

    Parameters
    ----------
    blocks : ndarray of int64, shape (b, 2)
        Rows and columns of the blocks on their lattice, in the order of the work.
    side : int
        Of a block, in pixels of the encoder's scale.
    shape : tuple of int
        Rows and columns of the slide at that scale, rounded up to whole steps.
    grid, step : tuple of int
        Pixels of a grid point, and of a step of the bottleneck.
    vertices, offsets : ndarray
        Outlines, in grid points with their centres at whole numbers.
    first : ndarray of int64, shape (n, 2)
        First step of each nucleus's tile.
    steps : tuple of int
        Rows and columns of a tile, in steps.
    on, near : tuple of ndarray
        For each block, the nuclei that lie on it, and those whose tile does.
    """

    blocks: Ints
    side: int
    shape: tuple[int, int]
    grid: tuple[int, int]
    step: tuple[int, int]
    vertices: NDArray[np.float64]
    offsets: Ints
    first: Ints
    steps: tuple[int, int]
    on: tuple[Ints, ...]
    near: tuple[Ints, ...]

    @classmethod
    def of(
        cls,
        nuclei: Nuclei,
        slide_shape: tuple[int, int],
        to_level_0: float,
        grid: tuple[int, int],
        step: tuple[int, int],
        side: int,
        tile: int,
    ) -> BlockPlan:
        """Plan the work for nuclei.

        Parameters
        ----------
        nuclei : Nuclei
            Those to encode.
        slide_shape : tuple of int
            Rows and columns of level 0.
        to_level_0 : float
            Level-0 pixels per pixel of the encoder's scale.
        grid, step : tuple of int
            Pixels of a grid point, and of a step: rows and columns.
        side, tile : int
            Of a block and of a tile, in pixels of that scale, multiples of a step.
        """
        rows, columns = (
            math.ceil(length / to_level_0 / part) * part
            for length, part in zip(slide_shape, step, strict=True)
        )
        # A nucleus outside belongs to the border's blocks: it must be given somewhere.
        most = np.maximum((np.array([rows, columns]) - 1) // side, 0)
        in_pixels = to_window(nuclei.vertices, (0.0, 0.0), 1 / to_level_0) + 0.5
        bounds = bounds_of(in_pixels, nuclei.offsets)
        centres = to_encoder_pixels(nuclei.centroids, 1.0, to_level_0)
        first = np.rint((centres - tile / 2) / np.array(step)).astype(np.int64)
        steps = tile // step[0], tile // step[1]
        tiles = np.hstack([first, first + np.array(steps)]) * np.array([*step, *step]) - [
            0, 0, 1, 1,
        ]  # fmt: skip
        found = [_touched(part, side, most) for part in (bounds, tiles)]
        lattice = np.concatenate([blocks for blocks, _ in found])
        blocks, block_of = np.unique(lattice, axis=0, return_inverse=True)
        block_of = block_of.reshape(-1)
        owner = np.concatenate([owner for _, owner in found])
        count = len(found[0][1])
        return cls(
            blocks,
            side,
            (rows, columns),
            grid,
            step,
            (in_pixels / np.array(grid)) - 0.5,
            nuclei.offsets,
            first,
            steps,
            _grouped(owner[:count], block_of[:count], len(blocks)),
            _grouped(owner[count:], block_of[count:], len(blocks)),
        )

    def __len__(self) -> int:
        return len(self.blocks)

    def window(self, index: int) -> Window:
        """What a block owns, as far as there is a slide."""
        row, column = (int(v) for v in self.blocks[index] * self.side)
        return Window(
            row,
            column,
            min(self.side, self.shape[0] - row),
            min(self.side, self.shape[1] - column),
        )

    def of_block(self, index: int) -> Ints:
        """Nuclei that get something from a block."""
        return np.union1d(self.on[index], self.near[index])


class BlocksLeft:
    """Which blocks are still to be looked at, and which nuclei wait for them.

    Parameters
    ----------
    plan : BlockPlan
        The plan.
    to_level_0 : float
        Level-0 pixels per pixel of the plan.
    """

    def __init__(self, plan: BlockPlan, to_level_0: float) -> None:
        self._plan = plan
        self._middles = (plan.blocks + 0.5) * plan.side * to_level_0
        self._left = np.zeros(len(plan.first), np.int64)
        for index in range(len(plan)):
            self._left[plan.of_block(index)] += 1

    def nearest(self, work: Worklist) -> Iterator[int]:
        """Blocks, the one nearest to what is on screen first."""
        waiting = np.ones(len(self._plan), np.bool_)
        while waiting.any():
            index = nearest_first(self._middles, waiting, work.view)
            waiting[index] = False
            yield index

    def finish(self, index: int) -> Ints:
        """Tell that a block is done; give the nuclei that wait for no other now."""
        members = self._plan.of_block(index)
        self._left[members] -= 1
        ready: Ints = members[self._left[members] == 0]
        return ready


class TileSums:
    """Sums over the tile of each nucleus.

    Parameters
    ----------
    count : int
        Nuclei.
    size : int
        Channels.
    """

    def __init__(self, count: int, size: int) -> None:
        # A few numbers of single precision add up exactly, whatever their order.
        self._sums = np.zeros((count, size), np.float64)
        self._steps = np.zeros(count, np.int64)

    def add(self, plan: BlockPlan, index: int, owned: NDArray[np.float32]) -> None:
        """Add what a block owns, (channel, row, column) in steps."""
        members, window = plan.near[index], plan.window(index)
        running = np.zeros((len(owned), owned.shape[1] + 1, owned.shape[2] + 1))
        running[:, 1:, 1:] = owned.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
        corner = np.array([window.row // plan.step[0], window.column // plan.step[1]])
        limit = np.array(owned.shape[1:])
        r0, c0 = np.clip(plan.first[members] - corner, 0, limit).T
        r1, c1 = np.clip(plan.first[members] + np.array(plan.steps) - corner, 0, limit).T
        sums = running[:, r1, c1] - running[:, r0, c1] - running[:, r1, c0] + running[:, r0, c0]
        self._sums[members] += sums.T.astype(np.float32)
        self._steps[members] += (r1 - r0) * (c1 - c0)

    def means(self, rows: Ints) -> NDArray[np.float32]:
        """Means of nuclei that are done."""
        return _mean(self._sums[rows], self._steps[rows])


class BlockSums:
    """Sums over each nucleus, and over its tile.

    Parameters
    ----------
    count : int
        Nuclei.
    local_size, context_size : int
        Channels of the last features and of the bottleneck.
    """

    def __init__(self, count: int, local_size: int, context_size: int) -> None:
        self._local = np.zeros((count, local_size), np.float64)
        self._points = np.zeros(count, np.int64)
        self._tiles = TileSums(count, context_size)

    def add(self, plan: BlockPlan, index: int, seen: Activations, context: int) -> None:
        """Add what a block owns; its activations begin ``context`` pixels before it."""
        window = plan.window(index)
        self._add_nuclei(plan, plan.on[index], window, seen.features)
        rows, columns = context // plan.step[0], context // plan.step[1]
        height, width = window.height // plan.step[0], window.width // plan.step[1]
        owned = seen.bottleneck[:, rows : rows + height, columns : columns + width]
        self._tiles.add(plan, index, owned)

    def means(self, rows: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Local and context parts of nuclei that are done."""
        return _mean(self._local[rows], self._points[rows]), self._tiles.means(rows)

    def _add_nuclei(
        self, plan: BlockPlan, members: Ints, window: Window, features: NDArray[np.float32]
    ) -> None:
        vertices, offsets = take_rows([(plan.vertices, plan.offsets)], members)
        height, width = window.height // plan.grid[0], window.width // plan.grid[1]
        corner = window.row // plan.grid[0], window.column // plan.grid[1]
        spans = filled(vertices, offsets).clipped(*corner, height, width)
        if not len(spans.owner):
            return
        owner = np.repeat(spans.owner, spans.lengths)
        begins = np.flatnonzero(np.diff(owner, prepend=-1))
        which, pixels = members[owner[begins]], spans.pixels(width)
        flat = features.reshape(len(features), -1)
        for start in range(0, len(flat), _CHANNELS):
            some = slice(start, start + _CHANNELS)
            sums = np.add.reduceat(flat[some, pixels], begins, axis=1, dtype=np.float64)
            self._local[which, some] += sums.T.astype(np.float32)
        self._points[which] += np.diff(begins, append=len(owner))


def _mean(sums: NDArray[np.float64], count: Ints) -> NDArray[np.float32]:
    return np.asarray(sums / np.maximum(count, 1)[:, None], np.float32)


def _touched(bounds: NDArray[np.number], side: int, most: Ints) -> tuple[Ints, Ints]:
    """Blocks that rectangles touch: (row, column) of each, and whose rectangle it is."""
    first = np.clip(np.floor(bounds[:, :2] / side), 0, most).astype(np.int64)
    size = np.clip(np.floor(bounds[:, 2:] / side), 0, most).astype(np.int64) - first + 1
    owner, within = counted(size.prod(axis=1))
    row = first[owner, 0] + within // size[owner, 1]
    column = first[owner, 1] + within % size[owner, 1]
    return np.stack([row, column], axis=1), owner


def _grouped(values: Ints, group: Ints, groups: int) -> tuple[Ints, ...]:
    """Values of each group, ascending."""
    order = np.lexsort((values, group))
    edges = np.searchsorted(group[order], np.arange(1, groups))
    return tuple(np.split(values[order], edges))
