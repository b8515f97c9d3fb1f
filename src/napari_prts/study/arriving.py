"""The cells that a running prediction has found so far, kept compactly to be painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_prts.expression import PredictedCells
    from napari_prts.nuclei import Nuclei

# Cells of a block: 3.7 MB for 1,820 genes, so that memory grows with what has arrived.
_BLOCK = 1024
_LARGEST = float(np.finfo(np.float16).max)


class ArrivingCells:
    """Predicted cells, batch after batch, while the prediction runs.

    Expression is kept in half precision, which differs from the prediction by less than
    a colour: 60,000 cells of 1,820 genes take 220 MB. It is for looking at; what is saved
    and computed with is the table that the prediction returns in the end.

    Parameters
    ----------
    genes : sequence of str
        Names, in the order of the model's outputs.
    model_hash : str
        Which model predicts.
    trained_on : str
        What it was trained on: ``"measured"`` or ``"simulated"``.
    nuclei : Nuclei
        The nuclei that are predicted.

    Attributes
    ----------
    genes, model_hash, trained_on, nuclei
        As given.
    """

    def __init__(
        self, genes: Sequence[str], model_hash: str, trained_on: str, nuclei: Nuclei
    ) -> None:
        self.genes = tuple(genes)
        self.model_hash = model_hash
        self.trained_on = trained_on
        self.nuclei = nuclei
        self._rows = {name: row for row, name in enumerate(self.genes)}
        # Cells have places in the order in which they come. A gene's values lie side by side:
        # it is read at every repaint, a batch is written once.
        self._blocks: list[NDArray[np.float16]] = []
        self._places = np.full(len(nuclei), -1, np.int64)
        self._used = 0
        self._batches = 0
        # By place; -1 where the nucleus is no longer there.
        self._positions = np.empty(len(nuclei), np.int64)
        self._totals = np.empty(len(nuclei), np.float32)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._there))

    @property
    def _there(self) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = self._positions[: self._used] >= 0
        return there

    @property
    def batches(self) -> int:
        """How many batches were taken: whether anything arrived since one looked."""
        return self._batches

    @property
    def positions(self) -> NDArray[np.int64]:
        """Positions in ``nuclei`` of the cells that have arrived, as they came, shape (n,)."""
        return self._positions[: self._used][self._there]

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of the nuclei that have arrived, in the same order, shape (n,)."""
        ids: NDArray[np.int64] = self.nuclei.ids[self.positions]
        return ids

    def onto(self, nuclei: Nuclei) -> ArrivingCells:
        """Go on with other nuclei, as when the prediction begins anew after a correction.

        Parameters
        ----------
        nuclei : Nuclei
            The nuclei that are predicted now.

        Returns
        -------
        ArrivingCells
            With the cells whose nuclei are still there. It takes the values over: the one
            that it was made from is of no use any more.
        """
        other = ArrivingCells(self.genes, self.model_hash, self.trained_on, nuclei)
        other._blocks, other._used, other._batches = self._blocks, self._used, self._batches
        kept, room = self._positions[: self._used], np.full(len(nuclei), -1, np.int64)
        other._totals = np.append(self._totals[: self._used], room.astype(np.float32))
        other._positions = np.append(np.full_like(kept, -1), room)
        places = np.flatnonzero(self._there)
        _, here, there = np.intersect1d(
            nuclei.ids, self.nuclei.ids[kept[places]], assume_unique=True, return_indices=True
        )
        other._positions[places[there]] = here
        other._places[here] = places[there]
        return other

    def add(self, cells: PredictedCells) -> None:
        """Take a batch; a cell that had arrived before gets its new values.

        Parameters
        ----------
        cells : PredictedCells
            The batch.

        Raises
        ------
        ExpressionError
            If its genes are not those of the model.
        NucleiError
            If a cell is none of ``nuclei``.
        """
        if cells.genes != self.genes:
            raise ExpressionError(
                f"A batch of {len(cells.genes):,} genes arrived for a model of "
                f"{len(self.genes):,}, or in another order: begin anew with the batch's model."
            )
        places = self._placed(self.nuclei.positions_of(cells.ids))
        self._totals[places] = cells.expression.sum(axis=1)
        blocks, within = np.divmod(places, _BLOCK)
        kept = np.minimum(cells.expression, _LARGEST).astype(np.float16)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            self._blocks[block][:, within[here]] = kept[here].T
        self._batches += 1

    def _placed(self, positions: NDArray[np.integer]) -> NDArray[np.int64]:
        """Places of nuclei, new ones behind the others."""
        _, first = np.unique(positions, return_index=True)
        found = positions[np.sort(first)]
        new = found[self._places[found] < 0]
        end = self._used + len(new)
        self._positions[self._used : end] = new
        self._places[new] = np.arange(self._used, end)
        self._used = end
        while len(self._blocks) * _BLOCK < end:
            self._blocks.append(np.zeros((len(self.genes), _BLOCK), np.float16))
        places: NDArray[np.int64] = self._places[positions]
        return places

    def gene(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read one gene of the cells that have arrived.

        Parameters
        ----------
        name : str
            The gene.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Of the nuclei.
        values : ndarray of float32, shape (n,)
            Expected counts, to three digits.

        Raises
        ------
        ExpressionError
            If the model does not predict the gene.
        """
        row = self._rows.get(name)
        if row is None:
            raise ExpressionError(
                f"The model does not predict {name}: choose one of its {len(self.genes):,} genes."
            )
        values = np.concatenate([np.empty(0, np.float16), *(block[row] for block in self._blocks)])
        return self.ids, values[: self._used][self._there].astype(np.float32)

    def total(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Sum the expression of each cell that has arrived over all genes.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            Of the nuclei.
        values : ndarray of float32, shape (n,)
            Expected counts of all genes together.
        """
        return self.ids, self._totals[: self._used][self._there]
