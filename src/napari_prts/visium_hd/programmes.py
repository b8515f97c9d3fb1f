"""Which gene a simulated cell expresses how much: types, gradients, housekeeping."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from napari_prts.visium_hd.gene_symbols import GRADED, HOUSEKEEPING, MARKERS, MITOCHONDRIAL
from napari_prts.visium_hd.looks import LOOKS, PROTOTYPES

HOUSEKEEPING_SHARE = 0.25
GRADED_SHARE = 0.15
MITOCHONDRIAL_SHARE = 0.02
_BASE_SPREAD = 0.9
_MARKER_LOG2_CHANGE = (1.5, 3.5)
_SECOND_LOG2_CHANGE = (0.5, 1.5)
_SECOND_TYPE_CHANCE = 0.3
_SLOPE = (0.35, 0.7)


@dataclass(frozen=True, eq=False)
class Programmes:
    """How the rate of each gene follows from a cell's types and looks.

    Parameters
    ----------
    genes : (genes,) str
    kinds : (genes,) str
        ``"marker"``, ``"graded"``, ``"housekeeping"`` or ``"mitochondrial"``.
    base : (genes,) float64
        Rate before any change, in arbitrary units.
    fold_changes : (types, genes) float64
        Factor in a pure cell of each type.
    slopes : (looks, genes) float64
        Change of the natural logarithm for each standard deviation of a look.
    """

    genes: NDArray[np.str_]
    kinds: NDArray[np.str_]
    base: NDArray[np.float64]
    fold_changes: NDArray[np.float64]
    slopes: NDArray[np.float64]

    @property
    def varies(self) -> NDArray[np.bool_]:
        """(genes,) whether the gene follows what is visible, beyond the cell's depth."""
        return np.isin(self.kinds, ("marker", "graded"))

    def rates(
        self, memberships: NDArray[np.float64], looks: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Rates of (cells, types) memberships and (cells, looks), (cells, genes), unscaled."""
        rates: NDArray[np.float64] = (
            self.base * (memberships @ self.fold_changes) * np.exp(looks @ self.slopes)
        )
        return rates


def make_programmes(genes: int, rng: np.random.Generator) -> Programmes:
    """Draw the programmes of ``genes`` genes, at least one.

    A quarter are housekeeping genes, 2 % mitochondrial, 15 % follow one look of
    the nucleus, the others mark a type by a log2 fold change of 1.5 to 3.5. Base
    rates are log-normal.
    """
    names, kinds, owners = _named_genes(genes)
    fold_changes = np.ones((len(PROTOTYPES), genes))
    slopes = np.zeros((len(LOOKS), genes))
    for gene, (kind, owner) in enumerate(zip(kinds, owners, strict=True)):
        if kind == "marker":
            fold_changes[:, gene] = _marker_changes(owner, rng)
        elif kind == "graded":
            slopes[owner, gene] = rng.uniform(*_SLOPE) * rng.choice((-1, 1))
    base = rng.lognormal(0.0, _BASE_SPREAD, genes)
    return Programmes(np.array(names), np.array(kinds), base, fold_changes, slopes)


def _marker_changes(owner: int, rng: np.random.Generator) -> NDArray[np.float64]:
    log2 = np.zeros(len(PROTOTYPES))
    if rng.random() < _SECOND_TYPE_CHANCE:
        log2[rng.integers(len(PROTOTYPES))] = rng.uniform(*_SECOND_LOG2_CHANGE)
    log2[owner] = rng.uniform(*_MARKER_LOG2_CHANGE)
    changes: NDArray[np.float64] = 2.0**log2
    return changes


def _named_genes(genes: int) -> tuple[list[str], list[str], list[int]]:
    """Symbols, kinds, and the type or look that each gene follows."""
    mitochondrial = min(round(MITOCHONDRIAL_SHARE * genes), len(MITOCHONDRIAL))
    housekeeping = round(HOUSEKEEPING_SHARE * genes)
    graded = round(GRADED_SHARE * genes)
    markers = genes - mitochondrial - housekeeping - graded
    # Round after round, one marker of each type, so that few genes mark all types.
    rounds = zip(*(MARKERS[kind] for kind in PROTOTYPES), strict=True)
    parts = (
        ("marker", list(chain.from_iterable(rounds)), markers, len(PROTOTYPES)),
        ("graded", list(GRADED), graded, len(LOOKS)),
        ("housekeeping", list(HOUSEKEEPING), housekeeping, 1),
        ("mitochondrial", list(MITOCHONDRIAL), mitochondrial, 1),
    )
    names: list[str] = []
    kinds: list[str] = []
    owners: list[int] = []
    unnamed = 0
    for kind, symbols, wanted, groups in parts:
        for place in range(wanted):
            if place < len(symbols):
                names.append(symbols[place])
            else:
                unnamed += 1
                names.append(f"GENE{unnamed:04d}")
            kinds.append(kind)
            owners.append(place % groups)
    return names, kinds, owners
