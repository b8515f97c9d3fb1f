"""Outlines to test with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei

# How long an example takes says nothing about what is tested, and files are written anew by each.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def star(
    row: float, column: float, radii: Sequence[float], turn: float = 0.0
) -> NDArray[np.float32]:
    """A star-shaped polygon, as StarDist makes them."""
    angle = turn + np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = np.column_stack([np.sin(angle), np.cos(angle)]) * np.asarray(radii)[:, None]
    return (points + np.array([row, column])).astype(np.float32)


def circle(row: float, column: float, radius: float, points: int = 32) -> NDArray[np.float32]:
    return star(row, column, [radius] * points)


def scattered(count: int, rows: int, columns: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Nuclei of 6 to 9 pixels radius anywhere on a slide."""
    rng = np.random.default_rng(seed)
    return [
        star(rng.uniform(0, rows), rng.uniform(0, columns), rng.uniform(6, 9, 32))
        for _ in range(count)
    ]


def outlines(largest: float = 20_000) -> st.SearchStrategy[NDArray[np.float32]]:
    """Star-shaped polygons of 3 to 40 points anywhere on a slide."""
    return st.builds(
        star,
        st.floats(30, largest),
        st.floats(30, largest),
        st.lists(st.floats(3, 20), min_size=3, max_size=40),
        st.floats(0, 6),
    )


def rows_of(nuclei: Nuclei) -> dict[int, tuple[bytes, float, int]]:
    """All that is known of each nucleus, by id."""
    return {
        int(id_): (polygon.tobytes(), float(score), int(source))
        for id_, polygon, score, source in zip(
            nuclei.ids, nuclei.polygons(), nuclei.scores, nuclei.sources, strict=True
        )
    }


def assert_same(one: Nuclei, other: Nuclei) -> None:
    """Both tables are the same, row for row and bit for bit."""
    for name in ("vertices", "offsets", "ids", "scores", "sources"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
