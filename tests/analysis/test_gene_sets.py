"""Genes that vary, and genes that vary over the tissue."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.analysis.gene_sets import (
    SPATIAL_GENES,
    highly_variable,
    morans_i,
    spatially_variable,
)
from napari_prts.analysis.scored import ScoredCells, scored_cells
from tests.analysis.tables import table


def counted(counts: np.ndarray, places_um: np.ndarray | None = None) -> ScoredCells:
    names = [f"GENE{number}" for number in range(counts.shape[1])]
    predicted = table(counts, genes=names)
    if places_um is not None:
        predicted.obsm["spatial"] = places_um[:, ::-1].copy()
        predicted.uns["prts"] = {"mpp": 1.0}
    return scored_cells(predicted, table(counts, genes=names))


def test_the_genes_of_one_cell_type_are_highly_variable() -> None:
    rng = np.random.default_rng(0)
    rates = np.ones((600, 1)) * np.exp(rng.uniform(np.log(0.5), np.log(10), 200))
    # The marker genes have the usual means, but nearly all in a quarter of the cells.
    rates[:150, :20] *= 3.7
    rates[150:, :20] *= 0.1
    found = highly_variable(counted(rng.poisson(rates)))
    assert found.sum() == 20
    # Two would be by chance.
    assert found[:20].sum() >= 10


def test_few_genes_are_all_taken() -> None:
    counts = np.random.default_rng(0).poisson(2, (50, 6))
    assert highly_variable(counted(counts)).all()


def test_morans_i_tells_a_gradient_from_noise() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1000, (800, 2))
    rates = np.column_stack([places[:, 0] / 50, np.full(800, 10.0), np.full(800, 4.0)])
    counts = rng.poisson(rates)
    counts[:, 2] = 4
    cells = counted(counts, places)
    assert cells.places_um is not None
    np.testing.assert_allclose(cells.places_um, places, rtol=1e-6)
    found = morans_i(cells, cells.places_um)
    assert found[0] > 0.5
    assert found[1] == pytest.approx(0, abs=0.08)
    assert np.isnan(found[2])


def test_morans_i_by_hand() -> None:
    # Four cells are all neighbours of each other: -1 / (4 - 1), whatever they hold.
    cells = counted(np.array([[1], [2], [5], [9]]), np.random.default_rng(0).random((4, 2)))
    assert cells.places_um is not None
    assert morans_i(cells, cells.places_um)[0] == pytest.approx(-1 / 3)


def test_spatial_genes_are_the_twenty_highest_above_zero() -> None:
    moran = np.linspace(-0.5, 1, 60)
    moran[59] = np.nan
    found = spatially_variable(moran)
    assert found.sum() == SPATIAL_GENES
    assert found[39:59].all()
    assert not spatially_variable(np.array([-0.1, 0.0, np.nan])).any()
