"""Which nucleus a bin lies in: exactly shapely's containment, for any outlines."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd import assign_bins


def _by_shapely(nuclei: Nuclei, positions: NDArray[np.float64]) -> list[int]:
    """Test every bin against every nucleus."""
    points = shapely.points(positions[:, 1], positions[:, 0])
    inside = shapely.contains(nuclei.shapely()[:, None], points)
    times = inside.sum(0)
    return np.where(times == 1, inside.argmax(0), np.where(times == 0, -1, -2)).tolist()


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
)
def test_every_bin_agrees_with_shapely(
    stars: list[NDArray[np.float32]], turn: float, pitch: float
) -> None:
    nuclei = Nuclei.from_polygons(stars)
    lattice = np.indices((40, 50)).reshape(2, -1).T * pitch - 5
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    positions = lattice @ rotation
    assert assign_bins(nuclei, positions).tolist() == _by_shapely(nuclei, positions)


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
