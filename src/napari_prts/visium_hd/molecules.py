"""Molecules of simulated cells and where they are caught.

Each cell sets a Poisson number of molecules free for each gene; each starts at
a place of its own and lands a Gaussian step away. A Poisson number that is
shared out at random is Poisson in each share, so the counts of a bin are exactly
Poisson with the diffused rates, at the cost of the molecules and not of all bins
times all genes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.jobs import Job, Progress
from napari_prts.nuclei import Nuclei
from napari_prts.visium_hd.grid import BinGrid

_CELLS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Spread:
    """How molecules reach the bins.

    Parameters
    ----------
    diffusion_um : float
        Standard deviation, along each axis, of the way from where a molecule is
        to the bin that catches it.
    cytoplasm_share : float
        Molecules of the cell outside its nucleus, for each one inside.
    cytoplasm_um : float
        Standard deviation, along each axis, of their way from the nucleus.
    ambient_umi_per_um2 : float
        Molecules that come from no cell in particular.
    """

    diffusion_um: float = 2.0
    cytoplasm_share: float = 0.4
    cytoplasm_um: float = 4.0
    ambient_umi_per_um2: float = 0.02


def scatter(
    rates: NDArray[np.float32],
    nuclei: Nuclei,
    grid: BinGrid,
    bins: NDArray[np.int32],
    assigned: NDArray[np.int64],
    in_tissue: NDArray[np.bool_],
    spread: Spread,
    rng: np.random.Generator,
) -> Job[sparse.csr_matrix]:
    """Draw the molecules of all cells and catch them in the bins under tissue.

    Parameters
    ----------
    rates : (cells, genes) float32
        Expected molecules in each nucleus.
    nuclei : Nuclei
        The cells.
    grid : BinGrid
    bins : (bins, 2) int32
        Array row and array column of the bins over the slide.
    assigned : (bins,) int64
        The nucleus of each bin, negative for none.
    in_tissue : (bins,) bool
        Bins that are kept.

    Yields
    ------
    Progress
        In nuclei.

    Returns
    -------
    csr_matrix, (bins under tissue, genes), int32
    """
    catch = _Catch(grid.shape, bins[in_tissue], rates.shape[1])
    homes = _Homes(nuclei, grid, bins, assigned)
    reach = np.hypot(spread.diffusion_um, spread.cytoplasm_um) / grid.bin_um
    near = spread.diffusion_um / grid.bin_um
    for first in range(0, len(rates), _CELLS_AT_ONCE):
        yield Progress(first, len(rates), "nuclei", "simulating molecules")
        part = rates[first : first + _CELLS_AT_ONCE]
        for expected, steps in ((part, near), (part * spread.cytoplasm_share, reach)):
            cells, genes = _drawn(expected, rng)
            places = homes.draw(cells + first, rng)
            catch.add(places + rng.normal(0, steps, places.shape), genes)
    _add_ambient(catch, bins[in_tissue], rates, spread.ambient_umi_per_um2 * grid.bin_um**2, rng)
    return catch.counts()


def _drawn(
    expected: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cell and gene of each molecule."""
    counts = rng.poisson(expected)
    cells, genes = np.nonzero(counts)
    times = counts[cells, genes]
    return np.repeat(cells, times), np.repeat(genes, times)


def _add_ambient(
    catch: _Catch,
    bins: NDArray[np.int32],
    rates: NDArray[np.float32],
    per_bin: float,
    rng: np.random.Generator,
) -> None:
    profile = rates.sum(0, dtype=np.float64)
    molecules = rng.multinomial(rng.poisson(per_bin * len(bins)), profile / profile.sum())
    genes = np.repeat(np.arange(len(profile)), molecules)
    catch.add(bins[rng.integers(len(bins), size=len(genes))].astype(np.float64), genes)


class _Homes:
    """Where the molecules of each nucleus start: in its bins, or at its centroid if it has none."""

    def __init__(
        self,
        nuclei: Nuclei,
        grid: BinGrid,
        bins: NDArray[np.int32],
        assigned: NDArray[np.int64],
    ) -> None:
        inside = np.flatnonzero(assigned >= 0)
        order = inside[np.argsort(assigned[inside], kind="stable")]
        self._counts = np.bincount(assigned[inside], minlength=len(nuclei))
        self._starts = np.cumsum(self._counts) - self._counts
        self._bins = bins[order].astype(np.float64)
        self._centroids = grid.to_bins(nuclei.centroids.astype(np.float64))

    def draw(self, cells: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
        """A place for each molecule, (array row, array column), uniform over the nucleus."""
        places = self._centroids[cells]
        housed = self._counts[cells] > 0
        chosen = self._starts[cells[housed]] + rng.integers(self._counts[cells[housed]])
        places[housed] = self._bins[chosen] + rng.uniform(-0.5, 0.5, (len(chosen), 2))
        return places


class _Catch:
    """Counts the molecules that land in the bins kept."""

    def __init__(self, shape: tuple[int, int], bins: NDArray[np.int32], genes: int) -> None:
        self._index = np.full(shape, -1, np.int64)
        self._index[tuple(bins.T)] = np.arange(len(bins))
        self._shape = (len(bins), genes)
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int32]] = []

    def add(self, places: NDArray[np.float64], genes: NDArray[np.int64]) -> None:
        """Catch molecules at (array row, array column), (n, 2), each of a gene, (n,)."""
        cells = np.rint(places).astype(np.int64)
        on_grid = ((cells >= 0) & (cells < self._index.shape)).all(1)
        bins = self._index[tuple(cells[on_grid].T)]
        caught = bins >= 0
        keys, counts = np.unique(
            bins[caught] * self._shape[1] + genes[on_grid][caught], return_counts=True
        )
        self._keys.append(keys)
        self._counts.append(counts.astype(np.int32))

    def counts(self) -> sparse.csr_matrix:
        """(bins, genes), int32."""
        keys = np.concatenate(self._keys)
        entries = (np.concatenate(self._counts), np.divmod(keys, self._shape[1]))
        counts = sparse.csr_matrix(entries, shape=self._shape, dtype=np.int32)
        counts.sort_indices()
        return counts
