"""Each gene's ceiling, told from counts alone, against what the true rates say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import poisson

from napari_prts.analysis import ceiling_from_counts
from napari_prts.analysis.reliability import TABLE, halves_product, unthinned_log1p
from napari_prts.correlation import pcc_per_gene
from napari_prts.errors import ExpressionError

RATES = (0.05, 0.3, 1.0, 3.0, 12.0, 60.0, 250.0)


def test_the_function_of_half_counts_by_hand() -> None:
    # (1 - (2x - 1)) / -log(x) over 0..1 gives 2 log 2; for two molecules 4 (log 3 - log 2).
    np.testing.assert_allclose(
        unthinned_log1p()[:3], [0, 2 * math.log(2), 4 * math.log(1.5)], atol=1e-6
    )


@pytest.mark.parametrize("rate", RATES)
def test_half_counts_stand_for_whole_ones_at_every_rate(rate: float) -> None:
    counts = np.arange(TABLE + 1)
    whole = poisson.pmf(counts, rate) @ np.log1p(counts)
    halves = poisson.pmf(counts, rate / 2) @ unthinned_log1p()
    assert halves == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("rate", [*RATES, 400.0, 2000.0])
def test_the_product_of_halves_is_the_square_of_the_signal(rate: float) -> None:
    counts = np.arange(8 * TABLE)
    chance = poisson.pmf(counts, rate)
    signal = chance @ np.log1p(counts)
    assert chance @ halves_product(counts) == pytest.approx(signal**2, abs=1e-4)


def test_the_product_is_the_mean_over_random_halvings() -> None:
    rng = np.random.default_rng(0)
    h = unthinned_log1p()
    for count in (1, 4, 15):
        half = rng.binomial(count, 0.5, size=200_000)
        drawn = (h[half] * h[count - half]).mean()
        assert halves_product(np.array([count]))[0] == pytest.approx(drawn, abs=0.02)


def true_ceiling(rates: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """PCC of log1p true rates with log1p counts, as for simulated sections."""
    return pcc_per_gene(np.log1p(rates), np.log1p(counts))


def gene_rates(kind: str, cells: int, genes: int, rng: np.random.Generator) -> np.ndarray:
    """Rates of genes with mean counts from 0.1 to 20 that vary a little or much over cells."""
    means = np.exp(rng.uniform(np.log(0.1), np.log(20), genes))
    depth = rng.lognormal(0, 0.3, (cells, 1))
    if kind == "two types":
        change = np.where(rng.random((cells, 1)) < 0.3, rng.uniform(1, 8, genes), 1)
        return means * depth * change / change.mean(0)
    # Gamma rates make the counts negative binomial.
    shape = np.exp(rng.uniform(np.log(0.3), np.log(10), genes))
    return means * depth * rng.gamma(shape, 1 / shape, (cells, genes))


@pytest.mark.parametrize("kind", ["two types", "negative binomial"])
def test_the_ceiling_is_that_of_the_true_rates(kind: str) -> None:
    rng = np.random.default_rng(0)
    rates = gene_rates(kind, 20_000, 150, rng)
    counts = rng.poisson(rates)
    truth = true_ceiling(rates, counts)
    apart = np.abs(ceiling_from_counts(counts) - truth)
    assert apart.mean() < 0.01
    # What is left is chance: 0.4 molecules a cell say little of a signal that is 4 % of the noise.
    assert apart.max() < 0.08
    assert apart[truth > 0.3].max() < 0.05


@pytest.mark.parametrize("cells", [300, 1000, 5000])
def test_the_ceiling_errs_to_neither_side(cells: int) -> None:
    rng = np.random.default_rng(1)
    rates = gene_rates("negative binomial", cells, 300, rng)
    counts = rng.poisson(rates)
    apart = ceiling_from_counts(counts) - true_ceiling(rates, counts)
    assert abs(apart.mean()) < 0.02
    # One gene of 300 cells says little; the mean over genes does.
    assert np.abs(apart).mean() < {300: 0.1, 1000: 0.05, 5000: 0.02}[cells]


def test_a_gene_without_signal_has_a_ceiling_near_zero() -> None:
    counts = np.random.default_rng(0).poisson(2.0, (20_000, 40))
    found = ceiling_from_counts(counts)
    assert (found < 0.15).all()
    assert found.mean() < 0.06


def test_molecules_that_are_all_counted_leave_no_noise() -> None:
    # Thousands of molecules in some cells, hundreds in others.
    counts = np.random.default_rng(0).poisson(np.repeat([[5000.0], [300.0]], 500, axis=0))
    assert ceiling_from_counts(counts)[0] > 0.99


def test_sparse_counts_and_genes_that_do_not_vary() -> None:
    counts = np.random.default_rng(0).poisson(1.0, (300, 4)).astype(np.float32)
    counts[:, 2] = 3
    found = ceiling_from_counts(counts)
    assert np.isnan(found[2])
    np.testing.assert_array_equal(ceiling_from_counts(sparse.csr_matrix(counts)), found)


def test_values_that_were_not_counted_are_refused() -> None:
    with pytest.raises(ExpressionError, match="not raw counts"):
        ceiling_from_counts(np.array([[0.5], [1.0]]))
