"""How bins become cells: thresholds and the selection of genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_prts.errors import VisiumHDError

# The paper's limit of the area is in pixels of its own images.
PAPER_MPP = 0.5


@dataclass(frozen=True)
class MeasureRequest:
    """How bins become cells; the defaults are the paper's.

    Parameters
    ----------
    max_area_px : float
        Nuclei must be smaller, in pixels of 0.5 um: 2,000 px are 500 um2.
    min_umi : int
        Nuclei must have more UMI.
    max_mito : float
        Nuclei must have a smaller share of mitochondrial UMI, 0 to 1.
    select_genes : bool
        Whether to mark the genes that differ between Leiden clusters; all genes
        that were detected are marked otherwise.
    n_top : int
        Highly variable genes to start the selection from.
    resolution : float
        Of the Leiden clusters.
    seed : int
        Of the clusters.
    grow_um : float
        How far nuclei take bins beyond their outlines, in microns; 0 for the bins
        inside alone, as the paper has it. A bin goes to the nearest nucleus, so that
        grown nuclei do not overlap. Areas stay those of the nuclei.
    force_genes : tuple of str
        Genes to mark as selected in any case, by the names in ``var`` or by
        identifiers, if they were detected at all.

    Raises
    ------
    VisiumHDError
        If ``grow_um`` is negative or no number, or ``force_genes`` is a single text.
    """

    max_area_px: float = 2000
    min_umi: int = 20
    max_mito: float = 0.15
    select_genes: bool = True
    n_top: int = 2000
    resolution: float = 0.6
    seed: int = 0
    grow_um: float = 0.0
    force_genes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.grow_um >= 0 and np.isfinite(self.grow_um)):
            raise VisiumHDError(f"Nuclei cannot be grown by {self.grow_um:g} um: give 0 or more.")
        if isinstance(self.force_genes, str):
            raise VisiumHDError(
                f"force_genes must be a list of names, not the text {self.force_genes!r}."
            )
        object.__setattr__(self, "force_genes", tuple(self.force_genes))

    @property
    def max_area_um2(self) -> float:
        """The largest area in um2."""
        return self.max_area_px * PAPER_MPP**2

    def thresholds(self) -> dict[str, float | int | bool]:
        """Everything but the names of genes, for the record in ``uns``."""
        return {
            "max_area_um2": self.max_area_um2,
            "max_area_px": self.max_area_px,
            "min_umi": self.min_umi,
            "max_mito": self.max_mito,
            "select_genes": self.select_genes,
            "n_top": self.n_top,
            "resolution": self.resolution,
            "seed": self.seed,
            "grow_um": self.grow_um,
        }
