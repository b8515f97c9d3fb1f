"""One cell's facts and values, found by its nucleus's id in well under a millisecond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.nuclei import Source
from napari_prts.widgets.explore._figures import SIDES

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.study import Study

_SOURCES = {
    Source.IMPORTED: "imported",
    Source.MANUAL: "drawn by hand",
    Source.EDITED: "edited by hand",
}


@dataclass(frozen=True, eq=False)
class _Rows:
    """Where each nucleus stands in a table."""

    table: AnnData
    ids: NDArray[np.int64]
    order: NDArray[np.intp] | None

    @classmethod
    def of(cls, table: AnnData) -> _Rows:
        ids = table.obs["id"].to_numpy(np.int64)
        if (np.diff(ids) > 0).all():
            return cls(table, ids, None)
        order = np.argsort(ids, kind="stable")
        return cls(table, ids[order], order)

    def find(self, id_: int) -> int | None:
        place = int(np.searchsorted(self.ids, id_))
        if place >= len(self.ids) or self.ids[place] != id_:
            return None
        return place if self.order is None else int(self.order[place])


class CellLookup:
    """Looks cells up in a study's tables; each table is gone through once.

    Parameters
    ----------
    study : Study
        Whose cells.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._rows: list[_Rows] = []

    def row(self, table: AnnData | None, id_: int) -> int | None:
        """Find a cell's row; None if the table, or the cell in it, is not there."""
        if table is None:
            return None
        known = next((rows for rows in self._rows if rows.table is table), None)
        if known is None:
            self._forget()
            known = _Rows.of(table)
            self._rows.append(known)
        return known.find(id_)

    def value(self, side: str, id_: int, gene: str) -> float | None:
        """Return a cell's expression of a gene; None where it is not known.

        Parameters
        ----------
        side : str
            ``"predicted"`` or ``"measured"``.
        id_ : int
            Of its nucleus.
        gene : str
            Its name.
        """
        table: AnnData | None = getattr(self.study, side)
        row = self.row(table, id_)
        if row is None or table is None:
            return None
        column = int(table.var_names.get_indexer_for([gene])[0])
        return None if column < 0 else float(table.X[row, column])

    def values(self, side: str, id_: int) -> NDArray[np.float32] | None:
        """Return a cell's expression of all genes of a side, shape (genes,), or None."""
        table: AnnData | None = getattr(self.study, side)
        row = self.row(table, id_)
        if row is None or table is None:
            return None
        values = table.X[row]
        dense = values.toarray() if hasattr(values, "toarray") else values
        return np.asarray(dense, np.float32).ravel()

    def clusters(self, id_: int) -> dict[str, str]:
        """Return the name of the cell's cluster by side, where it has one."""
        found = {}
        for side in SIDES:
            table = self.study.clusters.get(side)
            row = self.row(table, id_)
            if table is not None and row is not None:
                found[side] = str(table.obs["leiden"].iloc[row])
        return found

    def nucleus(self, id_: int) -> int | None:
        """Return the position of a nucleus among the study's, or None if it is no more."""
        place = int(self.study.nuclei.rows.find(np.array([id_], np.int64))[0])
        return None if place < 0 else place

    def shape_words(self, id_: int) -> list[str]:
        """Say how large a nucleus is, and how sure the finder was or who drew it."""
        place = self.nucleus(id_)
        if place is None:
            return []
        # The areas of all nuclei would be laid out anew after each edit.
        nucleus, mpp = self.study.nuclei.take([place]), self.study.slide.mpp
        area = float(nucleus.areas[0])
        words = [f"{area:,.0f} px" if mpp is None else f"{area * mpp**2:.0f} µm²"]
        source = Source(int(nucleus.sources[0]))
        if source is Source.STARDIST:
            words.append(f"detection score {nucleus.scores[0]:.2f}")
        else:
            words.append(_SOURCES[source])
        return words

    def _forget(self) -> None:
        """Let go of tables that the study no longer has: they may take gigabytes."""
        study = self.study
        kept = (study.predicted, study.measured, *study.clusters.values())
        self._rows = [rows for rows in self._rows if any(rows.table is table for table in kept)]
