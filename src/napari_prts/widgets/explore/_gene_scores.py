"""How well each gene is predicted here, found out beside what the user does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_prts.widgets._jobs import Task

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import GeneTrust
    from napari_prts.jobs import Job, Progress
    from napari_prts.widgets._session import Session

    Tables = tuple[AnnData, AnnData]

TAG = "gene scores"


class GeneScores:
    """PCC of each gene on the slide that is open.

    Parameters
    ----------
    session : Session
        Whose study is scored.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted when there is more to tell.
    pcc : dict of str to float
        By gene; genes that cannot be scored are left out. Empty until :attr:`known`.
    known : bool
        Whether the genes have been scored.
    where : str
        On which cells, in words.
    problem : str
        Why they cannot be scored; empty otherwise.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables: Tables | None = None
        self._clear()

    def want(self) -> None:
        """Score the genes of the tables that the study has now, unless that is done or begun."""
        self.check()
        tables = self._tables_now()
        if tables is None or self._tables is not None:
            return
        self._tables = tables
        self._session.beside.submit(
            Task(
                TAG,
                "Scoring genes",
                lambda: _score(*tables),
                lambda found: self._take(tables, found),
                partial=self._follow,
                over=lambda outcome: self._over(tables, outcome),
                failed=lambda words: self._fail(tables, words),
            )
        )

    def check(self) -> None:
        """Let go of what was found of other tables than the study has now."""
        then, now = self._tables, self._tables_now()
        same = then is not None and now is not None and then[0] is now[0] and then[1] is now[1]
        if then is not None and not same:
            self._session.beside.cancel(TAG)
            self._tables = None
            self._clear()
            self.changed.emit()

    def _tables_now(self) -> Tables | None:
        study = self._session.study
        if study is None or study.predicted is None or study.measured is None:
            return None
        return study.predicted, study.measured

    @property
    def under_way(self) -> str:
        """How far it is, in words; empty if nothing is being scored."""
        if self._tables is None or self.known or self.problem:
            return ""
        return f"Comparing predicted with measured: {self._share:.0%}"

    def _clear(self) -> None:
        self.pcc: dict[str, float] = {}
        self.known, self.where, self.problem, self._share = False, "", "", 0.0

    def _take(self, tables: Tables, found: GeneTrust) -> None:
        if tables is not self._tables:
            return
        pcc = found.genes["pcc"]
        self.pcc = {str(gene): float(value) for gene, value in pcc[np.isfinite(pcc)].items()}
        self.known = True
        cells = f"{found.cells:,} cells"
        self.where = f"{cells} of the held-out region" if found.held_out else f"all {cells}"
        if found.trained_on_some:
            self.where += ", some of which the model was trained on"
        self.changed.emit()

    def _follow(self, report: Progress) -> None:
        if report.total:
            self._share = report.done / report.total
            self.changed.emit()

    def _fail(self, tables: Tables, words: str) -> None:
        if tables is self._tables:
            self.problem = words
            self.changed.emit()

    def _over(self, tables: Tables, outcome: str) -> None:
        if tables is self._tables and outcome == "cancelled":
            self._tables = None


def _score(predicted: AnnData, measured: AnnData) -> Job[GeneTrust]:
    from napari_prts.analysis import trust_genes

    return trust_genes(predicted, measured)
