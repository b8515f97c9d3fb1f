"""Candidates, the suppression of overlaps, and tiles that share out the work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.segmentation import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.merging import Merger
from napari_prts.segmentation.runner import receptive_radius
from napari_prts.segmentation.tiling import Rectangle, plan_tiles


def many(count: int, side: float, seed: int = 0) -> Candidates:
    """Overlapping blobs at the points of a grid of step 2, as a network proposes them."""
    rng = np.random.default_rng(seed)
    flat = rng.choice((int(side) // 2) ** 2, count, replace=False)
    points = 2.0 * np.stack(np.divmod(flat, int(side) // 2), axis=1)
    radius = rng.uniform(4, 9, (count, 1))
    dist = radius * rng.uniform(0.8, 1.2, (count, 32))
    prob = rng.uniform(0.5, 1, count).round(2)
    return Candidates(points.astype(np.float32), prob.astype(np.float32), dist.astype(np.float32))


def as_set(candidates: Candidates) -> set[tuple[float, ...]]:
    return {tuple(point) for point in candidates.points.tolist()}


def test_suppression_is_stardists_own():
    from stardist.nms import non_maximum_suppression_sparse

    candidates = many(600, 300)
    candidates = Candidates(
        candidates.points,
        np.random.default_rng(1).permutation(600).astype(np.float32) / 600,
        candidates.dist,
    )
    points, _, _, _ = non_maximum_suppression_sparse(
        candidates.dist, candidates.prob, candidates.points, nms_thresh=0.3
    )
    survivors = candidates.suppressed(0.3)
    np.testing.assert_array_equal(survivors.points, points)
    assert (np.diff(survivors.prob) <= 0).all()


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_suppression_does_not_depend_on_the_order(seed):
    """Probabilities are often equal; which one wins must not depend on chance."""
    candidates = many(150, 120)
    shuffled = candidates.take(np.random.default_rng(seed).permutation(150))
    np.testing.assert_array_equal(
        candidates.suppressed(0.4).points, shuffled.suppressed(0.4).points
    )


def test_no_candidates():
    none = Candidates.empty(32)
    assert len(none.suppressed(0.4)) == 0
    assert none.polygons().shape == (0, 32, 2)
    assert len(none.limited(10, 10)) == 0


@given(
    row=st.floats(0, 500),
    column=st.floats(0, 500),
    scale=st.floats(0.2, 4),
)
def test_pixel_centres_are_whole_numbers_at_every_scale(row, column, scale):
    """The middle of pixel p, (p + 0.5) from the image's border, stays where it is."""
    point = np.array([[row, column]], np.float32)
    one = Candidates(point, np.ones(1, np.float32), np.full((1, 32), 3, np.float32))
    centre = one.polygons(scale)[0].mean(axis=0)
    np.testing.assert_allclose(centre + 0.5, (point[0] + 0.5) * scale, rtol=1e-4, atol=1e-3)


def test_rays_turn_from_columns_to_rows():
    dist = np.array([[1, 2, 3, 4]], np.float32)
    square = Candidates(np.zeros((1, 2), np.float32), np.ones(1, np.float32), dist)
    expected = [[0, 1], [2, 0], [0, -3], [-4, 0]]
    np.testing.assert_allclose(square.polygons()[0], expected, atol=1e-6)
    assert square.areas()[0] == pytest.approx((1 * 2 + 2 * 3 + 3 * 4 + 4 * 1) / 2)


@given(st.integers(0, 1000), st.floats(20, 60), st.floats(20, 60))
@settings(max_examples=30, deadline=None)
def test_limited_polygons_stay_inside_and_simple(seed, height, width):
    import shapely

    candidates = many(40, 60, seed)
    inside = (candidates.points + 0.5 < [height, width]).all(axis=1)
    limited = candidates.take(inside).limited(height, width)
    vertices = limited.polygons()
    assert vertices.min(initial=0) >= -0.5 - 1e-4
    assert (vertices.reshape(-1, 2) <= np.array([height, width]) - 0.5 + 1e-4).all()
    assert shapely.is_valid(shapely.polygons(vertices)).all()
    far = candidates.take(inside).limited(1e6, 1e6).shifted(100, 100).limited(1e6, 1e6)
    np.testing.assert_array_equal(far.limited(1e6, 1e6).dist, far.dist)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.integers(16, 900),
    row0=st.integers(0, 20),
    column0=st.integers(0, 20),
)
def test_tiles_share_out_the_window(height, width, tile, row0, column0):
    window = Rectangle(0, 0, height * 16, width * 16)
    window = Rectangle(row0 * 16, column0 * 16, (row0 + height) * 16, (column0 + width) * 16)
    owned = np.zeros((window.row1 // 16, window.column1 // 16), int)
    for part in plan_tiles(window, tile, (16, 16)):
        assert max(part.height, part.width) <= tile
        assert part.aligned((16, 16)) == part
        owned[part.row0 // 16 : part.row1 // 16, part.column0 // 16 : part.column1 // 16] += 1
    assert (owned[row0:, column0:] == 1).all()
    assert owned.sum() == height * width


def test_tiles_of_nothing():
    assert plan_tiles(Rectangle(16, 16, 16, 64), 256, (16, 16)) == []


@pytest.mark.parametrize("tile", [96, 160, 400])
def test_merged_tiles_are_the_whole(tile):
    window = Rectangle(0, 0, 400, 400)
    candidates = many(3000, 400)
    merger = Merger(0.4, 32, rim=48)
    shown = []
    for part in plan_tiles(window, tile, (16, 16)):
        row, column = candidates.points.T
        owned = (row >= part.row0) & (row < part.row1)
        owned &= (column >= part.column0) & (column < part.column1)
        shown.append(merger.add(candidates.take(owned), part))
    whole = candidates.suppressed(0.4)
    assert as_set(merger.result()) == as_set(whole)
    # What is shown meanwhile never overlaps, and is nearly the result.
    meanwhile = Candidates.concatenate(shown, 32)
    assert len(meanwhile.suppressed(0.4)) == len(meanwhile)
    assert len(as_set(meanwhile) & as_set(whole)) > 0.85 * len(whole)


@pytest.mark.parametrize(
    "config",
    [
        StarDistConfig(n_rays=4, depth=1, filters=2, features=3),
        StarDistConfig(n_rays=4, depth=2, filters=2, features=0, grid=(1, 1)),
    ],
)
def test_nothing_beyond_the_receptive_radius_matters(config):
    radius = receptive_radius(config)
    torch.manual_seed(0)
    network = StarDistNetwork(config).eval()
    side = 16 * (2 * radius // 16 + 4)
    image = torch.rand(1, 3, side, side)
    middle = side // 2
    changed = torch.rand(1, 3, side, side)
    near = slice(middle - radius, middle + radius + 1)
    changed[..., near, near] = image[..., near, near]
    point = middle // config.grid[0]
    with torch.inference_mode():
        before, after = network(image)[1], network(changed)[1]
    torch.testing.assert_close(before[..., point, point], after[..., point, point])
