"""Pictures of expression, and how alike they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.analysis.raster import Raster, make_raster, ssim_per_gene
from napari_prts.errors import ExpressionError


def grid(side: int, step: float = 32.0) -> np.ndarray:
    """One cell in the middle of each pixel."""
    rows, columns = np.mgrid[:side, :side]
    return (np.column_stack([rows.ravel(), columns.ravel()]) + 0.5) * step


def test_a_pixel_is_the_mean_of_its_cells() -> None:
    places = np.concatenate([grid(8), grid(8)[:1]])
    raster = make_raster(places)
    assert raster.shape == (8, 8)
    values = np.concatenate([np.arange(64.0), [10.0]])
    picture = raster.picture(values)
    assert picture[0, 0] == 5
    assert picture[7, 7] == 63


def test_one_window_by_the_formula() -> None:
    # 7 x 7 pixels, of which only the middle one counts: its window is the whole picture.
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 49))
    middle = np.zeros((7, 7), bool)
    middle[3, 3] = True
    raster = Raster((7, 7), np.arange(49), middle, 32.0)
    x, y = first / first.max(), second / second.max()
    c1, c2 = 0.01**2, 0.03**2
    covariance = np.cov(x, y)
    above = (2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
    below = (x.mean() ** 2 + y.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    found = ssim_per_gene(first[:, None], second[:, None], raster)
    assert found[0] == pytest.approx(above / below)


def test_the_same_pattern_scores_one_and_another_place_less() -> None:
    raster = make_raster(grid(12))
    pattern = np.zeros((12, 12))
    pattern[:, :4] = 3
    elsewhere = pattern[:, ::-1]
    both = np.column_stack([pattern.ravel(), elsewhere.ravel(), pattern.ravel()])
    truth = np.column_stack([pattern.ravel(), pattern.ravel(), np.zeros(144)])
    found = ssim_per_gene(both * 2, truth, raster)
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.5
    assert np.isnan(found[2])


def test_pixels_without_cells_do_not_count() -> None:
    # A ring of tissue around a large hole: the hole is alike in all pictures.
    places = grid(30)
    ring = (np.abs(places - 480).max(1)) > 300
    raster = make_raster(places[ring])
    rng = np.random.default_rng(0)
    first, second = rng.random((2, int(ring.sum()), 1))
    assert ssim_per_gene(first, second, raster)[0] < 0.5


def test_small_and_huge_pictures() -> None:
    with pytest.raises(ExpressionError, match="6 x 6 pixels of 32 um; 7 x 7 are needed"):
        make_raster(grid(6))
    wide = make_raster(np.array([[0.0, 0.0], [40_000.0, 40_000.0]]))
    assert wide.pixel_um > 32
    assert wide.filled.size <= 260_000
