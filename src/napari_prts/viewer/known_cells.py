"""The cells that a study has to paint, each of its tables looked through once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.viewer.cell_values import Cells, CellsToCome, CellTable

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.study import Study


class KnownCells:
    """Finds a study's cells: the same object as long as the cells are the same.

    Parameters
    ----------
    study : Study
        The study.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._tables: list[CellTable] = []
        self._to_come: CellsToCome | None = None

    def expression(self, side: str) -> Cells | None:
        """Return the ``"predicted"`` or ``"measured"`` cells, or None if there are none."""
        self._forget()
        if side == "measured":
            return self._table(self._study.measured)
        return self._coming() or self._table(self._study.predicted)

    def clustered(self, side: str) -> CellTable | None:
        """Return the clustered cells of a side, or None if there are none."""
        self._forget()
        return self._table(self._study.clusters.get(side))

    def _coming(self) -> CellsToCome | None:
        arriving, predicted = self._study.arriving, self._study.predicted
        if arriving is None:
            return None
        if self._to_come is None or self._to_come.arriving is not arriving:
            same = model_hash(predicted) == arriving.model_hash
            self._to_come = CellsToCome(arriving, self._table(predicted) if same else None)
        return self._to_come

    def _table(self, table: AnnData | None) -> CellTable | None:
        if table is None:
            return None
        for known in self._tables:
            if known.table is table:
                return known
        self._tables.append(CellTable(table))
        return self._tables[-1]

    def _forget(self) -> None:
        """Let go of cells that the study no longer has: they may take gigabytes."""
        study = self._study
        tables = (study.measured, study.predicted, *study.clusters.values())
        self._tables = [
            known for known in self._tables if any(known.table is table for table in tables)
        ]
        if study.arriving is None:
            self._to_come = None


def model_hash(predicted: AnnData | None) -> str:
    """Identity of the model that predicted a table; empty if that is not known."""
    return "" if predicted is None else str(predicted.uns.get("prts", {}).get("model_hash", ""))
