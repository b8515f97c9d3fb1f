"""A study with cells to ask about, and a hand on its plots and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._gene_table import GeneTable
from napari_prts.widgets.explore._lasso_plot import LassoPlot
from tests.widgets.cells import kinds_of, measured_cells, predicted_cells

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


def predicted(nuclei: Nuclei) -> AnnData:
    """Cells predicted by a model that was trained on the first half of them."""
    table = predicted_cells(nuclei)
    half = len(nuclei) // 2
    table.obs["split"] = np.where(np.arange(len(nuclei)) < half, "train", "test")
    table.obs["confidence"] = np.linspace(0.9, 0.01, len(nuclei), dtype=np.float32)
    table.obs["unlike_training"] = table.obs["confidence"] < 0.05
    table.obs["distance"] = np.linspace(0.5, 1.5, len(nuclei))
    table.uns["prts"] = {"mpp": 0.499, "settings": {"tile": 128, "mpp": 0.5}}
    return table


def simulated(nuclei: Nuclei) -> AnnData:
    """Counts of all nuclei but the last, which was filtered out."""
    table = measured_cells(nuclei.take(np.arange(len(nuclei) - 1)))
    table.uns["visium_hd"] = {"simulated": True, "mpp": 0.499}
    return table


def clustered(table: AnnData, nuclei: Nuclei) -> AnnData:
    """The same cells grouped by their type: "0", "1" and "2"."""
    grouped = table.copy()
    grouped.obs["leiden"] = kinds_of(nuclei)[: table.n_obs].astype(str)
    return grouped


def ask_about(workspace: Workspace, slide: Slide, nuclei: Nuclei, *sides: str) -> Study:
    """Show a study with the tables of some sides, by default of both, and Explore in front.

    Pages and plots are made when they are seen, so the window is shown too.
    """
    study = Study(slide, autosave=False)
    study.set_nuclei(nuclei)
    wanted = sides or ("predicted", "measured")
    if "predicted" in wanted:
        study.set_predicted(predicted(nuclei))
    if "measured" in wanted:
        study.set_measured(simulated(nuclei))
    workspace.session.show(study)
    workspace.session.viewer.window.show()
    workspace.tabs.setCurrentWidget(workspace.explore)
    return study


def settle(workspace: Workspace, qtbot: QtBot) -> None:
    """Wait until nothing is being worked out for the pages."""
    session = workspace.session
    runners = (session.jobs, session.beside, workspace.explore.cell.asking)
    qtbot.waitUntil(lambda: all(runner.running is None for runner in runners), timeout=60_000)


def click_gene(table: GeneTable, qtbot: QtBot, row: int) -> str:
    """Click a row of a table; return its gene."""
    index = table.model.index(row, 0)
    table.view.scrollTo(index)
    where = table.view.visualRect(index).center()
    qtbot.mouseClick(table.view.viewport(), LEFT, pos=where)
    return str(index.data())


def drag_on(plot: LassoPlot, places: Any) -> None:
    """Draw a line on a plot with the mouse held down; places are (x, y) in its pixels."""
    _send(plot, QEvent.Type.MouseButtonPress, places[0], LEFT, LEFT)
    for place in places[1:]:
        _send(plot, QEvent.Type.MouseMove, place, NONE, LEFT)
    _send(plot, QEvent.Type.MouseButtonRelease, places[-1], LEFT, NONE)


def _send(plot: LassoPlot, kind: QEvent.Type, place: Any, button: Any, held: Any) -> None:
    here = QPointF(float(place[0]), float(place[1]))
    event = QMouseEvent(
        kind, here, plot.canvas.mapToGlobal(here), button, held, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(plot.canvas, event)
