"""How much of a set of genes each cell has, on both sides: scanpy's ``score_genes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.normalising import log_normalised
from napari_prts.analysis.quiet import quiet
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis.marker_genes import Marker

# The paper scores the five strongest markers of a type.
TOP_MARKERS = 5
# scanpy's choice: control genes drawn for each gene of the set.
_CONTROLS = 50


@dataclass(frozen=True, eq=False)
class GeneSetScores:
    """A set's score in each cell of one side.

    Parameters
    ----------
    values : ndarray of float32, shape (cells,)
        Mean log-normalised expression of the set less that of control genes of like
        expression: about 0 in a cell that has no more of the set than of other genes.
    genes : tuple of str
        Those of the set that the side has.
    missing : tuple of str
        Those that it has not.
    """

    values: NDArray[np.float32]
    genes: tuple[str, ...]
    missing: tuple[str, ...]


def score_gene_set(
    sides: Mapping[str, AnnData], genes: Iterable[str], seed: int = 0
) -> Job[dict[str, GeneSetScores]]:
    """Score a set of genes in every cell.

    Parameters
    ----------
    sides : mapping of AnnData
        Counts, by the name of the side (``"predicted"``, ``"measured"``); not changed.
    genes : iterable of str
        Capitals do not matter.
    seed : int
        Of the control genes drawn.

    Yields
    ------
    Progress
        In sides.

    Returns
    -------
    dict of GeneSetScores
        By the name of the side.

    Raises
    ------
    ExpressionError
        If a side has no gene of the set, or none beside it to compare with.
    """
    wanted = tuple(dict.fromkeys(str(gene).strip() for gene in genes if str(gene).strip()))
    if not wanted:
        raise ExpressionError("The set has no genes: name at least one.")
    scores = {}
    for done, (name, table) in enumerate(sides.items()):
        yield Progress(done, len(sides), "sides", f"{len(wanted)} genes, {name}")
        scores[name] = _scored(table, name, wanted, seed)
    return scores


def top_genes(
    markers: Mapping[str, tuple[Marker, ...]], most: int = TOP_MARKERS
) -> dict[str, tuple[str, ...]]:
    """Make a set of genes of each cluster's strongest markers.

    Parameters
    ----------
    markers : mapping
        Of :func:`~napari_prts.analysis.markers`.
    most : int
        Genes of each; the paper takes 5.
    """
    sets = {name: tuple(each.gene for each in found[:most]) for name, found in markers.items()}
    return {name: genes for name, genes in sets.items() if genes}


def _scored(table: AnnData, name: str, wanted: tuple[str, ...], seed: int) -> GeneSetScores:
    import scanpy as sc

    cells = log_normalised(table)
    # Genes without a count are in the table, but no set can be told by them.
    here = {str(gene).upper(): str(gene) for gene in cells.var_names}
    found = tuple(here[gene.upper()] for gene in wanted if gene.upper() in here)
    missing = tuple(gene for gene in wanted if gene.upper() not in here)
    if not found:
        raise ExpressionError(
            f"None of the {len(wanted)} genes ({', '.join(wanted[:3])} ...) is expressed in the "
            f"{name} cells: choose other genes."
        )
    if len(found) >= cells.n_vars:
        raise ExpressionError(
            f"The set holds all {cells.n_vars} genes of the {name} cells, so that none is left to "
            "compare with: choose fewer genes."
        )
    with quiet():
        sc.tl.score_genes(cells, list(found), ctrl_size=_CONTROLS, random_state=seed)
    return GeneSetScores(cells.obs["score"].to_numpy(np.float32), found, missing)
