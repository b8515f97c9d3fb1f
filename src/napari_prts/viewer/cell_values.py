"""Values of cells to be painted: of a table, or of a prediction that is running."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.nuclei import Nuclei
    from napari_prts.study.arriving import ArrivingCells

Values = NDArray[np.float32]

# Begins the names of columns of obs that are painted like genes: scores of sets of genes.
SCORE = "score: "


class Cells(ABC):
    """Cells with expression.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Of their nuclei.
    centroids : ndarray of float32, shape (n, 2)
        (row, column) in level-0 pixels.
    """

    def __init__(self, ids: NDArray[np.integer], centroids: NDArray[np.floating]) -> None:
        self.ids = ids
        self.centroids = centroids
        self._seen: Nuclei | None = None
        self._gone = np.zeros(0, np.int64)

    @property
    def version(self) -> int:
        """Another number after the values have changed."""
        return 0

    @abstractmethod
    def has(self, gene: str) -> bool:
        """Whether the cells have values of a gene."""

    @abstractmethod
    def gene(self, name: str) -> Values:
        """Read one gene, shape (n,); NaN where it is not known yet. A new array each time.

        Raises
        ------
        ExpressionError
            If the cells have no values of it.
        """

    @abstractmethod
    def total(self) -> Values:
        """Read the sum over all genes; see :meth:`gene`."""

    @property
    def opacity(self) -> Values | None:
        """How sure the model is of each cell, 0 to 1, shape (n,); None if that is not known.

        The same object each time.
        """
        return None

    def gone(self, nuclei: Nuclei) -> NDArray[np.int64]:
        """Find the cells whose nucleus is no longer there.

        Parameters
        ----------
        nuclei : Nuclei
            The nuclei as they are now.

        Returns
        -------
        ndarray of int64
            Positions, ascending; the same object as long as they are the same.
        """
        if nuclei is not self._seen:
            gone = np.flatnonzero(~np.isin(self.ids, nuclei.ids))
            self._seen = nuclei
            if not np.array_equal(gone, self._gone):
                self._gone = gone
        return self._gone


class CellTable(Cells):
    """The cells of a table.

    Parameters
    ----------
    table : AnnData
        Expression, dense or sparse; ``obs["id"]`` and ``obsm["spatial"]``. It is not
        expected to change.
    """

    def __init__(self, table: AnnData) -> None:
        self.table = table
        spatial = np.asarray(table.obsm["spatial"], np.float32)
        super().__init__(table.obs["id"].to_numpy(), np.ascontiguousarray(spatial[:, ::-1]))

    def has(self, gene: str) -> bool:
        """Whether the table has the gene, or a score of that name (see :data:`SCORE`)."""
        return gene in self.table.var_names or self._is_score(gene)

    def gene(self, name: str) -> Values:
        """Read one gene, shape (n,); see :meth:`Cells.gene`."""
        if self._is_score(name):
            return np.array(self.table.obs[name], np.float32)
        column = int(self.table.var_names.get_indexer_for([name])[0])
        if column < 0:
            raise ExpressionError(f"The cells have no values of {name}: choose another gene.")
        if self._by_gene is None:
            return np.array(self.table.X[:, column], np.float32)
        first, last = self._by_gene.indptr[column : column + 2]
        values = np.zeros(self.table.n_obs, np.float32)
        values[self._by_gene.indices[first:last]] = self._by_gene.data[first:last]
        return values

    def _is_score(self, name: str) -> bool:
        obs = self.table.obs
        return name.startswith(SCORE) and name in obs and obs[name].dtype.kind == "f"

    @cached_property
    def _by_gene(self) -> Any:
        """Sparse counts sorted by gene: otherwise each gene goes through all cells."""
        from scipy import sparse

        counts = self.table.X
        return counts.tocsc() if sparse.issparse(counts) else None

    def total(self) -> Values:
        """Read the sum over all genes, shape (n,)."""
        return self._total.copy()

    @cached_property
    def _total(self) -> Values:
        return np.asarray(self.table.X.sum(axis=1), np.float32).ravel()

    @cached_property
    def opacity(self) -> Values | None:
        """See :attr:`Cells.opacity`; measured cells and old predictions have none."""
        from napari_prts.analysis import confidence_opacity
        from napari_prts.analysis.dimming import CONFIDENCE, UNLIKE

        if CONFIDENCE not in self.table.obs and UNLIKE not in self.table.obs:
            return None
        return confidence_opacity(self.table)

    @cached_property
    def clusters(self) -> list[str]:
        """Names of the clusters that have cells; "10" comes after "9"."""
        labels = self.table.obs["leiden"].astype("category").cat
        codes = labels.codes.to_numpy()
        cells = np.bincount(codes[codes >= 0], minlength=len(labels.categories))
        found = {str(name) for name, count in zip(labels.categories, cells, strict=True) if count}
        return sorted(found, key=lambda name: (len(name), name))

    @cached_property
    def cluster_colours(self) -> list[str]:
        """Colour of each of :attr:`clusters`, as the table says; empty if it does not."""
        names = self.table.obs["leiden"].astype("category").cat.categories
        said = [str(colour) for colour in self.table.uns.get("leiden_colors", ())]
        if len(said) != len(names):
            return []
        colours = dict(zip(map(str, names), said, strict=True))
        return [colours[name] for name in self.clusters]

    def cluster_numbers(self) -> Values:
        """Number of each cell's cluster, by its place in :attr:`clusters`, shape (n,).

        NaN in clusters that the table says are hidden (``uns["leiden_hidden"]``).
        """
        hidden = {str(name) for name in self.table.uns.get("leiden_hidden", ())}
        number = {name: place for place, name in enumerate(self.clusters) if name not in hidden}
        labels = self.table.obs["leiden"].astype("category").cat
        of_category = np.array(
            [number.get(str(name), np.nan) for name in labels.categories], np.float32
        )
        numbers: Values = of_category[labels.codes.to_numpy()]
        return numbers


class CellsToCome(Cells):
    """All nuclei of a running prediction, with the values of those that have arrived.

    Parameters
    ----------
    arriving : ArrivingCells
        The running prediction.
    earlier : CellTable, optional
        An earlier prediction by the same model: its values stand until newer ones arrive.
    """

    def __init__(self, arriving: ArrivingCells, earlier: CellTable | None = None) -> None:
        super().__init__(arriving.nuclei.ids, arriving.nuclei.centroids)
        self.arriving = arriving
        self.earlier = earlier
        self._kept: tuple[str | None, Values] | None = None

    @property
    def version(self) -> int:
        """Number of batches that have arrived."""
        return self.arriving.batches

    def has(self, gene: str) -> bool:
        """Whether the model predicts the gene."""
        return gene in self.arriving.genes

    def gene(self, name: str) -> Values:
        """Read one gene, shape (n,); see :meth:`Cells.gene`."""
        values = self._before(name)
        values[self.arriving.positions] = self.arriving.gene(name)[1]
        return values

    def total(self) -> Values:
        """Read the sum over all genes, shape (n,)."""
        values = self._before(None)
        values[self.arriving.positions] = self.arriving.total()[1]
        return values

    def _before(self, gene: str | None) -> Values:
        """Values before the prediction began; they are read once, not at each repaint."""
        if self._kept is None or self._kept[0] != gene:
            self._kept = gene, self._read_before(gene)
        return self._kept[1].copy()

    def _read_before(self, gene: str | None) -> Values:
        values = np.full(len(self.ids), np.nan, np.float32)
        if self.earlier is not None and (gene is None or self.earlier.has(gene)):
            old = self.earlier.total() if gene is None else self.earlier.gene(gene)
            here, rows = self._of_earlier
            values[here] = old[rows]
        return values

    @cached_property
    def _of_earlier(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions of the nuclei that were predicted before, and their rows in that table."""
        assert self.earlier is not None
        _, here, rows = np.intersect1d(
            self.ids, self.earlier.ids, assume_unique=True, return_indices=True
        )
        return here, rows
