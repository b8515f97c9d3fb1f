"""Spots of array-based spatial transcriptomics: many cells under one measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    import pandas as pd

# Of the arrays of Spatial Transcriptomics (Stahl et al., Science 353 (2016) 78).
DIAMETER_UM = 100.0
# A spot without any cell in it stands for so many cells that lie nearest to its centre.
NEAREST = 5
# Counts of a spot are given per so many, before log1p.
PER = 10_000.0


@dataclass(frozen=True, eq=False)
class Spots:
    """Measured spots of one section.

    Parameters
    ----------
    names : tuple of str
        Of the spots.
    genes : tuple of str
        Names, each once.
    counts : csr matrix of float32, shape (spots, genes)
        As measured.
    centres : ndarray of float64, shape (spots, 2)
        (row, column) in level-0 pixels, the centre of the first pixel at (0, 0).

    Raises
    ------
    ExpressionError
        If the parts do not belong together, or the counts are negative or no numbers.
    """

    names: tuple[str, ...]
    genes: tuple[str, ...]
    counts: sparse.csr_matrix
    centres: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.names), len(self.genes)) or self.centres.shape != (
            len(self.names),
            2,
        ):
            raise ExpressionError(
                f"Spots do not fit together: {len(self.names)} names, {len(self.genes)} genes, "
                f"counts {self.counts.shape}, centres {self.centres.shape}; give one row a spot."
            )
        data = self.counts.data
        if data.size and not (np.isfinite(data).all() and data.min() >= 0):
            raise ExpressionError(
                "The spots' counts are negative or no numbers: give them as measured."
            )

    def __len__(self) -> int:
        return len(self.names)

    def of_genes(self, genes: tuple[str, ...] | list[str]) -> sparse.csr_matrix:
        """Counts of some genes, shape (spots, len(genes)); 0 for a gene that is not there."""
        column = {name: index for index, name in enumerate(self.genes)}
        where = np.array([column.get(gene, -1) for gene in genes], np.int64)
        chosen = sparse.csr_matrix(self.counts[:, np.maximum(where, 0)].multiply(where >= 0))
        chosen.eliminate_zeros()
        return chosen

    def log_expression(self, genes: tuple[str, ...] | list[str]) -> NDArray[np.float32]:
        """log1p of counts per 10,000 of all genes' counts, shape (spots, len(genes))."""
        totals = np.asarray(self.counts.sum(1), np.float64).ravel()
        return log_per(self.of_genes(genes).toarray(), totals)


def log_per(counts: NDArray[np.floating], totals: NDArray[np.floating]) -> NDArray[np.float32]:
    """log1p of counts per 10,000.

    Parameters
    ----------
    counts : ndarray, shape (spots, genes)
        Of some genes.
    totals : ndarray, shape (spots,)
        Of all genes; a spot without counts stays at 0.
    """
    share = PER / np.where(totals > 0, totals, 1)
    return np.log1p(counts * share[:, None]).astype(np.float32)


def read_spots(counts: Path | str, positions: Path | str) -> Spots:
    """Read a section of spots from two tables.

    Parameters
    ----------
    counts : path
        Tab-separated, may be compressed: a row a spot, named ``10x13`` by its column x and
        row y on the array; a column a gene.
    positions : path
        Tab-separated, with columns ``x``, ``y`` (on the array), ``pixel_x``, ``pixel_y`` (in
        level-0 pixels) and, if it is there, ``selected``, 1 for spots under tissue.

    Returns
    -------
    Spots
        Those that both tables have, in the order of the counts, without unselected ones.

    Raises
    ------
    ExpressionError
        If a table cannot be read or is another, or they have no spot in common.
    """
    table, places = _table(Path(counts), index_col=0), _table(Path(positions))
    missing = sorted({"x", "y", "pixel_x", "pixel_y"} - set(places.columns))
    if missing:
        raise ExpressionError(
            f"{positions} has no column {missing[0]!r}: give the table of spot positions with x, "
            "y, pixel_x and pixel_y."
        )
    if "selected" in places:
        places = places[places["selected"] == 1]
    names = [f"{round(x)}x{round(y)}" for x, y in zip(places["x"], places["y"], strict=True)]
    places = places.set_axis(names, axis=0)
    both = [name for name in table.index.astype(str) if name in places.index]
    if not both or not places.index.is_unique:
        raise ExpressionError(
            f"{counts} and {positions} have no spots in common, or name one twice: give the "
            "tables of one section."
        )
    values = table.set_axis(table.index.astype(str), axis=0).loc[both]
    try:
        matrix = sparse.csr_matrix(values.to_numpy(np.float32))
    except ValueError as error:
        raise ExpressionError(f"{counts} holds something else than counts ({error}).") from error
    return Spots(
        tuple(both),
        tuple(str(gene) for gene in table.columns),
        matrix,
        places.loc[both, ["pixel_y", "pixel_x"]].to_numpy(np.float64),
    )


