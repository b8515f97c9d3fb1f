"""Tiles around nuclei, cut from blocks that are read once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.features.tiles import TileReader, tile_corners, to_encoder_pixels
from napari_prts.slide import Slide

TILE = 64


class CountingSlide:
    """A slide that counts how often it is read."""

    def __init__(self, slide: Slide) -> None:
        self.slide, self.reads = slide, 0

    def require_mpp(self) -> float:
        return self.slide.require_mpp()

    def read(self, *where: float, **how: float) -> np.ndarray:
        self.reads += 1
        return self.slide.read(*where, **how)


def _all_tiles(slide: Slide, centroids: np.ndarray, mpp: float, **how: int) -> np.ndarray:
    corners = tile_corners(centroids, slide.require_mpp(), mpp, TILE)
    tiles = np.zeros((len(corners), TILE, TILE, 3), np.uint8)
    seen = np.zeros(len(corners), int)
    reader = TileReader(slide, corners, mpp, TILE, **how)
    lattice = np.floor_divide(corners, how.get("block", 1024))
    order = np.lexsort((lattice[:, 1], lattice[:, 0]))
    for some in np.split(order, range(7, len(order), 7)):
        part = reader.read(some)
        assert np.array_equal(part.corners, corners[part.positions])
        tiles[part.positions] = part.pixels
        seen[part.positions] += 1
    assert (seen == 1).all(), "each nucleus once"
    return tiles


def test_a_tile_is_centred_on_its_nucleus(noise_slide: Slide) -> None:
    centroids = np.array([[200.0, 300.0], [100.4, 64.7], [333.5, 612.2]])
    tiles = _all_tiles(noise_slide, centroids, mpp=0.5)
    level = np.asarray(noise_slide.levels[0])
    for (row, column), tile in zip(centroids, tiles, strict=True):
        top, left = round(row + 0.5) - TILE // 2, round(column + 0.5) - TILE // 2
        assert np.array_equal(tile, level[top : top + TILE, left : left + TILE])


@settings(max_examples=60, deadline=None)
@given(
    centroids=st.lists(st.tuples(st.floats(-50, 1e5), st.floats(-50, 1e5)), min_size=1),
    slide_mpp=st.floats(0.1, 1.0),
    tile=st.sampled_from([64, 224, 256]),
)
def test_the_centre_of_a_tile_is_within_half_a_pixel(
    centroids: list[tuple[float, float]], slide_mpp: float, tile: int
) -> None:
    centroids = np.array(centroids)
    centres = to_encoder_pixels(centroids, slide_mpp, 0.5)
    corners = tile_corners(centroids, slide_mpp, 0.5, tile)
    # A centre on the border between two pixels is rounded itself.
    assert np.abs(corners + tile / 2 - centres).max() <= 0.5 + 1e-9


def test_outside_the_slide_is_its_background() -> None:
    pixels = np.full((200, 200, 3), 240, np.uint8)
    pixels[60:140, 60:140] = (150, 60, 140)
    slide = Slide.from_array(pixels, mpp=0.5)
    tiles = _all_tiles(slide, np.array([[0.0, 0.0], [199.0, 100.0]]), mpp=0.5)
    half = TILE // 2
    corner, bottom = tiles
    assert (corner[: half - 1] == slide.background).all()
    assert (corner[:, : half - 1] == slide.background).all()
    assert (corner[half:, half:] == pixels[:half, :half]).all()
    assert (bottom[half + 1 :] == slide.background).all()


@pytest.mark.parametrize("slide_mpp", [0.25, 0.499, 0.69])
def test_a_tile_does_not_depend_on_its_neighbours(slide_mpp: float) -> None:
    """A nucleus encoded again alone gets the very pixels that it had among all others."""
    rng = np.random.default_rng(0)
    slide = Slide.from_array(rng.integers(0, 255, (700, 700, 3), dtype=np.uint8), mpp=slide_mpp)
    centroids = rng.uniform(0, 700, (40, 2))
    among_others = _all_tiles(slide, centroids, mpp=0.5, block=128)
    for i in range(0, 40, 8):
        alone = _all_tiles(slide, centroids[i : i + 1], mpp=0.5, block=128)
        assert np.array_equal(alone[0], among_others[i])


def test_each_block_is_read_once(noise_slide: Slide) -> None:
    slide = CountingSlide(noise_slide)
    rng = np.random.default_rng(5)
    centroids = rng.uniform(0, 500, (300, 2))
    _all_tiles(slide, centroids, mpp=0.5, block=256)
    corners = tile_corners(centroids, 0.5, 0.5, TILE)
    blocks = {tuple(block) for block in np.floor_divide(corners, 256)}
    assert slide.reads == len(blocks)
