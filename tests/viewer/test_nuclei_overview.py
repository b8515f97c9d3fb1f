"""All nuclei as one lazy pyramid: each block is what drawing everything at once would give."""

from __future__ import annotations

import numpy as np

from napari_prts.nuclei import Nuclei, rasterise
from napari_prts.viewer.nuclei_overview import overview_levels


def scattered(count: int, shape: tuple[int, int], seed: int = 0) -> Nuclei:
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    centres = rng.uniform((0, 0), shape, (count, 2))
    return Nuclei.from_polygons([centre + circle * rng.uniform(4, 12) for centre in centres])


def test_blocks_join_without_seams() -> None:
    shape = (1500, 2300)
    nuclei = scattered(300, shape)
    level = overview_levels(nuclei, shape)[0]
    whole = rasterise(nuclei.polygons(), *shape, values=nuclei.ids + 1)
    np.testing.assert_array_equal(np.asarray(level) > 0, whole > 0)


def test_levels_halve_until_one_block_holds_the_slide() -> None:
    levels = overview_levels(scattered(5, (5000, 3000)), (5000, 3000))
    assert [level.shape for level in levels] == [
        (5000, 3000),
        (2500, 1500),
        (1250, 750),
        (625, 375),
    ]


def test_without_nuclei_nothing_is_drawn() -> None:
    levels = overview_levels(Nuclei.empty(), (100, 100))
    assert not np.asarray(levels[0]).any()
