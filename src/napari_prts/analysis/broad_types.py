"""Broad cell types by marker genes, predicted beside measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from napari_prts.analysis.scored import ScoredCells


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The paper compares neurons, oligodendrocytes, astrocytes and stromal cells of the mouse
# brain, without saying by which genes; these are the usual ones of these types, and of those
# that other tissues are made of. Human symbols; mouse ones differ in capitals alone.
MARKERS: Mapping[str, tuple[str, ...]] = {
    "neuron": _symbols("SNAP25 SYT1 RBFOX3 MAP2 NEFL SLC17A7 GAD1 GAD2 STMN2 CAMK2A"),
    "oligodendrocyte": _symbols("MBP PLP1 MOG MAG MOBP CNP OLIG1 OLIG2 CLDN11 MAL"),
    "astrocyte": _symbols("GFAP AQP4 SLC1A3 SLC1A2 ALDH1L1 GJA1 S100B ALDOC"),
    "epithelial": _symbols("EPCAM KRT5 KRT14 KRT8 KRT18 KRT19 KRT1 KRT10 CDH1 MUC1 DSP"),
    "stromal": _symbols("COL1A1 COL1A2 COL3A1 DCN LUM PDGFRA PDGFRB FBLN1 POSTN MMP2"),
    "muscle": _symbols("ACTA2 MYH11 TAGLN DES CNN1 MYLK LMOD1 CALD1"),
    "endothelial": _symbols("PECAM1 VWF CDH5 KDR ENG CLDN5 EMCN ESAM TEK FLT1"),
    "lymphocyte": _symbols("CD3E CD3D CD2 TRAC IL7R NKG7 MS4A1 CD79A CD19 JCHAIN MZB1"),
    "macrophage": _symbols("CD68 CD163 CD14 LYZ C1QA C1QB C1QC AIF1 CSF1R TYROBP"),
}

# A type told by one gene alone is that gene, not a type.
FEWEST_MARKERS = 2


@dataclass(frozen=True, eq=False)
class TypeAgreement:
    """Types of the same cells by what was predicted and by what was measured.

    Parameters
    ----------
    types : tuple of str
        Names.
    markers : dict of tuple of str
        Genes by which each type was told.
    matrix : ndarray of int64, shape (types, types)
        Cells; rows are measured, columns predicted types.
    left_out : int
        Cells in which no marker was measured or predicted.
    """

    types: tuple[str, ...]
    markers: dict[str, tuple[str, ...]]
    matrix: NDArray[np.int64]
    left_out: int

    @property
    def agreement(self) -> float:
        """Share of cells of the same type on both sides; the paper reports 53.9 %."""
        return float(np.trace(self.matrix) / self.matrix.sum())

    @property
    def by_chance(self) -> float:
        """Agreement if predicted types were dealt to cells at random."""
        cells = self.matrix.sum()
        return float((self.matrix.sum(0) / cells) @ (self.matrix.sum(1) / cells))


def compare_types(
    cells: ScoredCells, markers: Mapping[str, tuple[str, ...]] = MARKERS
) -> TypeAgreement:
    """Tell each cell's broad type on both sides and count which meet.

    A type's score in a cell is the mean over its markers of log1p expression per median
    total, standardised over cells; the highest score is the cell's type. Both sides are
    standardised by themselves, so that it matters where a gene is high, not how high.

    Parameters
    ----------
    cells : ScoredCells
        Predicted and measured.
    markers : mapping
        Genes of each type, any capitals. Types with fewer than two of them among the genes are
        left out.

    Raises
    ------
    ExpressionError
        If fewer than two types are left, or no cell can be typed.
    """
    places = {gene.upper(): column for column, gene in enumerate(cells.genes)}
    found = {
        name: tuple(gene for gene in genes if gene.upper() in places)
        for name, genes in markers.items()
    }
    found = {name: genes for name, genes in found.items() if len(genes) >= FEWEST_MARKERS}
    if len(found) < 2:
        raise ExpressionError(
            f"The {len(cells.genes):,} genes hold two or more markers of {len(found)} of the "
            f"{len(markers)} broad types ({', '.join(markers)}); two types are needed."
        )
    columns = [[places[gene.upper()] for gene in genes] for genes in found.values()]
    predicted, first = _types(cells.expression, columns)
    measured, second = _types(cells.counts, columns)
    typed = first & second
    if not typed.any():
        raise ExpressionError("No cell has markers of a broad type both predicted and measured.")
    from sklearn.metrics import confusion_matrix

    numbers = np.arange(len(found))
    matrix = confusion_matrix(measured[typed], predicted[typed], labels=numbers)
    return TypeAgreement(tuple(found), found, matrix, int((~typed).sum()))


def _types(
    counts: NDArray[np.float32], columns: list[list[int]]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Number of each cell's type, and whether it has any marker."""
    totals = counts.sum(1, dtype=np.float64)
    usual = np.median(totals[totals > 0]) if (totals > 0).any() else 1.0
    factors = usual / np.where(totals > 0, totals, 1.0)
    scores = np.empty((len(counts), len(columns)))
    for number, genes in enumerate(columns):
        logged = np.log1p(counts[:, genes] * factors[:, None])
        spread = logged.std(0)
        scores[:, number] = ((logged - logged.mean(0)) / np.where(spread > 0, spread, 1)).mean(1)
    markers = sorted({gene for genes in columns for gene in genes})
    some: NDArray[np.bool_] = np.any(counts[:, markers], axis=1)
    return scores.argmax(1), some
