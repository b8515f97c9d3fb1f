"""The UMAP: made by a button, coloured, lassoed, lit up, seen larger."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_prts.nuclei import Nuclei
from napari_prts.study.group_tables import with_hidden, with_places
from napari_prts.study.grouping import Grouping
from napari_prts.widgets.explore._clusters_page import ClustersPage
from tests.widgets.cells import kinds_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def page(clusters_page: ClustersPage) -> ClustersPage:
    """The page with its UMAP section open."""
    clusters_page.sections["UMAP"].open()
    return clusters_page


@pytest.fixture
def laid(page: ClustersPage, found: Grouping, tissue_nuclei: Nuclei) -> ClustersPage:
    """Cells of each type in a place of their own: neurons left, macrophages right."""
    places = np.random.default_rng(0).normal(size=(len(tissue_nuclei), 2)).astype(np.float32)
    places[:, 0] += 10 * kinds_of(tissue_nuclei)
    study = page.study
    assert study is not None
    tables = found.clusters.items()
    study.set_grouping({side: with_places(table, places) for side, table in tables})
    return page


def click(qtbot: QtBot, button: QWidget) -> None:
    """Click a button when Qt has laid it out: what is not seen hears no mouse."""
    qtbot.waitUntil(lambda: not button.visibleRegion().isEmpty())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_both_together_are_laid_out_by_a_click(page: ClustersPage, qtbot: QtBot) -> None:
    study = page.study
    assert study is not None
    assert "find clusters" in page.umap.view.empty.text()
    assert not page.umap.make_button.isEnabled()
    assert "Find clusters first" in page.umap.make_button.toolTip()
    page.controls.way.setCurrentIndex(page.controls.way.findData("together"))
    for button in (page.cluster_button, page.umap.make_button):
        qtbot.waitUntil(button.isEnabled)
        click(qtbot, button)
        qtbot.waitUntil(lambda: page.session.jobs.running is None, timeout=240_000)
    assert page.umap.graph.currentText() == "Predicted and measured"
    assert len(page.umap.view.plot.points) == 2 * len(study.nuclei)
    for table in study.clusters.values():
        assert np.isfinite(table.obsm["X_umap"]).all()
    # A finer cut stands on the same graph: its places stay.
    page.controls.sliders["together"].setValue(2.5)
    qtbot.waitUntil(
        lambda: study.clusters["predicted"].uns["leiden"]["params"]["resolution"] == 2.5
    )
    assert "X_umap" in study.clusters["predicted"].obsm


def test_a_lasso_chooses_cells_and_chosen_cells_light_up(
    laid: ClustersPage, tissue_nuclei: Nuclei
) -> None:
    study, plot = laid.study, laid.umap.view.plot
    assert study is not None
    right = plot.points[:, 0] > 15
    plot.lassoed.emit(right)
    eaters = np.asarray(tissue_nuclei.ids)[kinds_of(tissue_nuclei) == 2]
    assert set(study.chosen) == set(eaters)
    np.testing.assert_array_equal(plot.chosen, right)
    # Chosen elsewhere, they light up here.
    study.choose(np.asarray(tissue_nuclei.ids)[:3])
    assert plot.chosen.sum() == 3
    plot.lassoed.emit(np.zeros(len(right), bool))
    assert not len(study.chosen)


def test_it_says_whose_cells_and_which_gene(laid: ClustersPage, tissue_nuclei: Nuclei) -> None:
    view = laid.umap.view
    words = view.plot._words[2]
    assert words == "Predicted cells"
    view.colour.setCurrentIndex(view.colour.findData("gene"))
    assert "no gene is painted" in view.plot._words[2]
    laid.session.brush.paint_gene("CD68")
    assert view.plot._words[2] == "Predicted CD68"
    laid.umap.graph.setCurrentIndex(laid.umap.graph.findData("measured"))
    assert view.plot._words[2] == "Measured CD68"

    # Hidden clusters are not seen here either.
    study, plot = laid.study, view.plot
    assert study is not None
    view.colour.setCurrentIndex(view.colour.findData("clusters"))
    study.set_grouping(with_hidden(study.clusters, ["0"]))
    seen = plot._colours[:, 3] > 0
    np.testing.assert_array_equal(seen, kinds_of(tissue_nuclei) != 0)


def test_it_is_seen_larger_in_a_dock(laid: ClustersPage, qtbot: QtBot) -> None:
    click(qtbot, laid.umap.larger_button)
    docks = laid.session.viewer.window.dock_widgets
    large = docks["UMAP"]
    assert laid.umap.show_larger() is large
    qtbot.waitUntil(lambda: len(large.plot.points) > 0)
    study = laid.study
    assert study is not None
    study.choose(study.nuclei.ids[:5])
    assert large.plot.chosen.sum() == laid.umap.view.plot.chosen.sum() == 5
