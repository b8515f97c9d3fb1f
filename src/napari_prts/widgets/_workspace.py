"""All panels together, as tabs in the order of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_prts.widgets._corner import Corner
from napari_prts.widgets._job_line import JobLine
from napari_prts.widgets._nuclei_panel import NucleiPanel
from napari_prts.widgets._predict_panel import PredictPanel
from napari_prts.widgets._session import Session, session_of
from napari_prts.widgets._shortcuts import ShortcutsButton
from napari_prts.widgets._slide_panel import SlidePanel
from napari_prts.widgets.explore._explore_panel import ExplorePanel
from napari_prts.widgets.export._export_menu import SaveMenu
from napari_prts.widgets.export._export_sessions import TAG

if TYPE_CHECKING:
    from napari import Viewer

NAME = "PRTS"


class Workspace(QWidget):
    """Slide, Nuclei, Predict and Explore as tabs.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The window.
    session : Session, optional
        The window's own by default.
    """

    def __init__(self, napari_viewer: Viewer, session: Session | None = None) -> None:
        super().__init__()
        self.session = session if session is not None else session_of(napari_viewer)
        self.slide = SlidePanel(napari_viewer, self.session)
        self.nuclei = NucleiPanel(napari_viewer, self.session)
        self.predict = PredictPanel(napari_viewer, self.session)
        self.explore = ExplorePanel(napari_viewer, self.session)
        self.tabs = QTabWidget()
        for name, panel in (
            ("Slide", self.slide),
            ("Nuclei", self.nuclei),
            ("Predict", self.predict),
            ("Explore", self.explore),
        ):
            self.tabs.addTab(panel, name)
        self.save = SaveMenu(self.session)
        self.shortcuts = ShortcutsButton(self.session, self.explore)
        self.corner = Corner(self.save, self.shortcuts)
        self.tabs.setCornerWidget(self.corner)
        self.job_line = JobLine(self.session.jobs, TAG, self)
        self.job_line.setContentsMargins(6, 0, 6, 4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        layout.addWidget(self.job_line)


def open_workspace(viewer: Viewer) -> Workspace:
    """Dock the panels on the right of a window; once open, return those.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    """
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, Workspace):
            return widget
    workspace = Workspace(viewer)
    viewer.window.add_dock_widget(workspace, name=NAME, area="right")
    return workspace
