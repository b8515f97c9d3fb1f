"""The gene page: picking a gene by keys, lists and stars, and how values become colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.viewer.painting import COLORMAPS, Limits
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._gene_delegate import marked, star_place
from napari_prts.widgets.explore._gene_list import GeneList
from napari_prts.widgets.explore._gene_lists import BEST, FAVOURITES, MARKER
from napari_prts.widgets.explore._gene_page import GenePage
from napari_prts.widgets.explore._limits_drawing import number

from .conftest import names

PREDICTED = ("CD3E", "CD68", "EPCAM", "HLA-DRA", "KRT10", "KRT5")
MEASURED = ("CD3E", "CD4", "EPCAM", "HLA-DRA", "KRT10", "KRT5")
Key = Qt.Key


def table(nuclei: Nuclei, genes: tuple[str, ...], seed: int, **about: Any) -> AnnData:
    """Counts; a gene further on in the alphabet follows its nucleus's area more closely."""
    rng = np.random.default_rng(seed)
    size = (nuclei.areas / nuclei.areas.mean())[:, None]
    follows = np.linspace(0.1, 1, len(genes))
    rates = 3 * (follows * size**2 + (1 - follows))
    obs = pd.DataFrame({"id": nuclei.ids}, index=nuclei.ids.astype(str))
    obs["confidence"] = np.linspace(0, 1, len(nuclei), dtype=np.float32)
    return AnnData(
        rng.poisson(rates).astype(np.float32),
        obs,
        pd.DataFrame(index=list(genes)),
        obsm={"spatial": nuclei.centroids[:, ::-1].copy()},
        uns=about,
    )


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    """A slide with predicted and simulated cells."""
    made = Study(tissue_slide, autosave=False)
    made.set_nuclei(tissue_nuclei)
    made.set_predicted(table(tissue_nuclei, PREDICTED, 0))
    made.set_measured(table(tissue_nuclei, MEASURED, 1, visium_hd={"simulated": True}))
    return made


@pytest.fixture
def page(workspace: Workspace, study: Study) -> GenePage:
    """The page of that study."""
    workspace.session.show(study)
    workspace.tabs.setCurrentWidget(workspace.explore)
    return workspace.explore.gene


@pytest.fixture
def genes(qtbot: QtBot) -> GeneList:
    """A list by itself."""
    made = GeneList()
    qtbot.addWidget(made)
    made.resize(300, 300)
    made.show()
    return made


def scored(page: GenePage, qtbot: QtBot) -> None:
    """Wait until the genes are scored."""
    qtbot.waitUntil(lambda: page.scores.known, timeout=60_000)


# Picking


def test_a_gene_is_picked_by_keys_alone(page: GenePage, workspace: Workspace, qtbot: QtBot) -> None:
    assert "7 genes" in page.state.text()
    qtbot.keyClicks(page.genes.search, "hladr")
    assert page.genes.shown() == ["HLA-DRA"]
    qtbot.keyClick(page.genes.search, Key.Key_Return)
    assert {"Simulated HLA-DRA", "Predicted HLA-DRA"} <= set(names(workspace))
    qtbot.keyClick(page.genes.search, Key.Key_Escape)
    assert page.genes.search.text() == ""
    assert len(page.genes.shown()) == 7
    for gene, words in (("CD68", "CD68: predicted only"), ("CD4", "CD4: simulated only")):
        page.paint_gene(gene)
        assert page.facts.text() == words


def test_up_and_down_move_through_what_was_found(genes: GeneList, qtbot: QtBot) -> None:
    genes.set_names(["ACKR1", "EPCAM", "KRT10", "KRT5"])
    qtbot.keyClicks(genes.search, "kr")
    assert genes.shown() == ["KRT5", "KRT10", "ACKR1"], "beginnings first, short ones first"
    for key, gene in ((Key.Key_Down, "KRT10"), (Key.Key_Down, "ACKR1"), (Key.Key_Up, "KRT10")):
        qtbot.keyClick(genes.search, key)
        assert genes.view.currentIndex().data() == gene
    with qtbot.waitSignal(genes.picked) as picked:
        qtbot.keyClick(genes.search, Key.Key_Enter)
    assert picked.args == ["KRT10"]


def test_a_mistyped_name_is_found_when_none_holds_it(genes: GeneList, qtbot: QtBot) -> None:
    genes.set_names(["EPCAM", "KRT10", "APOE"])
    qtbot.keyClicks(genes.search, "apeo")
    assert genes.shown() == ["APOE"]
    genes.search.setText("krt")
    assert genes.shown() == ["KRT10"], "nothing similar beside what was meant"


def test_twenty_thousand_genes_are_searched(genes: GeneList, qtbot: QtBot) -> None:
    genes.set_names([f"GENE{number}" for number in range(20_000)])
    qtbot.keyClicks(genes.search, "gene19999")
    assert genes.shown() == ["GENE19999"]


