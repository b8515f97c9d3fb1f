"""Which nucleus a bin belongs to: exactly shapely's containment and distance, for any outlines."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError
from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd import assign_bins


def _by_shapely(nuclei: Nuclei, positions: NDArray[np.float64]) -> list[int]:
    """Test every bin against every nucleus."""
    points = shapely.points(positions[:, 1], positions[:, 0])
    inside = shapely.contains(nuclei.shapely()[:, None], points)
    times = inside.sum(0)
    return np.where(times == 1, inside.argmax(0), np.where(times == 0, -1, -2)).tolist()


def _by_distance(nuclei: Nuclei, positions: NDArray[np.float64], grow_px: float) -> list[int]:
    """Where no nucleus contains a bin, measure its distance to every nucleus."""
    points = shapely.points(positions[:, 1], positions[:, 0])
    distances = shapely.distance(nuclei.shapely()[:, None], points)
    smallest = distances.min(0)
    tie = (distances <= smallest + 1e-6).sum(0) > 1
    grown = np.where(smallest > grow_px, -1, np.where(tie, -2, distances.argmin(0)))
    inside = np.array(_by_shapely(nuclei, positions))
    return np.where(inside == -1, grown, inside).tolist()


def _square(row: float, column: float, side: float) -> NDArray[np.float32]:
    corners = [(0, 0), (0, side), (side, side), (side, 0)]
    return np.array([(row + r, column + c) for r, c in corners], np.float32)


def test_a_bin_goes_to_the_one_nucleus_that_contains_it() -> None:
    nuclei = Nuclei.from_polygons([_square(0, 0, 4), _square(2, 2, 4), _square(0, 20, 4)])
    positions = np.array([[1, 1], [3, 3], [5, 5], [1, 21], [21, 1], [50, 50]], float)
    assert assign_bins(nuclei, positions).tolist() == [0, -2, 1, 2, -1, -1]


def test_a_bin_on_an_outline_lies_outside() -> None:
    nuclei = Nuclei.from_polygons([_square(0, 0, 4), _square(0, 4, 4)])
    positions = np.array([[2, 0], [0, 2], [2, 4], [4, 4], [2, 3.999999]], float)
    assert assign_bins(nuclei, positions).tolist() == [-1, -1, -1, -1, 0]


def test_without_nuclei_or_bins_nothing_is_assigned() -> None:
    positions = np.zeros((3, 2))
    assert assign_bins(Nuclei.empty(), positions).tolist() == [-1, -1, -1]
    nuclei = Nuclei.from_polygons([_square(0, 0, 4)])
    assert assign_bins(nuclei, np.empty((0, 2))).shape == (0,)


def test_a_grown_nucleus_takes_bins_up_to_its_reach() -> None:
    nuclei = Nuclei.from_polygons([_square(10, 10, 4)])
    positions = np.array([[12, 12], [10, 12], [12, 16], [12, 16.001], [15, 15], [16, 16]], float)
    assert assign_bins(nuclei, positions).tolist() == [0, -1, -1, -1, -1, -1]
    # The corner is rounded: (16, 16) is 2 px off in both directions, 2.8 px in all.
    assert assign_bins(nuclei, positions, grow_px=2).tolist() == [0, 0, 0, -1, 0, -1]


def test_between_neighbours_a_bin_goes_to_the_nearer_and_halfway_to_none() -> None:
    nuclei = Nuclei.from_polygons([_square(0, 0, 4), _square(0, 10, 4)])
    positions = np.array([[2, 6.9], [2, 7], [2, 7.1], [2, 7 + 4e-7]], float)
    assert assign_bins(nuclei, positions, grow_px=20).tolist() == [0, -2, 1, -2]


def test_growing_changes_nothing_inside_nuclei() -> None:
    """A bin inside one nucleus stays its own, even on the outline of another."""
    nuclei = Nuclei.from_polygons([_square(0, 0, 8), _square(2, 2, 8), _square(4, 0, 2)])
    positions = np.array([[1, 1], [5, 5], [4, 1], [9, 9]], float)
    assert assign_bins(nuclei, positions).tolist() == [0, -2, 0, 1]
    assert assign_bins(nuclei, positions, grow_px=5).tolist() == [0, -2, 0, 1]


@pytest.mark.parametrize("grow_px", [-1.0, np.nan, np.inf])
def test_a_reach_that_is_none_is_refused(grow_px: float) -> None:
    with pytest.raises(VisiumHDError, match="cannot be grown"):
        assign_bins(Nuclei.from_polygons([_square(0, 0, 4)]), np.zeros((1, 2)), grow_px)


@st.composite
def _star(draw: st.DrawFn) -> NDArray[np.float32]:
    """An outline that may be concave, on a coarse lattice so that bins meet its edges."""
    rays = draw(st.integers(3, 12))
    radii = np.array(draw(st.lists(st.integers(2, 12), min_size=rays, max_size=rays)))
    centre = np.array(draw(st.tuples(st.integers(0, 40), st.integers(0, 60))))
    angles = 2 * np.pi * np.arange(rays) / rays
    outline = centre + np.round(radii[:, None] * np.column_stack([np.sin(angles), np.cos(angles)]))
    return outline.astype(np.float32)


def _is_outline(star: NDArray[np.float32]) -> bool:
    polygon = shapely.Polygon(star)
    return bool(polygon.is_valid and polygon.area > 0)


@settings(max_examples=60, deadline=None)
@given(
    stars=st.lists(_star().filter(_is_outline), min_size=1, max_size=12),
    turn=st.sampled_from([0.0, 0.3, 1.2]),
    pitch=st.sampled_from([0.5, 1.0, 1.7]),
    grow_px=st.sampled_from([0.0, 1.0, 2.5, 30.0]),
)
def test_every_bin_agrees_with_shapely(
    stars: list[NDArray[np.float32]], turn: float, pitch: float, grow_px: float
) -> None:
    nuclei = Nuclei.from_polygons(stars)
    lattice = np.indices((40, 50)).reshape(2, -1).T * pitch - 5
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    positions = lattice @ rotation
    assert assign_bins(nuclei, positions).tolist() == _by_shapely(nuclei, positions)
    grown = assign_bins(nuclei, positions, grow_px)
    if grow_px:
        assert grown.tolist() == _by_distance(nuclei, positions, grow_px)
    else:
        assert np.array_equal(grown, assign_bins(nuclei, positions))


@pytest.mark.parametrize("grow_px", [0.0, 3.0])
def test_many_nuclei_in_several_batches(rng: np.random.Generator, grow_px: float) -> None:
    """Crowded nuclei, more than are looked at at once, in any order."""
    corners = rng.permutation(np.indices((100, 100)).reshape(2, -1).T * 6.0)
    jitter = rng.uniform(-2, 2, corners.shape)
    nuclei = Nuclei.from_polygons([_square(*corner, 5) for corner in corners + jitter])
    positions = rng.uniform(-5, 605, (20_000, 2))
    found = assign_bins(nuclei, positions, grow_px)
    tree = shapely.STRtree(nuclei.shapely())
    points = shapely.points(positions[:, ::-1])
    bins, owners = tree.query(points, predicate="within")
    times = np.bincount(bins, minlength=len(positions))
    single = times[bins] == 1
    assert np.array_equal(found[bins[single]], owners[single])
    assert (found[times > 1] == -2).all()
    near, distance = tree.query_nearest(
        points[times == 0], max_distance=3.0, return_distance=True, all_matches=False
    )
    reached = np.zeros(int((times == 0).sum()), bool)
    reached[near[0]] = distance <= grow_px
    assert np.array_equal(found[times == 0] != -1, reached)


def test_the_order_of_bins_does_not_matter(rng: np.random.Generator) -> None:
    nuclei = Nuclei.from_polygons([_square(row, 3 * row, 6.5) for row in range(0, 90, 5)])
    positions = rng.uniform(0, 280, (4000, 2))
    order = rng.permutation(len(positions))
    assert np.array_equal(
        assign_bins(nuclei, positions[order]), assign_bins(nuclei, positions)[order]
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
