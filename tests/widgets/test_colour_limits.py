"""The histogram says what it limits: cells, bins, or how far the sides differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt

from napari_prts.analysis import Region
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.viewer import Role
from napari_prts.visium_hd import simulate_visium_hd
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._gene_table import Column, GeneTable
from napari_prts.widgets.explore._limits_drawing import number
from napari_prts.widgets.explore._limits_histogram import LimitsHistogram
from tests.widgets.asked import ask_about
from tests.widgets.cells import GENES, predicted_cells
from tests.widgets.conftest import wait

LEFT = Qt.MouseButton.LeftButton


def drag(qtbot: QtBot, histogram: LimitsHistogram, start: float, stop: float) -> None:
    """Drag from one value to another."""
    places = [QPoint(round(histogram.place_of(value)), 30) for value in (start, stop)]
    qtbot.mousePress(histogram, LEFT, pos=places[0])
    qtbot.mouseMove(histogram, (places[0] + places[1]) / 2)
    qtbot.mouseMove(histogram, places[1])
    qtbot.mouseRelease(histogram, LEFT, pos=places[1])


def limits(workspace: Workspace, role: Role) -> list[float]:
    assert workspace.session.view is not None
    return [float(value) for value in workspace.session.view.book.get(role).contrast_limits]


def test_the_limit_of_a_difference_is_dragged(
    workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot
) -> None:
    ask_about(workspace, tissue_slide, tissue_nuclei)
    brush, page = workspace.session.brush, workspace.explore.gene
    brush.paint_gene(GENES[0])
    brush.restyle(mode="difference")
    histogram = page.limits.histogram
    assert list(histogram.shown.values) == ["simulated higher", "predicted higher"]
    assert "zero" in histogram.toolTip()
    # What a difference does not have cannot be set.
    for control in (page.limits.log, page.limits.shared, page.limits.hide_zeros, page.limits.low):
        assert not control.isEnabled()
    before = histogram.limits
    assert limits(workspace, Role.DIFFERENCE) == pytest.approx([-before.high, before.high])
    drag(qtbot, histogram, before.high, before.high / 2)
    low, high = limits(workspace, Role.DIFFERENCE)
    assert high == pytest.approx(before.high / 2, rel=0.05)
    assert low == -high
    assert histogram.limits.low == 0
    assert not histogram.grab().isNull()
    # There is no lower line to take hold of.
    drag(qtbot, histogram, 0, before.high / 4)
    assert limits(workspace, Role.DIFFERENCE) == [low, high]

    assert page.limits.reset.isEnabled()
    page.limits.reset.click()
    assert limits(workspace, Role.DIFFERENCE) == pytest.approx([-before.high, before.high])
    brush.restyle(difference_limit=0.5)
    brush.paint_gene(GENES[1])
    assert brush.style.difference_limit is None, "that was another gene's"
    brush.restyle(mode="beside")
    assert page.limits.log.isEnabled()
    assert set(histogram.shown.values) == {"simulated", "predicted"}


def test_limits_drawn_by_hand_hold_for_bins(
    workspace: Workspace,
    tissue_slide: Slide,
    tissue_nuclei: Nuclei,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    study = ask_about(workspace, tissue_slide, tissue_nuclei, "predicted")
    simulate_visium_hd(tissue_slide, tissue_nuclei, tmp_path, genes=20)
    study.measure(tmp_path, select_genes=False)
    gene = str(study.measured.var_names[0])
    table = predicted_cells(study.nuclei)
    table.var_names = [gene, *table.var_names[1:]]
    study.set_predicted(table)
    brush, page = workspace.session.brush, workspace.explore.gene
    brush.paint_gene(gene)
    workspace.explore.compare.bins.choose(8)
    wait(qtbot, workspace)
    histogram = page.limits.histogram
    # Bins hold other counts than cells: the lines are those of the cells, and it says so.
    own = limits(workspace, Role.BINS)
    bins = next(words for words in histogram.shown.values if words.startswith("simulated bins"))
    assert f"{number(own[0])} to {number(own[1])}" in bins
    assert limits(workspace, Role.PREDICTED) == [histogram.limits.low, histogram.limits.high]
    assert own != limits(workspace, Role.PREDICTED)
    counts = workspace.session.view.expression.bins_painted[0]
    np.testing.assert_array_equal(histogram.shown.values[bins], counts)

    drag(qtbot, histogram, histogram.limits.high, histogram.limits.high / 2)
    assert limits(workspace, Role.BINS) == limits(workspace, Role.PREDICTED)
    assert list(histogram.shown.values) == ["simulated bins", "predicted"]
    page.limits.reset.click()
    assert limits(workspace, Role.BINS) == own
    page.limits.shared.setChecked(False)
    assert list(histogram.shown.own["simulated bins"].__dict__.values()) == pytest.approx(own)
    workspace.explore.compare.bins.choose(None)
    assert set(histogram.shown.values) == {"simulated", "predicted"}


def test_more_columns_are_shown_by_a_click_on_a_heading(qtbot: QtBot) -> None:
    table = GeneTable()
    qtbot.addWidget(table)
    numbers = np.arange(3.0)
    columns = [
        Column("diff.", numbers, "predicted less measured", name="difference"),
        Column("from", numbers, "lower end", name="PCC, from", extra=True),
    ]
    table.set_table(["A", "B", "C"], columns, by=0)
    heading = table.model.headerData(1, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert heading.startswith("Difference: predicted less measured")
    assert table.view.isColumnHidden(2)
    menu = table.column_menu()
    assert [action.text() for action in menu.actions()] == ["difference", "PCC, from"]
    menu.actions()[1].trigger()
    assert not table.view.isColumnHidden(2)
    # The same columns of another region stay as they were chosen.
    table.set_table(["A", "B"], [*columns], by=0)
    assert not table.view.isColumnHidden(2)


def test_tables_need_no_scrolling_in_a_narrow_dock(
    workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot
) -> None:
    study = ask_about(workspace, tissue_slide, tissue_nuclei)
    explore = workspace.explore
    explore.pages.setCurrentWidget(explore.trust)
    qtbot.waitUntil(lambda: bool(explore.trust.genes.model.columns), timeout=60_000)
    explore.pages.setCurrentWidget(explore.region)
    explore.region.ask(Region(study.nuclei.ids[10:40]))
    explore.region.pages.setCurrentWidget(explore.region.genes)
    qtbot.waitUntil(lambda: bool(explore.region.genes.model.columns), timeout=60_000)
    explore.region.pages.setCurrentWidget(explore.region.differing)
    differing = explore.region.differing.genes
    qtbot.waitUntil(lambda: bool(differing.model.columns), timeout=60_000)
    for table in (explore.trust.genes, explore.region.genes, differing):
        shown = [n for n in range(table.model.columnCount()) if not table.view.isColumnHidden(n)]
        assert len(shown) >= 4
        header = table.view.horizontalHeader()
        header.setStretchLastSection(False)
        table._set_widths()
        # What margins and a scroll bar leave of a dock of 330 pixels.
        assert header.length() <= 284, [table.view.columnWidth(n) for n in shown]