@pytest.mark.parametrize(
    ("name", "typed", "letters"),
    [
        ("KRT10", "rt", "RT"),
        ("HLA-DRA", "ladr", "LA-DR"),
        ("mt-Co1", "MT-CO", "mt-Co"),
        ("EPCAM", "krt", ""),
        ("EPCAM", " ", ""),
    ],
)
def test_typed_letters_are_marked(name: str, typed: str, letters: str) -> None:
    first, last = marked(name, typed)
    assert name[first:last] == letters


def test_a_gene_that_is_nowhere_is_grey_and_says_so(page: GenePage, qtbot: QtBot) -> None:
    page.lists.choose(MARKER, "lymphocyte")
    assert page.genes.names[:2] == ("CD3E", "CD3D")
    assert "1 of these 11" in page.state.text()
    model = page.genes.view.model()
    here, gone = model.index(0, 0), model.index(1, 0)
    assert here.data(Qt.ItemDataRole.ToolTipRole) == "CD3E: predicted and simulated"
    assert "neither predicted nor measured" in gone.data(Qt.ItemDataRole.ToolTipRole)
    assert not gone.flags() & Qt.ItemFlag.ItemIsEnabled
    with qtbot.assertNotEmitted(page.genes.picked):
        qtbot.keyClicks(page.genes.search, "cd3d")
        qtbot.keyClick(page.genes.search, Key.Key_Return)


# Lists