def _table(path: Path, index_col: int | None = None) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, sep="\t", index_col=index_col)
    except (OSError, ValueError) as error:
        raise ExpressionError(
            f"{path} cannot be read as a tab-separated table ({error}): check the path, or get "
            "the file again."
        ) from error


@dataclass(frozen=True, eq=False)
class SpotCells:
    """Which cells lie in which spots.

    Parameters
    ----------
    members : csr matrix of float32, shape (spots, cells)
        1 where a cell belongs to a spot.
    empty : ndarray of bool, shape (spots,)
        Spots without any cell in them, which got the cells nearest to them.
    """

    members: sparse.csr_matrix
    empty: NDArray[np.bool_]

    def means(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Mean over each spot's cells of values of all cells: (cells, k) to (spots, k)."""
        return np.asarray(self.sums(values) / self.cells[:, None], np.float32)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Sum over each spot's cells of values of all cells: (cells, k) to (spots, k)."""
        return np.asarray(self.members @ values, np.float32)

    @property
    def cells(self) -> NDArray[np.int64]:
        """How many cells each spot has, shape (spots,); at least 1."""
        return np.asarray(np.diff(self.members.indptr), np.int64)


def cells_of_spots(
    spots: Spots, centroids: NDArray[np.floating], mpp: float, diameter_um: float = DIAMETER_UM
) -> SpotCells:
    """Find the cells in each spot.

    A cell belongs to a spot if its centroid lies within the spot's radius. A spot without
    any gets the 5 cells nearest to its centre, however far, so that it is scored too.

    Parameters
    ----------
    spots : Spots
        The spots.
    centroids : ndarray, shape (cells, 2)
        (row, column) in level-0 pixels.
    mpp : float
        Microns per level-0 pixel.
    diameter_um : float
        Of a spot.

    Raises
    ------
    ExpressionError
        If there are no cells.
    """
    from scipy.spatial import cKDTree

    if not len(centroids):
        raise ExpressionError("There are no nuclei under the spots: find or import nuclei first.")
    tree = cKDTree(np.asarray(centroids, np.float64) * mpp)
    centres = spots.centres * mpp
    inside = tree.query_ball_point(centres, diameter_um / 2, return_sorted=True)
    empty = np.array([not cells for cells in inside], bool)
    if empty.any():
        count = min(NEAREST, len(centroids))
        _, nearest = tree.query(centres[empty], k=count)
        for spot, cells in zip(
            np.flatnonzero(empty), np.reshape(nearest, (-1, count)), strict=True
        ):
            inside[spot] = sorted(cells.tolist())
    lengths = np.array([len(cells) for cells in inside])
    indices = np.concatenate([np.asarray(cells, np.int64) for cells in inside])
    members = sparse.csr_matrix(
        (np.ones(len(indices), np.float32), indices, np.append(0, np.cumsum(lengths))),
        shape=(len(spots), len(centroids)),
    )
    return SpotCells(members, empty)


def variable_genes(
    sections: Sequence[Spots],
    most_variable: int = 1000,
    detected: float = 0.3,
    measured_in: Sequence[Spots] = (),
) -> tuple[str, ...]:
    """Choose the genes to learn from training sections.

    Those among the ``most_variable`` (by the variance of log1p of counts per 10,000) of any
    section that have counts in more than ``detected`` of all the sections' spots.

    Parameters
    ----------
    sections : sequence of Spots
        Training sections.
    most_variable : int
        Genes of each section.
    detected : float
        Share of spots.
    measured_in : sequence of Spots
        Sections to be scored: genes that one of their tables lacks are left out. Their
        counts have no bearing.

    Returns
    -------
    tuple of str
        Sorted by name.

    Raises
    ------
    ExpressionError
        If there is no section, or no such gene.
    """
    chosen: set[str] = set()
    for section in sections:
        spread = section.log_expression(section.genes).var(0)
        order = np.argsort(-spread, kind="stable")[:most_variable]
        chosen.update(section.genes[index] for index in order)
    for section in measured_in:
        chosen.intersection_update(section.genes)
    genes = sorted(chosen)
    seen = np.zeros(len(genes))
    for section in sections:
        seen += np.asarray((section.of_genes(genes) > 0).sum(0)).ravel()
    kept = seen > detected * sum(len(section) for section in sections)
    if not kept.any():
        raise ExpressionError(
            f"No gene has counts in more than {detected:.0%} of the training spots: give more "
            "sections, or ask for genes that are detected less often."
        )
    return tuple(gene for gene, keep in zip(genes, kept.tolist(), strict=True) if keep)
