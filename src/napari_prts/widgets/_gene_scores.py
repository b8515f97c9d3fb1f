"""How well each gene is predicted here, found out once beside what the user does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_prts.widgets._jobs import Task
from napari_prts.widgets._tables import Tables

if TYPE_CHECKING:
    from napari_prts.analysis import GeneTrust
    from napari_prts.jobs import Job, Progress
    from napari_prts.widgets._session import Session

TAG = "gene scores"


class GeneScores:
    """Scores of each gene on the slide that is open, for all who show them.

    Parameters
    ----------
    session : Session
        Whose study is scored.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted when there is more to tell.
    trust : GeneTrust or None
        The scores; None until the genes have been scored.
    problem : str
        Why they cannot be scored; empty otherwise.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        # What was scored, or is being scored.
        self._of: Tables | None = None
        self.trust: GeneTrust | None = None
        self.problem, self._share = "", 0.0

    @property
    def known(self) -> bool:
        """Whether the genes have been scored."""
        return self.trust is not None

    @property
    def pcc(self) -> dict[str, float]:
        """PCC by gene; genes that cannot be scored are left out. Empty until :attr:`known`."""
        if self.trust is None:
            return {}
        pcc = self.trust.genes["pcc"]
        return {str(gene): float(value) for gene, value in pcc[np.isfinite(pcc)].items()}

    @property
    def where(self) -> str:
        """On which cells, in words; empty until :attr:`known`."""
        if self.trust is None:
            return ""
        cells = f"{self.trust.cells:,} cells"
        where = f"{cells} of the held-out region" if self.trust.held_out else f"all {cells}"
        return where + (
            ", some of which the model was trained on" if self.trust.trained_on_some else ""
        )

    @property
    def under_way(self) -> str:
        """How far it is, in words; empty if nothing is being scored."""
        if self._of is None or self.known or self.problem:
            return ""
        return f"Comparing predicted with measured: {self._share:.0%}"

    def want(self) -> None:
        """Score the genes of the tables that the study has now, unless that is done or begun."""
        self.check()
        tables = Tables.of(self._session.study)
        predicted, measured = tables.predicted, tables.measured
        if predicted is None or measured is None or self._of is not None:
            return
        self._of = tables

        def make() -> Job[GeneTrust]:
            from napari_prts.analysis import trust_genes

            return trust_genes(predicted, measured)

        self._session.beside.submit(
            Task(
                TAG,
                "Scoring genes",
                make,
                lambda found: self._take(tables, found),
                partial=lambda report: self._follow(tables, report),
                over=lambda outcome: self._over(tables, outcome),
                failed=lambda words: self._fail(tables, words),
            )
        )

    def check(self) -> None:
        """Let go of what was found of other tables than the study has now."""
        if self._of is None or self._of.same(Tables.of(self._session.study)):
            return
        self._session.beside.cancel(TAG)
        self._of, self.trust = None, None
        self.problem, self._share = "", 0.0
        self.changed.emit()

    def _take(self, tables: Tables, found: GeneTrust) -> None:
        if tables is self._of:
            self.trust = found
            self.changed.emit()

    def _follow(self, tables: Tables, report: Progress) -> None:
        if tables is self._of and report.total:
            self._share = report.done / report.total
            self.changed.emit()

    def _fail(self, tables: Tables, words: str) -> None:
        if tables is self._of:
            self.problem = words
            self.changed.emit()

    def _over(self, tables: Tables, outcome: str) -> None:
        if tables is self._of and outcome == "cancelled":
            # Nothing is told: who listens would only ask for it again.
            self._of, self._share = None, 0.0
