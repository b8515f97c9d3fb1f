"""Simulated Visium HD for any slide with nuclei, in the machine's own layout.

Each nucleus gets soft cell types from what is visible of it
(:mod:`~napari_prts.visium_hd.looks`), the types and looks set the rate of each
gene (:mod:`~napari_prts.visium_hd.programmes`), and molecules are drawn and
spread over the bins (:mod:`~napari_prts.visium_hd.molecules`). The rates are
kept, so that results can be scored against the best possible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError, VisiumHDError
from napari_prts.files import written_aside
from napari_prts.jobs import Job, Progress, run
from napari_prts.nuclei import Nuclei, measure_nuclei
from napari_prts.slide import Slide, tissue_mask
from napari_prts.visium_hd.bins import assign_bins
from napari_prts.visium_hd.folder import MARKER_FILE
from napari_prts.visium_hd.grid import BinGrid
from napari_prts.visium_hd.looks import PROTOTYPES, look_at, soft_types
from napari_prts.visium_hd.molecules import Spread, scatter
from napari_prts.visium_hd.programmes import Programmes, make_programmes
from napari_prts.visium_hd.writing import Section, Truth, write_section

_MOST_RELATIVE_AREA = 3.0


@dataclass(frozen=True)
class SimulationSettings:
    """What is behind a simulated section.

    Parameters
    ----------
    umi_per_nucleus : float
        Median of the molecules that a nucleus sets free. About half of them are
        caught within it, which gives the 100 to 300 UMI of Visium HD.
    depth_spread : float
        Standard deviation of the natural logarithm of the part of a cell's
        depth that its size does not explain.
    depth_by_area : float
        Depth grows with the nucleus' area to this power.
    temperature : float
        Higher gives more mixed cell types.
    hidden : float
        Standard deviation of the part of each type's logit that cannot be seen.
    mitochondrial_share : float
        Mean share of mitochondrial molecules.
    mitochondrial_spread : float
        Standard deviation of its natural logarithm from cell to cell.
    spread : Spread
        How molecules reach the bins.
    """

    umi_per_nucleus: float = 360.0
    depth_spread: float = 0.15
    depth_by_area: float = 0.7
    temperature: float = 0.5
    hidden: float = 0.1
    mitochondrial_share: float = 0.04
    mitochondrial_spread: float = 0.5
    spread: Spread = field(default_factory=Spread)


def simulate_visium_hd(
    slide: Slide, nuclei: Nuclei, folder: Path | str, genes: int = 300, seed: int = 0
) -> Path:
    """Write a simulated Visium HD section, in Space Ranger's layout, for a slide with nuclei.

    Parameters
    ----------
    slide : Slide
        Its pixels drive the simulation; its mpp must be known.
    nuclei : Nuclei
        At least one.
    folder : path
        Where to write: ``binned_outputs/square_002um`` as the machine writes it,
        ``SIMULATED.json`` with seed and settings, and ``truth.h5ad`` with the
        rates. A section simulated before is replaced.
    genes : int
        How many genes.
    seed : int
        The same seed, slide and nuclei give the same counts; the same seed and number
        of genes on another slide, the same genes for the same looks.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MissingPixelSizeError
        If the slide's mpp is unknown.
    NucleiError
        If there are no nuclei.
    VisiumHDError
        If ``folder`` holds something else, or ``genes`` is below 1.
    """
    return run(simulate_job(slide, nuclei, folder, genes=genes, seed=seed))


def simulate_job(
    slide: Slide,
    nuclei: Nuclei,
    folder: Path | str,
    genes: int = 300,
    seed: int = 0,
    settings: SimulationSettings | None = None,
) -> Job[Path]:
    """Do the work of :func:`simulate_visium_hd` as a job.

    Yields
    ------
    Progress
        First in what measuring the nuclei counts, then in nuclei simulated.

    Returns
    -------
    Path
        The folder.
    """
    settings = settings or SimulationSettings()
    folder = Path(folder)
    mpp = slide.require_mpp()
    _check(nuclei, folder, genes)
    rng = np.random.default_rng(seed)
    measurements = yield from measure_nuclei(slide, nuclei)
    looks = look_at(measurements, nuclei.centroids * mpp)
    memberships = soft_types(looks, settings.temperature, settings.hidden, rng)
    # Of the seed alone: sections of one seed can train one model.
    programmes = make_programmes(genes, np.random.default_rng((seed, 1)))
    areas = nuclei.areas.astype(np.float64) * mpp**2
    rates = _rates(programmes, memberships, looks, areas, settings, rng)
    truth = Truth(programmes, list(PROTOTYPES), memberships, rates)

    grid = BinGrid(slide.shape, mpp)
    bins, positions = grid.bins_over_slide()
    assigned = assign_bins(nuclei, positions)
    in_tissue = _covered(slide, positions) | (assigned >= 0)
    counts = yield from scatter(
        rates, nuclei, grid, bins, assigned, in_tissue, settings.spread, rng
    )
    section = Section(grid, bins, positions, in_tissue, counts, rng.permutation(counts.shape[0]))
    yield Progress(len(nuclei), len(nuclei), "nuclei", "writing the simulated section")
    with written_aside(folder) as aside:
        write_section(aside, slide, nuclei, section, truth, seed, settings)
    return folder


def _check(nuclei: Nuclei, folder: Path, genes: int) -> None:
    if not len(nuclei):
        raise NucleiError("There are no nuclei to simulate: find or import nuclei first.")
    if genes < 1:
        raise VisiumHDError(f"A section of {genes} genes cannot be simulated: ask for 1 or more.")
    if folder.is_file():
        raise VisiumHDError(f"{folder} is a file: name a new folder for the simulated section.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER_FILE).is_file():
        raise VisiumHDError(
            f"{folder} holds something else than a simulated section and would be replaced: "
            "name a new folder."
        )


def _rates(
    programmes: Programmes,
    memberships: NDArray[np.float64],
    looks: NDArray[np.float64],
    areas_um2: NDArray[np.float64],
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Expected counts of each cell, (cells, genes)."""
    rates = programmes.rates(memberships, looks)
    mitochondrial = programmes.kinds == "mitochondrial"
    nuclear_share = 1 - settings.mitochondrial_share if mitochondrial.any() else 1.0
    rates[:, ~mitochondrial] *= nuclear_share / rates[:, ~mitochondrial].sum(1).mean()
    rates[:, mitochondrial] *= settings.mitochondrial_share / max(
        rates[:, mitochondrial].sum(1).mean(), 1e-12
    )
    rates[:, mitochondrial] *= _spread_factor(settings.mitochondrial_spread, len(rates), rng)
    # Nuclei merged by the segmentation would otherwise hold most molecules.
    relative_area = np.clip(
        areas_um2 / np.median(areas_um2), 1 / _MOST_RELATIVE_AREA, _MOST_RELATIVE_AREA
    )
    depth = relative_area**settings.depth_by_area
    rates *= depth[:, None] * _spread_factor(settings.depth_spread, len(rates), rng)
    rates *= settings.umi_per_nucleus / np.median(rates.sum(1))
    return rates.astype(np.float32)


def _spread_factor(sigma: float, cells: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Log-normal factors with mean 1, (cells, 1)."""
    return rng.lognormal(-(sigma**2) / 2, sigma, (cells, 1))


def _covered(slide: Slide, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    tissue = tissue_mask(slide)
    pixels = (positions / tissue.downsample).astype(np.int64)
    row, column = np.minimum(pixels, np.subtract(tissue.mask.shape, 1)).T
    covered: NDArray[np.bool_] = tissue.mask[row, column]
    return covered
