"""Session: what the panels of one napari window share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.layer_book import ROLE_KEY
from napari_prts.viewer.readers import SLIDE_KEY, picture_layer
from napari_prts.viewer.slide_view import SCREEN_KEY
from napari_prts.widgets._arrivals import Arrivals
from napari_prts.widgets._brush import Brush
from napari_prts.widgets._gene_scores import GeneScores
from napari_prts.widgets._jobs import JobRunner, Task
from napari_prts.widgets._looking import Looking
from napari_prts.widgets._other_slide import Answer, ask_about_other_slide

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_prts.focus import Focus
    from napari_prts.jobs import Job
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
    saving_changed : psygnal.Signal
        Emitted when it may have changed how far, or how long ago, the nuclei were saved.
    ask : callable
        Asks the user what shall become of a second slide.
    jobs : JobRunner
        What the user asked for, one after the other.
    beside : JobRunner
        What is made ready meanwhile, unasked; nothing waits for it.
    looking : Looking
        Keeps :attr:`focus` to what is on screen.
    brush : Brush
        What is painted over the tissue, and how.
    scores : GeneScores
        How well each gene is predicted here.
    """

    study_changed = Signal()
    saving_changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.jobs = JobRunner()
        self.beside = JobRunner()
        self._study: Study | None = None
        self._view: StudyView | None = None
        self._unsaved_told = ""
        self._saving = QTimer()
        self._saving.setInterval(1000)
        self._saving.timeout.connect(self._autosave)
        self._arrivals: dict[Layer, Arrivals] = {}
        self.looking = Looking(viewer, lambda: self._view)
        self.brush = Brush(self)
        self.scores = GeneScores(self)
        self.ask: Callable[[Study, Slide], Answer] = ask_about_other_slide
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in list(viewer.layers):
            self._watch(layer)
            self._adopt(layer)

    @property
    def study(self) -> Study | None:
        """The study on screen."""
        return self._study

    @property
    def view(self) -> StudyView | None:
        """The study's layers."""
        return self._view

    @property
    def focus(self) -> Focus:
        """What is on screen, for jobs that run beside the window."""
        return self.looking.focus

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
        self.looking.look()
        self.study_changed.emit()

    def open(self, path: Path | str, mpp: float | None = None) -> None:
        """Open a slide in the background and show it, at once and as it grows."""

        def make() -> Job[Slide]:
            from napari_prts.slide import open_slide
            from napari_prts.slide.screen import Screen

            slide = open_slide(path, mpp, wait=False)
            # Decodes in this thread what the window will draw first.
            Screen(slide)
            return slide
            yield

        self.jobs.submit(Task("slide", "Opening slide", make, self.offer))

    def offer(self, slide: Slide, layer: Layer | None = None) -> None:
        """Show a slide; if another one is open, ask first what shall become of it.

        Parameters
        ----------
        slide : Slide
            The slide.
        layer : napari.layers.Image, optional
            A layer that shows it already.
        """
        answer = Answer.SWITCH
        if self._study is not None and self._study.slide.fingerprint != slide.fingerprint:
            answer = self.ask(self._study, slide)
        if answer is not Answer.CANCEL:
            # Before anything is measured on the slide, which needs all its levels.
            self._grow(slide)
        if answer is Answer.SWITCH:
            self.show_slide(slide, layer)
        elif answer is Answer.PICTURE and layer is None:
            self.viewer.add_layer(picture_layer(slide))
        elif answer is Answer.PICTURE and layer is not None:
            layer.name = slide.name
        elif layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def show_slide(self, slide: Slide, layer: Layer | None = None) -> None:
        """Show a slide that is open already, in place of the one before."""
        self.show(Study(slide), layer)
        for remark in slide.remarks:
            show_warning(f"{slide.name}: {remark}")

    def _grow(self, slide: Slide) -> None:
        """Build the levels that are missing, while the slide is on screen."""
        growth = slide.growth
        if growth is not None and not growth.whole:
            self.jobs.submit(Task("slide", "Preparing slide", growth.job, lambda _: None))

    def close(self) -> None:
        """Stop all jobs and stop listening; the layers stay."""
        self._saving.stop()
        self.jobs.shut_down()
        self.beside.shut_down()
        self.looking.close()
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in list(self._arrivals):
            self._unwatch(layer)

    def _mark(self, study: Study) -> None:
        """Leave word in the slide's layer, so that panels opened later find this session."""
        assert self._view is not None
        layer = self._view.book.get(Role.SLIDE)
        if layer is not None:
            layer.metadata[SESSION_KEY] = self

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._adopt(event.value)

    def _on_removed(self, event: Any) -> None:
        self._unwatch(event.value)

    def _watch(self, layer: Layer) -> None:
        """Redraw a slide's layer when its pixels arrive."""
        screen = layer.metadata.get(SCREEN_KEY)
        if screen is not None:
            self._arrivals[layer] = Arrivals(layer, screen)

    def _unwatch(self, layer: Layer) -> None:
        arrivals = self._arrivals.pop(layer, None)
        if arrivals is not None:
            arrivals.close()

    def _adopt(self, layer: Layer) -> None:
        """Take over a slide that was dropped on the window or opened as sample data."""
        slide = layer.metadata.get(SLIDE_KEY)
        if slide is None:
            return
        if self._study is None:
            self.offer(slide, layer)
        elif self._study.slide.fingerprint != slide.fingerprint:
            # The question must not come while napari is still adding the layer.
            QTimer.singleShot(0, lambda: self.offer(slide, layer))

    def _autosave(self) -> None:
        """Follow how the study's nuclei get to disk; tell once if they do not."""
        study = self._study
        if study is None:
            self._saving.stop()
            return
        saved = study.saved
        if saved.problem and saved.problem != self._unsaved_told:
            show_warning(saved.problem)
        self._unsaved_told = saved.problem
        # The disk may have room again, without another correction being made.
        study.autosave.retry()
        if saved.pending or saved.at is not None:
            self._saving.start()
        self.saving_changed.emit()


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
