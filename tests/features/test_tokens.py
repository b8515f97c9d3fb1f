"""Which patch tokens belong to a nucleus."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.features.tokens import local_features, token_mask

GRID, PATCH = 16, 16


def _overlap_areas(polygon: np.ndarray, grid: int, patch: int) -> np.ndarray:
    """Area that the polygon shares with each patch, by shapely."""
    shape = shapely.make_valid(shapely.Polygon(polygon[:, ::-1]))
    row, column = np.mgrid[:grid, :grid] * patch
    return shapely.area(
        shapely.intersection(shape, shapely.box(column, row, column + patch, row + patch))
    )


def _star(draw_radii: list[float], row: float, column: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, len(draw_radii), endpoint=False)
    return np.stack([row + draw_radii * np.sin(angle), column + draw_radii * np.cos(angle)], axis=1)


@settings(max_examples=150, deadline=None)
@given(
    radii=st.lists(st.floats(0.5, 60), min_size=3, max_size=32),
    row=st.floats(-20, 276),
    column=st.floats(-20, 276),
    grid=st.sampled_from([1, 4, 16]),
)
def test_a_token_belongs_to_a_nucleus_where_square_and_polygon_share_an_area(
    radii: list[float], row: float, column: float, grid: int
) -> None:
    patch = 256 // grid
    polygon = _star(np.array(radii), row, column)
    centre = np.array([[row, column]])
    mask = token_mask([polygon], centre, grid, patch)[0]
    areas = _overlap_areas(polygon, grid, patch)
    centroid_patch = np.clip(np.floor(centre[0] / patch), 0, grid - 1).astype(int)

    assert mask[tuple(centroid_patch)], "the token under the centroid always belongs to it"
    mask[tuple(centroid_patch)] = areas[tuple(centroid_patch)] > 0
    # Between the two limits lies what rounding alone makes of a common edge.
    assert mask[areas > 1e-6].all()
    assert not mask[areas == 0].any()


def test_the_four_patches_around_a_corner() -> None:
    square = np.array([[124, 124], [124, 132], [132, 132], [132, 124]], dtype=np.float32)
    mask = token_mask([square], np.array([[128.0, 128.0]]), GRID, PATCH)[0]
    assert np.argwhere(mask).tolist() == [[7, 7], [7, 8], [8, 7], [8, 8]]


def test_a_common_edge_is_no_overlap() -> None:
    exactly_one_patch = np.array([[128, 128], [128, 144], [144, 144], [144, 128]])
    mask = token_mask([exactly_one_patch], np.array([[136.0, 136.0]]), GRID, PATCH)[0]
    assert np.argwhere(mask).tolist() == [[8, 8]]


def test_a_nucleus_larger_than_the_tile_has_all_tokens() -> None:
    huge = np.array([[-500, -500], [-500, 900], [900, 900], [900, -500]])
    assert token_mask([huge], np.array([[128.0, 128.0]]), GRID, PATCH).all()


def test_a_nucleus_bent_around_its_centroid_has_the_token_there_too() -> None:
    ring = shapely.Point(136, 136).buffer(60).difference(shapely.Point(136, 136).buffer(40))
    bent = ring.difference(shapely.box(136, 130, 300, 142))
    outline = np.asarray(bent.exterior.coords)[:, ::-1]
    mask = token_mask([outline], np.array([[136.0, 136.0]]), GRID, PATCH)[0]
    assert _overlap_areas(outline, GRID, PATCH)[8, 8] == 0
    assert mask[8, 8]


def test_an_outline_that_crosses_itself_counts_with_both_halves() -> None:
    bow_tie = np.array([[100, 100], [156, 156], [156, 100], [100, 156]])
    mask = token_mask([bow_tie], np.array([[128.0, 128.0]]), GRID, PATCH)[0]
    assert mask[6, 6:10].all()
    assert mask[9, 6:10].all()


def test_many_nuclei_at_once_are_the_same_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    polygons = [_star(rng.uniform(3, 40, 12), *rng.uniform(60, 200, 2)) for _ in range(20)]
    centres = np.array([polygon.mean(axis=0) for polygon in polygons])
    together = token_mask(polygons, centres, GRID, PATCH)
    for i, polygon in enumerate(polygons):
        alone = token_mask([polygon], centres[i : i + 1], GRID, PATCH)[0]
        assert np.array_equal(together[i], alone)
    assert token_mask([], np.empty((0, 2)), GRID, PATCH).shape == (0, GRID, GRID)


@pytest.mark.parametrize("width", [2, 64, 384])
def test_the_local_part_is_the_mean_of_tokens_then_of_channel_pairs(width: int) -> None:
    rng = np.random.default_rng(3)
    counts = np.array([3, 1, 7, 2])
    tokens = rng.normal(size=(counts.sum(), width)).astype(np.float32)
    local = local_features(tokens, counts)
    for nucleus, own in enumerate(np.split(tokens, np.cumsum(counts)[:-1])):
        mean = own.mean(axis=0)
        np.testing.assert_allclose(local[nucleus], (mean[0::2] + mean[1::2]) / 2, atol=1e-5)
        alone = local_features(own, counts[nucleus : nucleus + 1])
        assert np.array_equal(alone[0], local[nucleus])
    assert local_features(np.empty((0, width), np.float32), np.empty(0, int)).shape[0] == 0
