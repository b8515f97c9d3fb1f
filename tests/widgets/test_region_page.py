"""Asking a region: draw it, take a cluster or what is in view; and what is chosen lights up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt

from napari_prts.analysis import Region, ask_region, differing_genes, pair
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.nuclei.selection import inside_lasso
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._region_words import profile_interval
from tests.widgets.asked import ask_about, click_gene, clustered, drag_on, predicted, settle
from tests.widgets.canvas import Hand
from tests.widgets.cells import GENES, kinds_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def study(workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot) -> Study:
    """Predicted and simulated cells, with the page in front."""
    study = ask_about(workspace, tissue_slide, tissue_nuclei)
    workspace.explore.pages.setCurrentWidget(workspace.explore.region)
    settle(workspace, qtbot)
    return study


def layer(workspace: Workspace, role: Role) -> Any:
    assert workspace.session.view is not None
    return workspace.session.view.book.get(role)


def test_a_region_drawn_on_the_slide_is_answered(
    study: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    page, hand = workspace.explore.region, Hand(workspace)
    assert "Which cells?" in page.state.text()
    qtbot.mouseClick(page.source.draw_button, Qt.MouseButton.LeftButton)
    rows, columns = study.slide.shape
    hand.look(rows / 2, columns / 2, 1_000)
    angle = np.linspace(0, 2 * np.pi, 24)
    line = [(350 + 250 * np.sin(a), 450 + 250 * np.cos(a)) for a in angle]
    hand.drag(line)
    qtbot.waitUntil(lambda: page.answer is not None, timeout=60_000)
    assert not page.source.draw_button.isChecked()
    assert layer(workspace, Role.REGION).nshapes == 1

    # It holds what a script would find there.
    assert page.region is not None
    assert page.region.outline is not None
    inside = study.nuclei.ids[inside_lasso(study.nuclei, page.region.outline)]
    np.testing.assert_array_equal(np.sort(page.region.ids), np.sort(inside))
    right = run(ask_region(pair(study.predicted, study.measured), page.region))
    assert page.answer is not None
    pd.testing.assert_frame_equal(page.answer.genes, right.genes)
    words = page.words.text()
    assert f"{len(inside):,} cells" in words
    assert "mm²" in words
    assert "Predicted and simulated means agree" in words
    assert right.profile_pcc is not None
    low, high = profile_interval(right.profile_pcc, len(GENES))
    assert low < right.profile_pcc < high
    assert f"trained on {right.trained:,} of these cells" in words

    # What was asked is chosen, and lit up on the canvas.
    np.testing.assert_array_equal(study.chosen, np.sort(inside))
    assert layer(workspace, Role.CHOSEN).visible
    assert len(workspace.session.view.chosen.shown) == len(inside)


def test_the_scatter_and_the_tables_lead_to_genes(
    study: Study, workspace: Workspace, tmp_path: Path, qtbot: QtBot, monkeypatch: Any
) -> None:
    page, brush = workspace.explore.region, workspace.session.brush
    region = Region(study.nuclei.ids[kinds_of(study.nuclei) == 1], "Epithelium")
    page.ask(region)
    settle(workspace, qtbot)
    plot = page.scatter
    qtbot.waitUntil(lambda: plot.canvas is not None and plot.canvas.isVisible())
    assert page.answer is not None
    means = page.answer.genes[["mean_measured", "mean_predicted"]].to_numpy()
    np.testing.assert_allclose(plot.points, means)

    # A click on a point paints its gene.
    plot.canvas.draw()
    top = int(np.argmax(means[:, 0]))
    at = QPoint(*np.rint(plot.pixels()[top]).astype(int).tolist())
    qtbot.mouseClick(plot.canvas, Qt.MouseButton.LeftButton, pos=at)
    assert brush.gene in page.answer.genes.index
    painted = means[list(page.answer.genes.index).index(brush.gene)]
    np.testing.assert_allclose(painted, means[top], rtol=0.15)

    # A lasso lists the genes inside it; a click beside them lists all again.
    high = means.min(axis=1) > 5
    corners = plot.pixels()[high]
    (left, upper), (right, lower) = corners.min(axis=0) - 6, corners.max(axis=0) + 6
    drag_on(plot, [(left, upper), (right, upper), (right, lower), (left, lower)])
    np.testing.assert_array_equal(plot.chosen, high)
    assert page.pages.currentWidget() is page.genes
    assert set(page.genes.genes()) == set(page.answer.genes.index[high])
    assert click_gene(page.genes, qtbot, 1) == brush.gene
    page.pages.setCurrentWidget(plot)
    away = plot.pixels()
    drag_on(plot, [(away[:, 0].min() + 2, away[:, 1].min() + 2)])
    assert len(page.genes.genes()) == len(GENES)

    # Its own genes differ most from the rest.
    page.pages.setCurrentWidget(page.differing)
    settle(workspace, qtbot)
    right_genes = run(differing_genes(study.predicted, region)).genes
    assert page.differing.genes.genes() == list(right_genes.index)
    assert set(page.differing.genes.genes()[:8]) == set(GENES[8:16])
    page.differing.side.setCurrentIndex(1)
    settle(workspace, qtbot)
    assert page.differing.side.currentText() == "Simulated expression"
    assert page.differing.found is not None

    said: list[str] = []
    monkeypatch.setattr("napari_prts.widgets.explore._region_page.show_info", said.append)
    page.pages.setCurrentWidget(page.genes)
    page.save(tmp_path / "region.csv")
    settle(workspace, qtbot)
    saved = pd.read_csv(tmp_path / "region.csv", index_col="gene")
    np.testing.assert_allclose(saved["mean_predicted"], means[:, 1], rtol=1e-5)
    assert said

    # Other tables give another answer: that one is gone.
    study.set_predicted(predicted(study.nuclei))
    assert page.answer is None
    assert "Which cells?" in page.state.text()


def test_a_cluster_the_view_or_what_is_chosen_is_a_region_too(
    study: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    page, source = workspace.explore.region, workspace.explore.region.source
    assert not source.cluster.isEnabled()
    assert study.predicted is not None
    study.set_clusters("predicted", clustered(study.predicted, study.nuclei))
    words = [source.cluster.itemText(place) for place in range(1, source.cluster.count())]
    assert words == ["predicted: 0", "predicted: 1", "predicted: 2"]
    source.cluster.activated.emit(3)
    settle(workspace, qtbot)
    macrophages = study.nuclei.ids[kinds_of(study.nuclei) == 2]
    np.testing.assert_array_equal(study.chosen, np.sort(macrophages))
    assert "Cluster 2 (predicted)" in page.words.text()

    study.choose(study.nuclei.ids[10:30])
    assert source.chosen_button.text() == "Chosen (20)"
    qtbot.mouseClick(source.chosen_button, Qt.MouseButton.LeftButton)
    settle(workspace, qtbot)
    assert page.answer is not None
    assert page.answer.nuclei == 20

    workspace.session.viewer.fit_to_view()
    qtbot.mouseClick(source.view_button, Qt.MouseButton.LeftButton)
    settle(workspace, qtbot)
    assert page.answer.nuclei == len(study.nuclei)

    # With one side there is no scatter, and the page says why.
    study.set_measured(None)
    source.cluster.activated.emit(1)
    settle(workspace, qtbot)
    assert "Nothing is measured" in page.words.text()
    assert not page.pages.isTabVisible(page.pages.indexOf(page.scatter))
    assert [column.title for column in page.genes.model.columns] == ["predicted"]


def test_what_is_chosen_is_outlined_on_both_halves_and_follows_corrections(
    study: Study, workspace: Workspace
) -> None:
    view = workspace.session.view
    assert view is not None
    assert layer(workspace, Role.CHOSEN) is None
    ids = study.nuclei.ids[20:40]
    study.choose(ids)
    row, column = np.rint(study.nuclei.polygon(20)[0] + 0.5).astype(int)
    shown = layer(workspace, Role.CHOSEN)
    assert shown.name == "Chosen cells"
    around = np.asarray(shown.data[0][row - 2 : row + 3, column - 2 : column + 3])
    assert around.any()

    # Beside each other both sides show them, and the halves stay where they were.
    workspace.session.brush.paint_gene(GENES[0])
    grid, layers = workspace.session.viewer.canvas.grid, workspace.session.viewer.layers
    assert grid.enabled
    places = {
        role: grid.position(layers.index(layer(workspace, role)), layers)
        for role in (Role.CHOSEN, Role.CHOSEN_COPY, Role.SLIDE, Role.PREDICTED)
    }
    assert places[Role.CHOSEN_COPY] == places[Role.SLIDE] == (0, 0)
    assert places[Role.CHOSEN] == places[Role.PREDICTED] == (0, 1)
    workspace.session.brush.restyle(mode="one")
    assert layer(workspace, Role.CHOSEN_COPY) is None

    study.edit(removed=[int(ids[0])], label="delete nucleus")
    assert len(view.chosen.shown) == 19
    study.undo()
    assert len(view.chosen.shown) == 20
    study.choose([])
    assert not shown.visible

    # Deleted by the user it stays so until cells are chosen again.
    study.choose(ids)
    workspace.session.viewer.layers.remove(shown)
    study.edit(removed=[int(ids[1])], label="delete nucleus")
    assert layer(workspace, Role.CHOSEN) is None
    study.choose(ids[:3])
    assert layer(workspace, Role.CHOSEN).visible
