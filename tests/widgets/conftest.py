"""A napari window with our panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_prts.widgets import Workspace, open_workspace


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
