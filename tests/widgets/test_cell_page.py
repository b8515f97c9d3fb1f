"""Asking a cell: the mouse over it, a click on it, and what the page says."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer.tools_list import Tool
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._tile_picture import Sight, model_sight, read_tile
from tests.widgets.asked import ask_about, click_gene, predicted, settle
from tests.widgets.canvas import Hand
from tests.widgets.cells import GENES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def study(workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot) -> Study:
    """Predicted and simulated cells; a gene is painted, on one canvas."""
    study = ask_about(workspace, tissue_slide, tissue_nuclei)
    settle(workspace, qtbot)
    workspace.session.brush.restyle(mode="one")
    workspace.session.brush.paint_gene(GENES[0])
    return study


@pytest.fixture
def hand(workspace: Workspace) -> Hand:
    return Hand(workspace)


def lone(study: Study) -> int:
    """Position of a nucleus of the first type, far from others and from the slide's border."""
    centroids = study.nuclei.centroids.astype(float)
    gaps = np.hypot(*(centroids[:, None] - centroids).transpose(2, 0, 1))
    np.fill_diagonal(gaps, np.inf)
    border = np.minimum(centroids, np.array(study.slide.shape) - centroids).min(axis=1)
    rank = np.minimum(gaps.min(axis=1), 30) + (border > 150) * 100
    rank[study.nuclei.areas > 2_000] = -1
    rank[np.arange(len(rank)) % 8 != 0] = -1
    rank[-1] = -1
    return int(np.argmax(rank))


def test_without_cells_the_page_says_what_to_do(
    workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot
) -> None:
    page = workspace.explore.cell
    assert "Open a slide" in page.state.text()
    workspace.session.show(Study(tissue_slide, autosave=False))
    assert "find nuclei first" in page.state.text()

    # With measured cells alone, nothing is called predicted.
    study = ask_about(workspace, tissue_slide, tissue_nuclei, "measured")
    assert "Click a cell" in page.state.text()
    page.open_cell(int(study.nuclei.ids[3]))
    settle(workspace, qtbot)
    assert [column.title for column in page.genes.model.columns] == ["simulated", "above mean"]
    assert "onfidence" not in page.facts.text()


def test_the_status_bar_tells_of_the_cell_under_the_mouse(
    study: Study, workspace: Workspace, hand: Hand, qtbot: QtBot
) -> None:
    viewer, place = workspace.session.viewer, lone(study)
    id_, (row, column) = int(study.nuclei.ids[place]), map(float, study.nuclei.centroids[place])
    hand.look(row, column, 300)
    hand.move((row, column))
    qtbot.waitUntil(lambda: str(viewer.status).startswith(f"Nucleus {id_:,}  ·  "))
    said = str(viewer.status)
    area = study.nuclei.areas[place] * 0.499**2
    assert f"{area:.0f} µm²" in said
    assert "imported" in said
    assert study.predicted is not None
    assert study.measured is not None
    counts = study.measured.X[place, 0]
    value = study.predicted.X[place, 0]
    assert f"{GENES[0]}: predicted {value:.3g}, simulated {counts:.0f}" in said

    # napari writes its own line a moment after each move.
    viewer.mouse_over_canvas = True
    viewer.status = "H&E [1, 2]: 3"
    assert viewer.status == said
    viewer.tooltip.visible = True
    hand.move((row + 1, column))
    qtbot.waitUntil(lambda: viewer.tooltip.text.startswith(f"Nucleus {id_:,}\n"))

    # On bare tissue the line is napari's again.
    hover = workspace.explore.cell.hover
    ahead = [hover.painted_at(row, column + step) is None for step in range(140)]
    bare = next(step for step in range(2, 138) if all(ahead[step - 2 : step + 3]))
    hand.move((row, column + bare))
    qtbot.waitUntil(lambda: not hover.words)
    viewer.status = "H&E [1, 2]: 3"
    assert viewer.status == "H&E [1, 2]: 3"


