"""A napari window with our panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pytestqt.qtbot import QtBot

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.widgets import Workspace, open_workspace

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import Apart
    from napari_prts.study.grouping import Grouping
    from napari_prts.widgets.explore._clusters_page import ClustersPage


@pytest.fixture
def workspace(make_napari_viewer: Callable[..., Any], qtbot: QtBot) -> Iterator[Workspace]:
    """All panels in a real window."""
    viewer = make_napari_viewer()
    workspace = open_workspace(viewer)
    yield workspace
    workspace.session.close()


def wait(qtbot: QtBot, workspace: Workspace, seconds: int = 240) -> None:
    """Wait until no job runs."""
    qtbot.waitUntil(lambda: workspace.session.jobs.running is None, timeout=seconds * 1000)


def names(workspace: Workspace) -> list[str]:
    """Names of the layers, bottom to top."""
    return [layer.name for layer in workspace.session.viewer.layers]


# Cells of three types, and the page that groups them


@pytest.fixture(scope="session")
def sides(tissue_nuclei: Nuclei) -> dict[str, AnnData]:
    """Predicted and measured cells of three types; tests copy what they show."""
    from tests.widgets.cells import measured_cells, predicted_cells

    return {"predicted": predicted_cells(tissue_nuclei), "measured": measured_cells(tissue_nuclei)}


@pytest.fixture(scope="session")
def found(sides: dict[str, AnnData], process_beside: Apart) -> Grouping:
    """Three clusters on each side."""
    from napari_prts.study.grouping import GroupRequest, group_job

    coarse = {"predicted": 0.3, "measured": 0.3, "together": 0.3}
    return run(group_job(sides, GroupRequest("each", coarse), {}, {}, process_beside))


@pytest.fixture
def grouped_beside(process_beside: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window groups cells in the process of all tests, not in one that is still to start."""
    monkeypatch.setattr("napari_prts.analysis.Apart", lambda: process_beside)


@pytest.fixture
def clusters_page(
    workspace: Workspace,
    tissue_slide: Slide,
    tissue_nuclei: Nuclei,
    sides: dict[str, AnnData],
    grouped_beside: None,
    qtbot: QtBot,
) -> ClustersPage:
    """The page with a slide whose cells are predicted and measured."""
    study = Study(tissue_slide, autosave=False)
    workspace.session.show(study)
    study.set_nuclei(tissue_nuclei)
    study.set_measured(sides["measured"].copy())
    study.set_predicted(sides["predicted"].copy())
    workspace.tabs.setCurrentWidget(workspace.explore)
    workspace.explore.pages.setCurrentWidget(workspace.explore.clusters)
    workspace.session.viewer.window._qt_window.show()
    wait(qtbot, workspace)
    return workspace.explore.clusters
