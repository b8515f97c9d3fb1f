"""Colours of cells: zeros, low and high look different; limits can be shared."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.viewer.painting import (
    ZERO_COLOUR,
    Limits,
    category_colours,
    expression_colours,
    percentile_limits,
)


def test_zero_looks_different_from_low() -> None:
    colours = expression_colours(np.array([0.0, 1.0, 5.0]), Limits(1.0, 5.0), "viridis")
    np.testing.assert_allclose(colours[0], ZERO_COLOUR)
    assert not np.allclose(colours[1], colours[0])
    assert not np.allclose(colours[1], colours[2])


def test_shared_limits_cover_both_sides() -> None:
    left, right = np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 20.0])
    shared = percentile_limits(left, right, low=0, high=100)
    assert (shared.low, shared.high) == (1.0, 20.0)


@given(st.lists(st.floats(0, 1e4, allow_nan=False), max_size=30))
def test_limits_always_span_something(values: list[float]) -> None:
    limits = percentile_limits(np.array(values, float))
    assert limits.high > limits.low
    colours = expression_colours(np.array(values, float), limits, "cividis")
    assert np.isfinite(colours).all()


def test_twenty_clusters_have_twenty_colours() -> None:
    colours = category_colours([str(i) for i in range(20)])
    assert len({tuple(colour) for colour in colours.values()}) == 20
