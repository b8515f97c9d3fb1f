"""Session: what the panels of one napari window share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_prts.study import Autosave, Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.layer_book import ROLE_KEY
from napari_prts.viewer.readers import SLIDE_KEY
from napari_prts.widgets._jobs import JobRunner, Task

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_prts.slide import Slide

SESSION_KEY = "prts_session"


class Session:
    """The study on screen, its view and its jobs.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.

    Attributes
    ----------
    study_changed : psygnal.Signal
        Emitted after another slide's study is on screen.
    """

    study_changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.jobs = JobRunner()
        self._study: Study | None = None
        self._view: StudyView | None = None
        self._autosaving = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in list(viewer.layers):
            self._adopt(layer)

    @property
    def study(self) -> Study | None:
        """The study on screen."""
        return self._study

    @property
    def view(self) -> StudyView | None:
        """The study's layers."""
        return self._view

    def show(self, study: Study | None, slide_layer: Layer | None = None) -> None:
        """Put a study on screen in place of the one before.

        Parameters
        ----------
        study : Study or None
            What to show.
        slide_layer : napari.layers.Image, optional
            A layer that shows the study's slide already.
        """
        if self._view is not None:
            self._view.close()
        if self._study is not None:
            self._study.nuclei_changed.disconnect(self._autosave)
        self._study, self._view = study, None
        if slide_layer is not None:
            slide_layer.metadata[ROLE_KEY] = Role.SLIDE
        if study is not None:
            self._view = StudyView(self.viewer, study, show_warning)
            study.nuclei_changed.connect(self._autosave)
            self._mark(study)
            self.viewer.update_console({"study": study})
        self.study_changed.emit()

    def open(self, path: Path | str, mpp: float | None = None) -> None:
        """Open a slide in the background and show it."""
        from napari_prts.slide import open_slide_job

        self.jobs.submit(
            Task("slide", "Opening slide", lambda: open_slide_job(path, mpp), self.show_slide)
        )

    def show_slide(self, slide: Slide) -> None:
        """Show a slide that is open already."""
        self.show(Study(slide))

    def close(self) -> None:
        """Stop all jobs and stop listening; the layers stay."""
        self.jobs.shut_down()
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)

    def _mark(self, study: Study) -> None:
        """Leave word in the slide's layer, so that panels opened later find this session."""
        assert self._view is not None
        layer = self._view.book.get(Role.SLIDE)
        if layer is not None:
            layer.metadata[SESSION_KEY] = self

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Any) -> None:
        """Take over a slide that was dropped on the window or opened as sample data."""
        slide = layer.metadata.get(SLIDE_KEY)
        if slide is None:
            return
        if self._study is None or self._study.slide.fingerprint != slide.fingerprint:
            self.show(Study(slide), layer)

    def _autosave(self) -> None:
        """Write the nuclei to the cache in the background, the newest state last."""
        if self._study is None or self._autosaving:
            return
        if not self._study.history.can_undo:
            return
        self._autosaving = True
        study = self._study

        def write() -> Any:
            # Cleared before the nuclei are read: an edit made meanwhile is saved by a next task.
            self._autosaving = False
            Autosave.of(study.slide).write(study.nuclei, study.nuclei_provenance)
            return
            yield

        self.jobs.submit(Task("autosave", "Saving nuclei", write, lambda _: None))


def session_of(viewer: Viewer) -> Session:
    """Find the session of a window, or begin one.

    Parameters
    ----------
    viewer : napari.Viewer
        The window. Its session is found through the slide's layer or through
        another open panel.
    """
    for layer in viewer.layers:
        session = layer.metadata.get(SESSION_KEY)
        if isinstance(session, Session) and session.viewer is viewer:
            return session
    for widget in viewer.window.dock_widgets.values():
        session = getattr(widget, "session", None)
        if isinstance(session, Session):
            return session
    return Session(viewer)
