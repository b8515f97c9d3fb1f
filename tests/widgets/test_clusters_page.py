"""The clusters page by real clicks: find, refine, name, hide, choose, markers, scores, tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLineEdit, QTreeWidgetItem

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.study.group_tables import cells_of, colours_of
from napari_prts.study.grouping import Grouping
from napari_prts.viewer import Role
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._clusters_page import ClustersPage
from tests.widgets.cells import kinds_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def page(clusters_page: ClustersPage) -> ClustersPage:
    """The page with a slide whose cells are predicted and measured."""
    return clusters_page


@pytest.fixture
def grouped(page: ClustersPage, found: Grouping) -> ClustersPage:
    """The page with three clusters, painted."""
    study_of(page).set_grouping(found.clusters)
    page.session.brush.paint_clusters()
    return page


def study_of(page: ClustersPage) -> Study:
    assert page.study is not None
    return page.study


def done(page: ClustersPage, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: page.session.jobs.running is None, timeout=240_000)


def click(qtbot: QtBot, button: Any) -> None:
    qtbot.waitUntil(lambda: not button.visibleRegion().isEmpty())
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def click_row(qtbot: QtBot, tree: Any, item: QTreeWidgetItem, column: int = 0) -> None:
    """Click in the middle of a cell of a list, as a hand does."""
    tree.scrollToItem(item)
    place = tree.visualItemRect(item)
    place.setLeft(tree.columnViewportPosition(column))
    place.setWidth(tree.columnWidth(column))
    qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place.center())


def named(clusters: Mapping[str, AnnData]) -> set[str]:
    return {str(name) for table in clusters.values() for name in table.obs["leiden"]}


# Finding


def test_what_to_do_next_is_said(workspace: Workspace, tissue_slide: Slide) -> None:
    page = workspace.explore.clusters
    assert "Open a slide" in page.state.text()
    workspace.session.show(Study(tissue_slide, autosave=False))
    assert "predict, or open a Visium HD folder" in page.state.text()
    assert not page.cluster_button.isEnabled()
    assert not page.save_button.isEnabled()


def test_only_what_is_there_can_be_grouped(page: ClustersPage) -> None:
    assert page.controls.way.currentData() == "each"
    study_of(page).set_measured(None)
    assert page.controls.way.currentData() == "predicted"
    row = page.controls.way.findData("together")
    assert not page.controls.way.model().item(row).isEnabled()
    page.controls.way.setCurrentIndex(page.controls.way.findData("predicted"))
    # A side by itself has one resolution.
    assert [slider.isVisible() for slider in page.controls.sliders.values()] == [True, False, False]


def test_find_clusters_then_move_the_resolution(page: ClustersPage, qtbot: QtBot) -> None:
    study = study_of(page)
    # The paper's settings.
    assert page.controls.sliders["predicted"].value() == pytest.approx(0.6)
    assert page.controls.sliders["measured"].value() == pytest.approx(1.8)
    click(qtbot, page.cluster_button)
    done(page, qtbot)
    layers = [layer.name for layer in page.session.viewer.layers]
    assert {"Predicted clusters", "Measured clusters"} <= set(layers)
    assert "predicted" in page.state.text()
    assert "measured" in page.state.text()
    colours = [colours_of(table) for table in study.clusters.values()]
    shared = set(colours[0]) & set(colours[1])
    assert shared
    assert all(colours[0][name][0] == "#" for name in shared)

    # A hand that drags: only where it comes to rest is cut, from the graph that is there.
    graph = page.work.graphs["predicted"].cells
    before = study.clusters["predicted"].obs["leiden"].nunique()
    for value in (1.0, 2.0, 3.0):
        page.controls.sliders["predicted"].setValue(value)
    qtbot.waitUntil(lambda: study.clusters["predicted"].obs["leiden"].nunique() > before)
    assert page.work.graphs["predicted"].cells is graph
    assert 1.0 not in page.work.graphs["predicted"].cuts
    assert study.clusters["predicted"].uns["leiden"]["params"]["resolution"] == 3.0
    assert page.legend.names() == sorted(named(study.clusters), key=int)
    done(page, qtbot)

    # Another prediction has other neighbours; the settings stay.
    study.set_predicted(study.expression("predicted").copy())
    assert "predicted" not in page.work.graphs
    assert "measured" in page.work.graphs
    assert page.controls.sliders["predicted"].value() == pytest.approx(3.0)
    assert "predicted" not in study.clusters


def test_a_cancelled_search_leaves_what_was_there(grouped: ClustersPage, qtbot: QtBot) -> None:
    before = dict(study_of(grouped).clusters)
    click(qtbot, grouped.cluster_button)
    qtbot.waitUntil(lambda: grouped.job_line.isVisible())
    click(qtbot, grouped.job_line.cancel)
    done(grouped, qtbot)
    assert all(study_of(grouped).clusters[side] is table for side, table in before.items())

    # So does one that ends when its slide is no longer on screen.
    old = study_of(grouped)
    grouped.reading.find_names({"Nerve": ("SNAP25", "SYT1")})
    grouped.session.show(Study(old.slide, autosave=False))
    done(grouped, qtbot)
    assert all(old.clusters[side] is table for side, table in before.items())
    assert not study_of(grouped).clusters


# The list


def test_the_list_says_how_many_cells_in_the_colours_of_the_canvas(
    grouped: ClustersPage, tissue_nuclei: Nuclei
) -> None:
    cells = int((kinds_of(tissue_nuclei) == 0).sum())
    row = grouped.legend.item_of("0")
    assert row.text(1) == f"{cells:,} (51 %)"
    assert grouped.legend.headerItem().text(1) == "Predicted"
    assert grouped.legend.headerItem().text(2) == "Measured"
    view = grouped.session.view
    assert view is not None
    colours = colours_of(study_of(grouped).clusters["measured"])
    shown = view.book.get(Role.MEASURED).colormap.colors
    hexes = ["#" + "".join(f"{round(255 * c):02x}" for c in row[:3]) for row in shown]
    assert hexes == list(colours.values())

    # Small clusters are grey, and it is said why.
    assert not grouped.note.isVisible()
    tables = {side: table.copy() for side, table in study_of(grouped).clusters.items()}
    for table in tables.values():
        table.uns["leiden"] = table.uns["leiden"] | {"small_below": 40}
    study_of(grouped).set_grouping(tables)
    assert "removed as in the paper: fewer than 40 cells" in grouped.note.text()


def test_a_name_is_typed_after_a_double_click_or_comes_from_markers(
    grouped: ClustersPage, tmp_path: Path, qtbot: QtBot
) -> None:
    tree = grouped.legend
    grouped.legend.itemDoubleClicked.emit(tree.item_of("0"), 0)
    editor = tree.viewport().findChild(QLineEdit)
    assert editor is not None
    editor.selectAll()
    qtbot.keyClicks(editor, "neuron")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "neuron" in tree.names())
    for table in study_of(grouped).clusters.values():
        assert "neuron" in set(table.obs["leiden"])

    # Or it comes from lists of markers: those of broad cell types, or of a file.
    grouped.names_button.broad.trigger()
    done(grouped, qtbot)
    assert tree.names() == ["neuron", "epithelial", "macrophage"]
    path = tmp_path / "mine.gmt"
    path.write_text("Nerve\tmine\tSNAP25\tSYT1\nEater\tmine\tCD68\tCD163\n")
    grouped.reading.find_names_in(path)
    done(grouped, qtbot)
    assert {"Nerve", "Eater"} <= set(tree.names())


def test_a_tick_hides_a_cluster_and_a_click_chooses_its_cells(
    grouped: ClustersPage, qtbot: QtBot
) -> None:
    view = grouped.session.view
    assert view is not None

    def shown() -> int:
        layer = view.book.get(Role.PREDICTED)
        centres = np.rint(study_of(grouped).nuclei.centroids).astype(int)
        return int(np.isfinite(np.asarray(layer.data[0])[tuple(centres.T)]).sum())

    everything = shown()
    tick = grouped.legend.visualItemRect(grouped.legend.item_of("0"))
    place = QPoint(tick.left() + 9, tick.center().y())
    qtbot.mouseClick(grouped.legend.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: shown() < 0.6 * everything)
    # It is not gone: the list has it. Nor is it chosen: the tick was meant.
    assert "0" in grouped.legend.names()
    assert not len(study_of(grouped).chosen)
    grouped.legend.item_of("0").setCheckState(0, Qt.CheckState.Checked)
    qtbot.waitUntil(lambda: shown() == everything)

    # A name chooses the cells of both sides, a number those of one.
    study, tree = study_of(grouped), grouped.legend
    click_row(qtbot, tree, tree.item_of("1"), 1)
    predicted = cells_of(study.clusters["predicted"], "1")
    qtbot.waitUntil(lambda: set(study.chosen) == set(predicted))
    click_row(qtbot, tree, tree.item_of("1"), 0)
    measured = cells_of(study.clusters["measured"], "1")
    qtbot.waitUntil(lambda: set(study.chosen) == set(predicted) | set(measured))


# What the clusters are


def test_markers_are_found_painted_and_kept_under_new_names(
    grouped: ClustersPage, qtbot: QtBot
) -> None:
    grouped.sections["Markers"].open()
    markers = grouped.reading.markers
    click(qtbot, markers.find_button)
    done(grouped, qtbot)
    assert markers.tree.topLevelItemCount() == 3
    neurons = markers.tree.topLevelItem(0)
    assert neurons.text(0) == "Cluster 0"
    gene = neurons.child(0).text(0)
    assert gene in {"SNAP25", "SYT1", "RBFOX3", "MAP2", "NEFL", "SLC17A7", "GAD1", "GAD2"}
    click_row(qtbot, markers.tree, neurons.child(0))
    assert f"Predicted {gene}" in [layer.name for layer in grouped.session.viewer.layers]
    grouped.rename("0", "neuron")
    assert markers.tree.topLevelItem(0).text(0) == "neuron"


def test_a_set_of_genes_is_scored_and_painted_on_both_sides(
    grouped: ClustersPage, tissue_nuclei: Nuclei, qtbot: QtBot
) -> None:
    grouped.sections["Score a set of genes"].open()
    scores, study = grouped.reading.scores, study_of(grouped)
    qtbot.keyClicks(scores.genes, "cd68, CD163 CD14 nothere")
    click(qtbot, scores.score_button)
    done(grouped, qtbot)
    assert "Predicted: 3 of 4 genes, not nothere." in scores.outcome.text()
    name = "score: cd68, CD163, CD14 and 1 more"
    layers = [layer.name for layer in grouped.session.viewer.layers]
    assert {f"Predicted {name}", f"Measured {name}"} <= set(layers)
    eaters = kinds_of(tissue_nuclei) == 2
    values = study.expression("measured").obs[name].to_numpy()
    assert values[eaters].mean() > 0.5 > values[~eaters].mean()

    # Other genes of a like name do not replace it, and nothing typed is told.
    scores.genes.setText("cd68 CD163 CD14 CD1C")
    click(qtbot, scores.score_button)
    done(grouped, qtbot)
    assert name in study.expression("predicted").obs
    scores.genes.clear()
    click(qtbot, scores.score_button)
    assert "at least one gene" in scores.outcome.text()
    # A list fills in its genes.
    scores.sets.setCurrentText("Macrophage")
    assert scores.genes.text().startswith("CD68 CD163")


# Out of the window


def test_tables_are_saved(grouped: ClustersPage, tmp_path: Path, qtbot: QtBot) -> None:
    grouped.reading.find_markers("predicted")
    done(grouped, qtbot)
    grouped.save_tables(tmp_path / "skin.csv")
    done(grouped, qtbot)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "skin.csv",
        "skin-cells.csv",
        "skin-confusion.csv",
        "skin-markers-predicted.csv",
    }
    sizes = pd.read_csv(tmp_path / "skin.csv", dtype={"cluster": str}).set_index("cluster")
    study = study_of(grouped)
    assert sizes["predicted_cells"].sum() == study.expression("predicted").n_obs
    cells = pd.read_csv(tmp_path / "skin-cells.csv")
    assert list(cells.columns) == ["id", "predicted_cluster", "measured_cluster"]
    assert len(cells) == len(study.nuclei)


def test_plots_say_predicted_and_measured(grouped: ClustersPage, qtbot: QtBot) -> None:
    grouped.sections["Proportions and confusion"].open()
    plots = grouped.plots
    qtbot.waitUntil(lambda: plots.canvas is not None)
    axes = plots.canvas.figure.axes[0]
    assert axes.get_xlabel() == "% of predicted / measured cells"
    plots.kind.setCurrentIndex(1)
    axes = plots.canvas.figure.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("predicted cluster", "measured cluster")
    assert "% of all cells" in axes.get_title()
    one = {"predicted": study_of(grouped).clusters["predicted"]}
    study_of(grouped).set_grouping(one)
    assert "group both sides" in plots.empty.text()
    assert not plots.canvas.isVisible()