def test_a_click_on_a_star_makes_a_favourite(page: GenePage, qtbot: QtBot) -> None:
    page.genes.resize(300, 200)
    rows = page.genes.view
    place = star_place(rows.visualRect(rows.model().index(2, 0))).center()
    with qtbot.assertNotEmitted(page.genes.picked):
        qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert page.lists.memory.favourites == (page.genes.names[2],)
    with qtbot.waitSignal(page.genes.picked):
        spot = QPoint(10, place.y())
        qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=spot)

    page.lists.choose(FAVOURITES)
    assert page.genes.names == page.lists.memory.favourites
    qtbot.keyClick(page.genes.search, Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert page.genes.names == ()
    assert "click the star" in page.state.text()


def test_the_best_predicted_come_first_with_their_figure(
    page: GenePage, study: Study, qtbot: QtBot
) -> None:
    page.lists.choose(BEST)
    scored(page, qtbot)
    best = page.genes.names
    assert set(best) == set(PREDICTED) & set(MEASURED)
    pcc = [page.scores.pcc[gene] for gene in best]
    assert pcc == sorted(pcc, reverse=True)
    assert best[0] == "KRT5"
    tooltip = page.genes.view.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert tooltip == f"KRT5: predicted and simulated, PCC {pcc[0]:.2f}"
    assert "simulated" in page.state.text()
    page.paint_gene("KRT5")
    assert f"PCC {pcc[0]:.2f}" in page.facts.text()
    assert "simulated" in page.facts.text()
    # Another prediction is scored anew.
    study.set_predicted(table(study.nuclei, PREDICTED, 5))
    assert page.genes.names == ()
    assert "Comparing predicted with" in page.state.text()
    scored(page, qtbot)
    assert [page.scores.pcc[gene] for gene in page.genes.names] != pcc


def test_the_best_predicted_need_both_sides(
    workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei
) -> None:
    page = workspace.explore.gene
    assert page.state.text() == "Open a slide first."
    page.step(1)
    assert workspace.session.brush.gene is None, "nothing to step through"
    study = Study(tissue_slide, autosave=False)
    workspace.session.show(study)
    assert "predict, or open" in page.state.text()
    study.set_nuclei(tissue_nuclei)
    study.set_predicted(table(tissue_nuclei, PREDICTED, 0))
    page.lists.choose(BEST)
    assert "Needs predicted and measured" in page.state.text()


def test_next_and_previous_step_through_the_list(page: GenePage, workspace: Workspace) -> None:
    for gene in ("KRT5", "CD8A", "CD3E"):
        page.lists.toggle(gene)
    page.lists.choose(FAVOURITES)
    for by, gene in ((1, "KRT5"), (1, "CD3E"), (1, "KRT5"), (-1, "CD3E")):
        page.step(by)
        assert workspace.session.brush.gene == gene, "round the ends, without what is not here"
        assert page.genes.view.currentIndex().data() == gene


# Colours


def limits(workspace: Workspace, role: Role = Role.PREDICTED) -> list[float]:
    layer = workspace.session.view.book.get(role)
    return [float(value) for value in layer.contrast_limits]


def test_percentiles_set_the_limits(page: GenePage, workspace: Workspace, study: Study) -> None:
    page.paint_gene("KRT5")
    page.limits.shared.setChecked(False)
    page.limits.low.setValue(25)
    page.limits.high.setValue(75)
    values = study.predicted[:, "KRT5"].X
    np.testing.assert_allclose(
        limits(workspace), np.percentile(values[values > 0], [25, 75]), rtol=1e-6
    )
    assert page.limits.reset.isEnabled()
    page.limits.reset.click()
    assert workspace.session.brush.style.percentiles == (1.0, 99.0)
    assert page.limits.low.value() == 1
    assert not page.limits.reset.isEnabled()


def test_a_limit_is_dragged_and_holds_for_this_gene(
    page: GenePage, workspace: Workspace, qtbot: QtBot
) -> None:
    page.paint_gene("KRT5")
    histogram = page.limits.histogram
    histogram.resize(300, histogram.height())
    before, wanted = histogram.limits, histogram.limits.high / 2
    drag(qtbot, histogram, histogram.place_of(before.high), histogram.place_of(wanted))
    low, high = limits(workspace)
    assert (low, high) == pytest.approx((before.low, wanted), rel=0.05)
    assert limits(workspace, Role.MEASURED) == [low, high], "on both sides"

    # They never cross.
    drag(qtbot, histogram, histogram.place_of(before.low), 299)
    least, most = limits(workspace)
    assert before.low < least < most == high
    qtbot.mouseDClick(histogram, Qt.MouseButton.LeftButton, pos=QPoint(150, 30))
    assert limits(workspace) == [before.low, before.high]

    workspace.session.brush.restyle(limits=Limits(2.0, 4.0))
    page.paint_gene("EPCAM")
    assert workspace.session.brush.style.limits is None
    workspace.session.brush.restyle(limits=Limits(2.0, 4.0))
    page.limits.shared.setChecked(False)
    assert limits(workspace) != limits(workspace, Role.MEASURED), "each has its own again"


def drag(qtbot: QtBot, widget: QWidget, start: float, stop: float) -> None:
    """Drag with the left button along a widget."""
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(widget, left, pos=QPoint(round(start), 30))
    qtbot.mouseMove(widget, QPoint(round((start + stop) / 2), 30))
    qtbot.mouseMove(widget, QPoint(round(stop), 30))
    qtbot.mouseRelease(widget, left, pos=QPoint(round(stop), 30))


def test_the_histogram_says_which_side_is_which(page: GenePage, qtbot: QtBot) -> None:
    assert page.limits.histogram.shown is None
    page.paint_gene("KRT5")
    shown = page.limits.histogram.shown
    assert set(shown.values) == {"simulated", "predicted"}
    assert not shown.own
    for log in (False, True):
        page.limits.log.setChecked(log)
        histogram = page.limits.histogram
        assert not histogram.grab().isNull()
        for value in (0.0, 0.5, histogram.limits.high):
            assert histogram.value_at(histogram.place_of(value)) == pytest.approx(value, abs=1e-6)
    page.limits.shared.setChecked(False)
    own = page.limits.histogram.shown.own
    assert set(own) == {"simulated", "predicted"}
    assert own["simulated"] != own["predicted"]
    assert not page.limits.histogram.grab().isNull()
    page.session.brush.clear()
    assert page.limits.histogram.shown is None


def test_switches_are_those_of_the_brush(page: GenePage, workspace: Workspace) -> None:
    brush = workspace.session.brush
    page.paint_gene("KRT5")
    page.limits.log.setChecked(True)
    page.limits.hide_zeros.setChecked(True)
    page.looks.dim_unsure.setChecked(True)
    page.looks.colormap.setCurrentText("cividis")
    page.looks.fade.setValue(20)
    page.looks.dot_size.setValue(7.5)
    style = brush.style
    assert (style.log, style.hide_zeros, style.dim_unsure) == (True, True, True)
    assert (style.colormap, style.size_um) == ("cividis", 7.5)
    assert workspace.session.view.book.get(Role.SLIDE).opacity == pytest.approx(0.8)
    assert brush.painting.dim_unsure
    # As another panel sets them.
    brush.restyle(dim_unsure=False, log=False, colormap=COLORMAPS[0])
    assert not page.looks.dim_unsure.isChecked()
    assert not page.limits.log.isChecked()
    assert page.looks.colormap.currentText() == COLORMAPS[0]


def test_every_control_explains_itself_in_little_room(page: GenePage) -> None:
    page.paint_gene("KRT5")
    # The dock at 1366 x 768 is some 330 px wide, and the page has 590 px of its height.
    assert page.minimumSizeHint().width() <= 330
    assert page.minimumSizeHint().height() <= 590
    for widget in (
        page.lists.combo,
        page.lists.more,
        page.genes.search,
        page.limits.histogram,
        page.limits.low,
        page.limits.high,
        page.limits.reset,
        page.limits.log,
        page.limits.shared,
        page.limits.hide_zeros,
        page.looks.colormap,
        page.looks.fade,
        page.looks.dot_size,
        page.looks.dim_unsure,
    ):
        assert widget.toolTip()


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (2.0, "2.00")]
)
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_page_of_a_closed_study_listens_no_more(
    page: GenePage, workspace: Workspace, study: Study, tissue_slide: Slide
) -> None:
    workspace.session.show(Study(tissue_slide, autosave=False))
    study.set_predicted(None)
    assert page.genes.names == ()
    assert "Nothing to show yet" in page.state.text()
