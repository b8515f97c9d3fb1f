"""Measured as cells, or as bins of 8 or 16 um as the machine counted them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links

if TYPE_CHECKING:
    from napari_prts.jobs import Job
    from napari_prts.study import Study
    from napari_prts.visium_hd.larger_bins import BinnedSection
    from napari_prts.widgets._session import Session

TAG = "bins"
_SIZES_UM = (8, 16)
_TOOLTIP = (
    "What stands for the measured side: the nuclei that bins were summed into, or the machine's "
    "own bins. Bins hold other counts than cells, so their percentiles are their own; colour "
    "limits that you draw in the histogram hold for both."
)


class MeasuredAs(QWidget):
    """Chooses what the measured side shows, and reads the bins; hidden without measured cells.

    Parameters
    ----------
    session : Session
        Whose study, view and jobs.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.choice = QComboBox()
        self.choice.addItem("cells", None)
        for size in _SIZES_UM:
            self.choice.addItem(f"{size} um bins", size)
        self.job_line = JobLine(session.jobs, TAG, self)
        row = QHBoxLayout()
        row.addWidget(QLabel("Measured as"))
        row.addWidget(self.choice, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.job_line)
        self.choice.activated.connect(lambda _: self.choose(self.choice.currentData()))
        self._links = Links(self)
        self._links.connect(session.jobs.ended, self._on_ended)
        self.refresh()

    def refresh(self) -> None:
        """Show what there is, and what is shown."""
        study, view = self._session.study, self._session.view
        self.setVisible(study is not None and study.measured is not None)
        problem = "" if study is None else no_bins(study)
        if not problem and view is not None and view.expression.stage.mode == "difference":
            problem = "The difference is of cells: choose another way to compare to see bins."
        self.choice.setEnabled(not problem)
        self.choice.setToolTip(problem or _TOOLTIP)
        if not self._session.jobs.busy(TAG):
            shown = None if view is None else view.expression.bins
            size = None if shown is None else shown.bin_um
            self.choice.setCurrentIndex(self.choice.findData(size))

    def choose(self, bin_um: int | None) -> None:
        """Show bins in the place of measured cells; they are read in the background.

        Parameters
        ----------
        bin_um : int or None
            8 or 16; None shows the cells.
        """
        study, view, jobs = self._session.study, self._session.view, self._session.jobs
        if study is None or view is None:
            return
        jobs.cancel(TAG)
        shown = view.expression.bins
        if bin_um is None:
            view.expression.measure_by(None)
            self._session.brush.changed.emit()
        elif shown is None or shown.bin_um != bin_um:
            jobs.submit(self._reading(study, bin_um))
        self.choice.setCurrentIndex(self.choice.findData(bin_um))

    def _reading(self, study: Study, bin_um: int) -> Task:
        slide, measured, path = study.slide, study.measured, bins_path(study)

        def make() -> Job[BinnedSection]:
            from napari_prts.visium_hd.larger_bins import read_bins

            job: Job[BinnedSection] = read_bins(slide, path, bin_um)
            return job

        def done(section: BinnedSection) -> None:
            view = self._session.view
            if view is not None and view.study is study and study.measured is measured:
                view.expression.measure_by(section)
                self._session.brush.changed.emit()

        return Task(TAG, f"Reading {bin_um} um bins", make, done, pausable=False)

    def _on_ended(self, tag: str, _: str) -> None:
        if tag == TAG:
            self.refresh()


def bins_path(study: Study) -> str:
    """Name the folder that a study's measured cells are from; empty if they are of no folder."""
    measured = study.measured
    return "" if measured is None else str(measured.uns.get("visium_hd", {}).get("path", ""))


def no_bins(study: Study) -> str:
    """Say why a study's measured side cannot be shown as bins; empty if it can."""
    path = bins_path(study)
    if study.measured is not None and not path:
        return "These cells do not say which Visium HD folder they are from: there are no bins."
    if path and not Path(path).is_dir():
        return (
            f"The Visium HD folder {path} is no longer there: connect its drive, or open it again "
            "where it is now (Predict panel)."
        )
    return ""
