"""A StarDist network as ncnn reads it: a graph in text, and the weights in its order.

The numbers in the text are ncnn's: https://github.com/Tencent/ncnn/wiki/operators
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_prts.segmentation.network import StarDistConfig
from napari_prts.segmentation.runtimes import Window

_MAGIC = "7767517"
_REST = -233
# ncnn computes this many channels at once; a head of fewer would go the slow way.
_PACK = 16
# Rows of grid points in a strip. Fewer take little less memory, and threads would wait for each
# other more often.
_ROWS = 256


@dataclass(frozen=True)
class Part:
    """Rows ``row0 <= r < row1``, columns ``column0 <= c < column1`` of some level."""

    row0: int
    column0: int
    row1: int
    column1: int

    def grown(self, by: int, within: Part) -> Part:
        """The part with ``by`` more on each side, as far as there is any."""
        return Part(
            max(within.row0, self.row0 - by),
            max(within.column0, self.column0 - by),
            min(within.row1, self.row1 + by),
            min(within.column1, self.column1 + by),
        )

    def paired(self) -> Part:
        """The smallest part around this one whose sides are even."""
        return Part(
            self.row0 // 2 * 2,
            self.column0 // 2 * 2,
            -(-self.row1 // 2) * 2,
            -(-self.column1 // 2) * 2,
        )

    def scaled(self, rows: Fraction, columns: Fraction) -> Part:
        """The same part at another resolution."""
        sides = (self.row0 * rows, self.column0 * columns, self.row1 * rows, self.column1 * columns)
        return Part(*(int(side) for side in sides))

    def strips(self, rows: int) -> list[Part]:
        """Cut into strips of at most so many rows."""
        edges = [*range(self.row0, self.row1, rows), self.row1]
        return [Part(a, self.column0, b, self.column1) for a, b in pairwise(edges)]


class Graph:
    """The layers of a network for images of one size.

    The first levels and the last, which have most of the pixels, are computed in
    strips: that takes a fraction of the memory. Each strip reaches as far beyond
    what is kept of it as its convolutions do, so the values are those of the whole.
    Of the last level, and only there, what the window does not need is left out.

    Parameters
    ----------
    config : StarDistConfig
        Shape of the network.
    state : dict of str to ndarray of float32
        Its parameters, by the names of
        :class:`~napari_prts.segmentation.network.StarDistNetwork`.
    sides : tuple of int
        Rows and columns of the image's grid points.
    window : Window
        The grid points wanted, within the image.

    Attributes
    ----------
    input, output : str
        Names of the image (channel, row, column) and of the result in the window:
        distances, then logit, then channels without meaning.
    """

    def __init__(
        self,
        config: StarDistConfig,
        state: dict[str, NDArray[np.float32]],
        sides: tuple[int, int],
        window: Window,
    ) -> None:
        self._config = config
        self._state = {**state, **_joined_heads(state)}
        self._layers: list[tuple[str, list[str], str, str]] = []
        self._blobs: list[bytes] = []
        self._whole = Part(0, 0, *sides)
        self.input = self._add("Input", [])
        grid = self._stacked(self._first, self._whole, _ROWS // 2)
        wanted = Part(window.row0, window.column0, window.row1, window.column1)
        self.output = self._rest(grid, wanted)

    def text(self) -> str:
        """The graph, each result that is used twice split in two as ncnn wants it."""
        uses = Counter(name for _, inputs, _, _ in self._layers for name in inputs)
        copies = {name: [f"{name}_{i}" for i in range(n)] for name, n in uses.items() if n > 1}
        left = {name: list(names) for name, names in copies.items()}
        lines, blobs = [], 0
        for kind, inputs, output, settings in self._layers:
            names = [left[name].pop() if name in left else name for name in inputs]
            lines.append(_line(kind, f"layer_{output}", names, [output], settings))
            blobs += 1
            if output in copies:
                lines.append(_line("Split", f"split_{output}", [output], copies[output], ""))
                blobs += len(copies[output])
        return "\n".join([_MAGIC, f"{len(lines)} {blobs}", *lines, ""])

    def weights(self) -> bytes:
        """The weights in the order of the layers."""
        return b"".join(self._blobs)

    def _first(self, strip: Part) -> str:
        """The levels before the U-Net, for a strip of the grid."""
        config = self._config
        steps = max(config.grid).bit_length() - 1
        if not steps:
            return self.input
        reach = config.kernel // 2 * config.convs_per_depth
        # In pixels of the image, each level's reach is that of the level before, doubled.
        beyond = -(-reach * (2**steps - 1) // min(config.grid))
        seen = strip.grown(beyond, self._whole)
        grid_rows, grid_columns = (Fraction(side) for side in config.grid)
        image = self._whole.scaled(grid_rows, grid_columns)
        x = self._cut(self.input, image, seen.scaled(grid_rows, grid_columns))
        reached = (1, 1)
        for number in range(steps):
            x = self._level(f"pooled.{number}", config.convs_per_depth, x)
            rows, columns = (2 if g > r else 1 for g, r in zip(config.grid, reached, strict=True))
            reached = (reached[0] * rows, reached[1] * columns)
            x = self._pool(x, rows, columns)
        return self._cut(x, seen, strip)

    def _rest(self, x: str, window: Part) -> str:
        """The U-Net and the heads, for the window."""
        config, skips = self._config, []
        for number in range(config.depth):
            if number:
                x = self._level(f"down.{number}", config.convs_per_depth, x)
            else:
                x = self._stacked(partial(self._down, x), self._whole, _ROWS)
            skips.append(x)
            x = self._pool(x, 2, 2)
        x = self._level("middle", config.convs_per_depth, x)
        if not skips:
            return self._cut(self._heads(x), self._whole, window)
        for number, skip in enumerate(reversed(skips[1:])):
            x = self._up(number, x, skip)
        last = partial(self._last, x, skips[0])
        return self._stacked(last, window, _ROWS)

    def _down(self, x: str, strip: Part) -> str:
        """The first level of the U-Net, for a strip of the grid."""
        convs = self._config.convs_per_depth
        seen = strip.grown(self._config.kernel // 2 * convs, self._whole)
        return self._cut(self._level("down.0", convs, self._cut(x, self._whole, seen)), seen, strip)

    def _last(self, below: str, skip: str, strip: Part) -> str:
        """The last level up and the heads, for a strip of the window."""
        config, half = self._config, Fraction(1, 2)
        beyond = config.kernel // 2 * (config.convs_per_depth + (config.features > 0))
        # In pairs: the level below, from which this one is enlarged, has half the points.
        seen = strip.grown(beyond, self._whole).paired()
        below = self._cut(below, self._whole.scaled(half, half), seen.scaled(half, half))
        x = self._up(config.depth - 1, below, self._cut(skip, self._whole, seen))
        return self._cut(self._heads(x), seen, strip)

    def _up(self, number: int, below: str, skip: str) -> str:
        enlarged = self._add("Interp", [below], "0=1 1=2.0 2=2.0")
        both = self._add("Concat", [enlarged, skip], "0=0")
        return self._level(f"up.{number}", self._config.convs_per_depth, both)

    def _heads(self, x: str) -> str:
        if self._config.features:
            x = self._level("features", 1, x)
        return self._conv("heads", x, relu=False)

    def _stacked(self, compute: Callable[[Part], str], part: Part, rows: int) -> str:
        """Compute a part in strips and put them together."""
        strips = [compute(strip) for strip in part.strips(rows)]
        if len(set(strips)) == 1:
            return strips[0]
        return self._add("Concat", strips, "0=1")

    def _level(self, name: str, convs: int, x: str) -> str:
        for number in range(convs):
            x = self._conv(f"{name}.{number}", x, relu=True)
        return x

    def _conv(self, name: str, x: str, relu: bool) -> str:
        kernel, bias = self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        filters, _, side, _ = kernel.shape
        # The zero before the kernel says that it is float32.
        self._blobs += [bytes(4), kernel.tobytes(), bias.tobytes()]
        settings = f"0={filters} 1={side} 4={side // 2} 5=1 6={kernel.size} 9={int(relu)}"
        return self._add("Convolution", [x], settings)

    def _pool(self, x: str, rows: int, columns: int) -> str:
        return self._add("Pooling", [x], f"0=0 1={columns} 2={columns} 11={rows} 12={rows}")

    def _cut(self, x: str, has: Part, wanted: Part) -> str:
        if has == wanted:
            return x
        row, column = wanted.row0 - has.row0, wanted.column0 - has.column0
        rows, columns = wanted.row1 - wanted.row0, wanted.column1 - wanted.column0
        return self._add("Crop", [x], f"0={column} 1={row} 2=0 3={columns} 4={rows} 5={_REST}")

    def _add(self, kind: str, inputs: list[str], settings: str = "") -> str:
        output = f"b{len(self._layers)}"
        self._layers.append((kind, inputs, output, settings))
        return output


def _line(kind: str, name: str, inputs: list[str], outputs: list[str], settings: str) -> str:
    parts = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, settings]
    return " ".join(parts).rstrip()


def _joined_heads(state: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Distances, logit and channels of nought as one convolution."""
    joined = {}
    for part in ("weight", "bias"):
        both = np.concatenate([state[f"dist.{part}"], state[f"prob.{part}"]])
        fill = np.zeros((-len(both) % _PACK, *both.shape[1:]), np.float32)
        joined[f"heads.{part}"] = np.ascontiguousarray(np.concatenate([both, fill]), np.float32)
    return joined
