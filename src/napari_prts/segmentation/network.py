"""The StarDist 2D network in PyTorch.

The layers and their names follow ``stardist`` 0.9 (``models/model2d.py``) and
``csbdeep`` (``internals/blocks.py``), so that weights trained with Keras load
one to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

# Rows of a band, a multiple of any pooling: the largest maps are computed band by band, which
# stay in the processor's cache; a quarter quicker than whole ones, and in less memory.
_BAND = 128


@dataclass(frozen=True)
class StarDistConfig:
    """Shape of a StarDist 2D network; the defaults are those of ``2D_versatile_he``.

    Parameters
    ----------
    n_rays : int
        Number of radial distances per candidate, the first along +column.
    grid : tuple of int
        Output subsampling along (row, column); powers of two.
    n_channel_in : int
        Image channels.
    depth : int
        Number of U-Net poolings after the grid.
    filters : int
        Filters of the first U-Net level; doubled at each level.
    convs_per_depth : int
        Convolutions per U-Net level.
    features : int
        Filters of the last convolution before the two heads; 0 for none.
    kernel : int
        Side of the square convolution kernels.
    """

    n_rays: int = 32
    grid: tuple[int, int] = (2, 2)
    n_channel_in: int = 3
    depth: int = 3
    filters: int = 32
    convs_per_depth: int = 2
    features: int = 128
    kernel: int = 3

    @property
    def divisor(self) -> tuple[int, int]:
        """Input height and width must be multiples of this (rows, columns)."""
        return (self.grid[0] * 2**self.depth, self.grid[1] * 2**self.depth)


class StarDistNetwork(nn.Module):
    """Object probability and radial distances for each grid point of an image.

    Parameters
    ----------
    config : StarDistConfig
        Shape of the network.
    """

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        self.config = config
        self.pools: list[tuple[int, int]] = []
        channels = config.n_channel_in
        self.pooled = nn.ModuleList()
        reached = (1, 1)
        while reached != config.grid:
            pool = (
                2 if config.grid[0] > reached[0] else 1,
                2 if config.grid[1] > reached[1] else 1,
            )
            self.pooled.append(self._level(channels, [config.filters] * config.convs_per_depth))
            self.pools.append(pool)
            reached = (reached[0] * pool[0], reached[1] * pool[1])
            channels = config.filters

        widths = [config.filters * 2**level for level in range(config.depth)]
        self.down = nn.ModuleList()
        for width in widths:
            self.down.append(self._level(channels, [width] * config.convs_per_depth))
            channels = width
        bottom = config.filters * 2**config.depth
        narrow = config.filters * 2 ** max(0, config.depth - 1)
        self.middle = self._level(channels, [bottom] * (config.convs_per_depth - 1) + [narrow])
        channels = narrow
        self.up = nn.ModuleList()
        for level in reversed(range(config.depth)):
            width = widths[level]
            last = config.filters * 2 ** max(0, level - 1)
            self.up.append(
                self._level(channels + width, [width] * (config.convs_per_depth - 1) + [last])
            )
            channels = last
        if config.features:
            self.features = self._level(channels, [config.features])
            channels = config.features
        else:
            self.features = nn.ModuleList()
        self.prob = nn.Conv2d(channels, 1, 1)
        self.dist = nn.Conv2d(channels, config.n_rays, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def _level(self, channels: int, widths: list[int]) -> nn.ModuleList:
        level = nn.ModuleList()
        for width in widths:
            level.append(nn.Conv2d(channels, width, self.config.kernel, padding="same"))
            channels = width
        return level

    def forward(
        self, image: torch.Tensor, window: tuple[slice, slice] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Parameters
        ----------
        image : torch.Tensor
            Normalised image, (batch, channel, row, column), sides multiples of
            :attr:`StarDistConfig.divisor`.
        window : tuple of slice, optional
            Rows and columns of the grid that are wanted, all by default: the last
            levels, a third of the work, are computed there only.

        Returns
        -------
        logit, dist : torch.Tensor
            Logit of the object probability (batch, 1, row / grid, column / grid)
            and distances in image pixels (batch, n_rays, row / grid, column / grid).
        """
        x = image
        for convs, pool in zip(self.pooled, self.pools, strict=True):
            x = self._pooled(convs, x, pool)
        skips = []
        for convs in self.down:
            x = _run(convs, x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = _run(self.middle, x)
        for level, skip in reversed(list(enumerate(skips))[1:]):
            x = _joined(self.up[len(skips) - 1 - level], x, skip)
        whole = _Crop.whole(image, self.config)
        if window is None:
            return self._last(x, skips, whole)
        parts = [self._last(x, skips, crop) for crop in self._bands(window, whole)]
        return torch.cat([p for p, _ in parts], dim=2), torch.cat([d for _, d in parts], dim=2)

    def _last(
        self, x: torch.Tensor, skips: list[torch.Tensor], crop: _Crop
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The levels at the grid's own resolution, on a part of it."""
        x = _joined(self.up[-1], crop.halved(x), crop.of(skips[0])) if skips else crop.of(x)
        # The heads may be more precise than the rest.
        x = crop.inner(_run(self.features, x)).to(self.prob.weight.dtype)
        return self.prob(x), self.dist(x)

    def _bands(self, window: tuple[slice, slice], whole: _Crop) -> Iterator[_Crop]:
        """The window band by band, each with as much around as its points look at."""
        reach = self.config.kernel // 2
        convs = self.config.convs_per_depth if self.config.depth else 0
        around = reach * (convs + (self.config.features > 0))
        rows, columns = window
        for start in range(rows.start, rows.stop, _BAND):
            band = slice(start, min(rows.stop, start + _BAND))
            yield _Crop.around((band, columns), around, whole)

    def _pooled(self, convs: nn.Module, x: torch.Tensor, pool: tuple[int, int]) -> torch.Tensor:
        """Convolve and pool; in bands where no gradients are wanted."""
        rows, halo = x.shape[2], self.config.kernel // 2 * self.config.convs_per_depth
        if torch.is_grad_enabled() or rows <= _BAND + halo:
            return F.max_pool2d(_run(convs, x), pool)
        bands = []
        for start in range(0, rows, _BAND):
            first, stop = max(0, start - halo), min(rows, start + _BAND)
            band = _run(convs, x[:, :, first : stop + halo])
            bands.append(F.max_pool2d(band[:, :, start - first : stop - first], pool))
        return torch.cat(bands, dim=2)


@dataclass(frozen=True)
class _Crop:
    """A part of the grid, (row, column), and the wanted part within it."""

    outer: tuple[slice, slice]
    wanted: tuple[slice, slice]

    @classmethod
    def whole(cls, image: torch.Tensor, config: StarDistConfig) -> _Crop:
        sides = (image.shape[2] // config.grid[0], image.shape[3] // config.grid[1])
        part = slice(0, sides[0]), slice(0, sides[1])
        return cls(part, part)

    @classmethod
    def around(cls, window: tuple[slice, slice], margin: int, whole: _Crop) -> _Crop:
        rows, columns = (
            # Even, because the level below has half the points.
            slice(
                max(0, (part.start - margin) // 2 * 2),
                min(end.stop, (part.stop + margin + 1) // 2 * 2),
            )
            for part, end in zip(window, whole.outer, strict=True)
        )
        return cls((rows, columns), window)

    def of(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, self.outer[0], self.outer[1]]

    def halved(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (slice(part.start // 2, part.stop // 2) for part in self.outer)
        return x[:, :, rows, columns]

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip(self.wanted, self.outer, strict=True)
        )
        return x[:, :, rows, columns]


def _joined(convs: nn.Module, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    return _run(convs, torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))


def _run(convs: nn.Module, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(convs, nn.ModuleList)
    for conv in convs:
        x = F.relu(conv(x), inplace=True)
    return x