def test_a_click_opens_the_cell(
    study: Study, workspace: Workspace, hand: Hand, qtbot: QtBot
) -> None:
    page, place = workspace.explore.cell, lone(study)
    id_, (row, column) = int(study.nuclei.ids[place]), map(float, study.nuclei.centroids[place])
    hand.look(row, column, 300)
    hand.drag([(row, column), (row + 20, column + 20)])
    tools = workspace.nuclei.correct.tools
    assert tools is not None
    tools.start(Tool.LASSO)
    hand.look(row, column, 300)
    hand.click((row, column))
    tools.stop()
    qtbot.wait(50)
    # Neither a drag nor a tool asked for it.
    assert page.cell is None

    hand.click((row, column))
    qtbot.waitUntil(lambda: page.cell == id_)
    assert workspace.explore.pages.currentWidget() is page
    settle(workspace, qtbot)
    assert f"Nucleus {id_:,}" in page.facts.text()
    assert list(study.chosen) == [id_]
    for picture in (page.near, page.tile):
        assert not picture.picture.pixmap().isNull()
    assert page.near.caption.text() == "40 µm, close"
    assert page.tile.caption.text() == "64 µm, what the model looks at"

    # Its own type's genes stand above the mean of all cells, and come first.
    assert set(page.genes.genes()[:6]) <= set(GENES[:8])
    titles = [column.title for column in page.genes.model.columns]
    assert titles == ["predicted", "simulated", "above mean"]
    gene = click_gene(page.genes, qtbot, 2)
    assert workspace.session.brush.gene == gene


def test_the_page_says_how_far_to_believe_a_prediction(
    study: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    page, ids = workspace.explore.cell, study.nuclei.ids
    page.open_cell(int(ids[0]))
    assert "Confidence 0.90: like the training cells" in page.facts.text()
    assert "The model was trained on this cell" in page.facts.text()
    page.open_cell(int(ids[-2]))
    assert "unlike the training cells" in page.facts.text()
    assert "do not rely on" in page.facts.text()
    # The last one was filtered out of the counts.
    page.open_cell(int(ids[-1]))
    assert "Not simulated" in page.facts.text()
    assert [column.title for column in page.genes.model.columns][:1] == ["predicted"]
    settle(workspace, qtbot)


def test_a_cell_chosen_elsewhere_is_shown_and_a_deleted_one_leaves(
    study: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    page, ids = workspace.explore.cell, study.nuclei.ids
    workspace.explore.pages.setCurrentWidget(page)
    study.choose(ids[5:8])
    assert page.cell is None
    study.choose(ids[5:6])
    assert page.cell == int(ids[5])
    settle(workspace, qtbot)
    study.edit(removed=[int(ids[5])], label="delete nucleus")
    assert page.cell is None
    assert "Click a cell" in page.state.text()


def test_a_tile_has_the_nucleus_in_its_middle(tissue_slide: Slide, tissue_nuclei: Nuclei) -> None:
    study = Study(tissue_slide, autosave=False)
    study.set_nuclei(tissue_nuclei)
    study.set_predicted(predicted(tissue_nuclei))
    polygon, sight = study.nuclei.polygon(lone(study)), model_sight(study)
    assert (sight.tile, sight.mpp) == (128, 0.5)
    tile = read_tile(study.slide, polygon, sight)
    assert tile.pixels.shape == (128, 128, 3)
    box = (tile.outline.min(axis=0) + tile.outline.max(axis=0)) / 2
    np.testing.assert_allclose(box, [64, 64], atol=1)
    # In the slide's own pixel size, its pixels are the slide's own.
    own = read_tile(study.slide, polygon, Sight(128, 0.499, ""))
    corner = np.rint(polygon[0] + 0.5 - own.outline[0]).astype(int)
    there = np.asarray(study.slide.levels[0])[corner[0] : corner[0] + 128]
    np.testing.assert_array_equal(own.pixels, there[:, corner[1] : corner[1] + 128])
