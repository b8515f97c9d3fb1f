"""Which genes to trust: the table of all genes, sorted, searched, painted and saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.analysis import trust_genes
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.widgets import Workspace
from napari_prts.widgets.explore._gene_table import Column, GeneTable
from tests.widgets.asked import ask_about, click_gene, predicted, settle
from tests.widgets.cells import GENES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_all_genes_are_scored_when_the_page_is_seen(
    workspace: Workspace,
    tissue_slide: Slide,
    tissue_nuclei: Nuclei,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = workspace.explore.trust
    assert "Open a slide" in page.state.text()
    study = ask_about(workspace, tissue_slide, tissue_nuclei, "measured")
    assert "predict, to see" in page.state.text()
    study.set_predicted(predicted(tissue_nuclei))
    settle(workspace, qtbot)
    assert page.trust is None

    workspace.explore.pages.setCurrentWidget(page)
    settle(workspace, qtbot)
    assert study.predicted is not None
    assert study.measured is not None
    right = run(trust_genes(study.predicted, study.measured))
    assert page.trust is not None
    pd.testing.assert_frame_equal(page.trust.genes, right.genes)
    # On this slide the model was trained: only cells that it has not seen count.
    good = int((right.genes["pcc"] > 0.3).sum())
    assert f"{good} of {len(GENES)} genes" in page.words.text()
    assert f"{right.cells} cells that were left out of training" in page.words.text()
    assert "predicted against simulated" in page.words.text()

    best = right.genes["pcc"].sort_values(ascending=False)
    assert page.genes.genes()[0] == best.index[0]
    assert page.genes.texts(1)[0] == f"{best.iloc[0]:.2f}"
    gene = click_gene(page.genes, qtbot, 3)
    assert workspace.session.brush.gene == gene

    page.dim.setChecked(True)
    assert workspace.session.brush.style.dim_unsure
    workspace.session.brush.restyle(dim_unsure=False)
    assert not page.dim.isChecked()

    said: list[str] = []
    monkeypatch.setattr("napari_prts.widgets.explore._trust_page.show_info", said.append)
    page.save(tmp_path / "genes.csv")
    settle(workspace, qtbot)
    assert "genes.csv" in said[0]
    saved = pd.read_csv(tmp_path / "genes.csv", index_col="gene")
    np.testing.assert_allclose(saved["pcc"], right.genes["pcc"], rtol=1e-5)

    # Other predictions are scored anew.
    study.set_predicted(None)
    assert page.trust is None
    assert "predict, to see" in page.state.text()
    study.set_predicted(predicted(tissue_nuclei))
    settle(workspace, qtbot)
    assert page.trust is not None


@pytest.fixture
def table(qtbot: QtBot) -> GeneTable:
    """Twenty thousand genes, some of them without a score."""
    table = GeneTable()
    qtbot.addWidget(table)
    scores = np.random.default_rng(0).uniform(-1, 1, 20_000)
    scores[::10] = np.nan
    names = [f"Gene{number}" for number in range(20_000)]
    table.set_table(names, [Column("PCC", scores, "Correlation")], by=0)
    table.show()
    return table


def test_what_is_not_known_comes_last_however_it_is_sorted(table: GeneTable) -> None:
    header = table.view.horizontalHeader()
    assert header is not None
    for order in (Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder):
        table.view.sortByColumn(1, order)
        shown = [number for number in table.texts(1) if number]
        values = np.array(shown, float)
        assert len(values) == 18_000
        assert table.texts(1)[18_000:] == [""] * 2_000
        steps = np.diff(values)
        # What is shown is rounded.
        assert (steps <= 1e-3 if order == Qt.SortOrder.DescendingOrder else steps >= -1e-3).all()
    table.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert table.genes()[:3] == ["Gene0", "Gene1", "Gene10"]


def test_typing_finds_a_gene_and_enter_picks_it(table: GeneTable, qtbot: QtBot) -> None:
    picked: list[str] = []
    table.picked.connect(picked.append)
    qtbot.keyClicks(table.search, "gENE1999")
    assert sorted(table.genes()) == sorted(["Gene1999", *(f"Gene1999{n}" for n in range(10))])
    qtbot.keyClick(table.search, Qt.Key.Key_Return)
    assert picked == [table.genes()[0]]
    qtbot.keyClick(table.search, Qt.Key.Key_Down)
    assert table.view.currentIndex().row() == 0

    # The order that the user has chosen stays when the same figures come anew.
    table.search.clear()
    table.view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    table.set_table(["a", "b"], [Column("PCC", np.array([2.0, 1.0]), "Correlation")], by=0)
    assert table.genes() == ["b", "a"]
    table.show_only([True, False])
    assert table.genes() == ["a"]
