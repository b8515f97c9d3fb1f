"""A folded section: let the nucleus model learn from the regions that the user put right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_prts.errors import PrtsError
from napari_prts.jobs import Progress
from napari_prts.segmentation.user_models import check_new_name, free_name, list_models
from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button, folded
from napari_prts.widgets._session import Session

if TYPE_CHECKING:
    from napari_prts.jobs import Job
    from napari_prts.segmentation.fine_tuning import FineTuned, FineTuneRequest
    from napari_prts.study.state import Region

TAG = "fine tuning"
DRAWN, VIEW = "the drawn region", "the view"


class FineTuneSection(QWidget):
    """Tunes the nucleus model on a region, in the background.

    Parameters
    ----------
    session : Session
        Whose study, view and jobs.
    base : callable
        Gives the name or path of the model to begin with.
    made : callable
        Called with the new model's name and whether it is better, for the list of models.
    """

    def __init__(
        self,
        session: Session,
        base: Callable[[], str],
        made: Callable[[str, bool], None] = lambda name, better: None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._base, self._made = session, base, made
        self._regions: list[Region] = []
        self._best_kept: str | None = None
        self.section, _, layout = folded("Improve the model")
        self._build(layout)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.section)
        self._links = links = Links(self)
        links.connect(session.study_changed, self._on_study)
        links.connect(session.jobs.started, self._on_jobs)
        links.connect(session.jobs.ended, self._on_ended)
        self._on_study()

    def _build(self, layout: QVBoxLayout) -> None:
        self.words = QLabel(
            "Correct every nucleus in a small region, then let the model learn from it. "
            "The model you have stays as it is."
        )
        self.words.setWordWrap(True)
        self.where = QComboBox()
        self.where.addItems([VIEW, DRAWN])
        self.where.setToolTip("Every nucleus in it must be right, and none may be missing.")
        self.add_button = button("Add this region", "Learn from several regions at once")
        self.clear_button = button("Forget the regions", "Begin again with no region")
        self.chosen = QLabel()
        self.chosen.setWordWrap(True)
        self.name = QLineEdit()
        self.name.setToolTip("The new model is kept under this name.")
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 600.0)
        self.minutes.setDecimals(1)
        self.minutes.setValue(5.0)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("About how long to train.")
        self.start_button = button(
            "Improve the model on this region",
            "Train on the nuclei of the regions, keep the result as a new model",
            main=True,
        )
        self.job_line = JobLine(self._session.jobs, TAG, self)
        self.job_line.cancel.setToolTip("Stop; the best model so far is kept if it is better.")
        form = QFormLayout()
        form.addRow("Learn from", self.where)
        form.addRow("Name", self.name)
        form.addRow("Train for", self.minutes)
        for part in (self.words, self.add_button, self.chosen, self.clear_button):
            layout.addWidget(part)
        layout.addLayout(form)
        layout.addWidget(self.start_button)
        layout.addWidget(self.job_line)
        self.add_button.clicked.connect(self.add_region)
        self.clear_button.clicked.connect(self.forget_regions)
        self.start_button.clicked.connect(self.start)
        self.where.currentTextChanged.connect(self._on_where)

    def refresh(self) -> None:
        """Show what can be done now."""
        study = self._session.study
        running = self._session.jobs.running
        busy = running is not None and running.tag == TAG
        ready = study is not None and study.slide.mpp is not None and len(study.nuclei) > 0
        self.start_button.setEnabled(ready and not busy)
        self.add_button.setEnabled(ready)
        self.clear_button.setVisible(bool(self._regions))
        self.chosen.setVisible(bool(self._regions))
        many = len(self._regions)
        self.chosen.setText(f"{many} region{'s' if many > 1 else ''} to learn from.")
        self.start_button.setText(
            f"Improve the model on {many} regions"
            if many > 1
            else "Improve the model on this region"
        )
        if not self.name.text() and study is not None:
            self.name.setText(free_name("my-model"))

    def add_region(self) -> None:
        """Take the drawn region, or the view, to those that are learned from."""
        try:
            region = self._region_now()
        except PrtsError as error:
            show_error(str(error))
            return
        if region not in self._regions:
            self._regions.append(region)
        self.refresh()

    def forget_regions(self) -> None:
        """Learn from none of the regions that were added."""
        self._regions.clear()
        self.refresh()

    def start(self) -> None:
        """Tune the model on the regions that were added, or on the one chosen now."""
        study = self._session.study
        if study is None:
            return
        try:
            name = check_new_name(self.name.text().strip())
            request = self._request(name)
        except PrtsError as error:
            show_error(str(error))
            return
        # What the user edits while it runs plays no part.
        slide, nuclei = study.slide, study.nuclei

        def make() -> Job[FineTuned]:
            from napari_prts.segmentation.fine_tuning import fine_tune

            return (yield from fine_tune(slide, nuclei, request))

        self._best_kept = name
        self._session.jobs.submit(
            Task(TAG, "Improving the model", make, self._done, self._on_progress)
        )

    def _request(self, name: str) -> FineTuneRequest:
        from napari_prts.segmentation.fine_tuning import FineTuneRequest

        return FineTuneRequest(
            name=name,
            regions=tuple(self._regions) or (self._region_now(),),
            base=self._base(),
            minutes=self.minutes.value(),
        )

    def _region_now(self) -> Region:
        view = self._session.view
        assert view is not None
        region: Region
        region = view.region.in_view() if self.where.currentText() == VIEW else view.region.drawn()
        return region

    def _done(self, tuned: FineTuned) -> None:
        self._best_kept = None
        tell = show_info if tuned.better else show_warning
        tell(tuned.words)
        self.words.setText(tuned.words)
        self.name.setText(free_name(tuned.model.name))
        self._made(tuned.model.name, tuned.better)

    def _on_progress(self, report: Progress) -> None:
        if report.note:
            self.words.setText(f"{report.note}.")

    def _on_where(self, where: str) -> None:
        if where == DRAWN and self._session.view is not None:
            self._session.view.region.start_drawing()

    def _on_study(self) -> None:
        # Regions are places on one slide.
        self._regions.clear()
        study = self._session.study
        if study is not None:
            self._links.connect(study.nuclei_changed, self.refresh)
            self._links.connect(study.slide_changed, self.refresh)
        self.refresh()

    def _on_jobs(self, tag: str, _: str) -> None:
        if tag == TAG:
            self.refresh()

    def _on_ended(self, tag: str, how: str) -> None:
        if tag != TAG:
            return
        name, self._best_kept = self._best_kept, None
        if how == "cancelled" and name is not None:
            kept = any(entry.name == name for entry in list_models())
            self.words.setText(
                f"Cancelled; what was learned so far is better and kept as {name!r}."
                if kept
                else "Cancelled; no model was made."
            )
            if kept:
                self.name.setText(free_name(name))
                self._made(name, True)
        self.refresh()
