"""A section: measured counts from a Visium HD folder, and training on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QGroupBox, QLabel, QVBoxLayout, QWidget

from napari_prts.viewer.expression_view import is_simulated
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import button
from napari_prts.widgets._session import Session
from napari_prts.widgets._training import TrainingSection

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.jobs import Job


class MeasuredSection(QGroupBox):
    """Brings measured counts in.

    Parameters
    ----------
    session : Session
        Whose study and jobs.
    tag : str
        Of the job that reads them.
    """

    def __init__(self, session: Session, tag: str, parent: QWidget | None = None) -> None:
        super().__init__("Measured", parent)
        self._session, self._tag = session, tag
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.open_button = button(
            "Open Visium HD folder…", "Space Ranger's outs, binned_outputs or square_002um folder"
        )
        self.training = TrainingSection(session, self)
        layout = QVBoxLayout(self)
        for widget in (self.label, self.open_button, self.training):
            layout.addWidget(widget)
        self.open_button.clicked.connect(self._choose)

    def refresh(self, *, ready: bool) -> None:
        """Show what there is.

        Parameters
        ----------
        ready : bool
            Whether counts can be brought in now.
        """
        study = self._session.study
        self.open_button.setEnabled(ready)
        self.label.setText(describe_measured(study.measured if study is not None else None))

    def measure(self, folder: Path | str) -> None:
        """Sum the bins of a Space Ranger folder into the nuclei, in the background."""
        study = self._session.study
        if study is None:
            return
        slide, nuclei = study.slide, study.nuclei

        def make() -> Job[AnnData]:
            from napari_prts.visium_hd import MeasureRequest, measure, read_space_ranger

            found = read_space_ranger(folder)
            job: Job[AnnData] = measure(slide, nuclei, found, MeasureRequest())
            return job

        self._session.jobs.submit(Task(self._tag, "Reading Visium HD", make, study.set_measured))

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open Visium HD folder")
        if folder:
            self.measure(folder)


def describe_measured(measured: AnnData | None) -> str:
    """Write what is known of the measured counts in one line."""
    if measured is None:
        return "No measured counts."
    word = "Simulated" if is_simulated(measured, "measured") else "Measured"
    return f"{word}: {measured.n_obs:,} cells x {measured.n_vars:,} genes"
